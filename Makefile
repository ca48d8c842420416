# Each target is one line a person could type. Tools are pinned here, in the lock files of .ci/npm and .ci/readers, and
# in .ci/kafka/pom.xml.
GOLANGCI_LINT := v2.15.0
VERSITYGW := v1.8.0
COMPOSE := v2.40.3
CYCLONEDX := v1.10.0
BENCHSTAT := v0.0.0-20260908200009-22c9c6c9d4da

export CGO_ENABLED := 0

TEST_TMP = TMPDIR=$(shell .ci/tmp)

.PHONY: demo test test-kafka test-cluster test-compose test-release lint race fuzz bench bench-growth bench-store bench-compare soak golden build release

demo: build            ## the main job: local stack, sample runs, an export
	bin/millrace demo

# Without what a debugger reads, the programs of tests are linked in half of the time.
LINKED := -ldflags='-s -w'

# What go vet finds, make lint finds too.
test: build .ci/npm/node_modules .ci/readers/node_modules bin/versitygw-$(VERSITYGW)  ## everything
	.ci/setup
	$(TEST_TMP) go test $(LINKED) -vet=off -timeout 25m ./...

# The tests to which the kind of broker makes a difference: not those about memory, the object store, selections,
# records, files, documents, pages, keys, usage, kills of ingest alone and large downloads. Those of soak take longest,
# so they begin first. Each folder has a cluster of its own, so that a broker that is killed is missed in no other one.
E2E := ./cmd/millrace/e2e
ON_KAFKA := $(addprefix $(E2E)/,soak ingest export commands serve secured)
NOT_KAFKA := KillingIngest|ServeLarge|Memory|SmallExports|Workspaces|Incremental|S3|ObjectStore|DryRun|Unsuitable|AnalystWould|ALimit|InAName|LinesAndCells|EveryKindOfFile|AsChats|Verify|KilledDownload|Config|Usage|Shells|Formats|Token|AKey|OfKeys|TheDemo|SampleData|KeepsTheContract|StartErrors|FewFiles|CannotBeRead|Hostile|EmbeddedClickHouse|MigrateTwice|LookedAt|RequestDownloads|RefusesWrites|HealthyStack|OnlyOneSource|Shape|Chats|Rate
test-kafka: build .ci/kafka/target/lib  ## the tests of the binary, on three brokers of Apache Kafka that get killed
	$(TEST_TMP) MILLRACE_TEST_KAFKA=cluster go test -p 1 -count=1 -timeout $(if $(MILLRACE_TEST_SOAK),4h,25m) -skip '$(NOT_KAFKA)' $(ON_KAFKA)

test-cluster: ## exports and pages on two shards of two embedded servers each, of which one lags and others die; a part of make test
	$(TEST_TMP) go test -count=1 -v -run TestACluster ./pipeline/export/flow/

test-compose: .ci/kafka/target/lib bin/versitygw-$(VERSITYGW) bin/docker-compose-$(COMPOSE)  ## docker-compose.yml, started with stand-ins for images
	.ci/setup compose
	MILLRACE_TEST_COMPOSE=true go test -count=1 -timeout 20m -v ./cmd/millrace/e2e/compose/

lint: bin/golangci-lint-$(GOLANGCI_LINT)  ## house rules, import arrows, formatting, sizes of files and folders
	.ci/house
	bin/golangci-lint-$(GOLANGCI_LINT) run ./...

# Packages that start no goroutine, and selection, whose goroutines run in the exports of flow. Tests of the others run
# them under the race detector too, and those of format/targets run all targets at the same time.
ONE_GOROUTINE := chatlog|columns|event|jsonscan|rights|runs|sample|strictjson|suggest|card|condition|format|dataset|evaluation|optimization|record|tuning|toolschema|message|dryrun|statistics|telemetry|fragment|runstore|exportform|jsonview|searchbox|selection
race: build bin/versitygw-$(VERSITYGW)  ## everything that runs in process and at the same time, under the race detector, with less sample data
	$(TEST_TMP) CGO_ENABLED=1 go test $(LINKED) -race -short -vet=off -timeout 25m $$(go list ./pipeline/... ./sinks/... | grep -Ev '/($(ONE_GOROUTINE))$$')

fuzz: ## every fuzz target for FUZZTIME, two at a time
	.ci/fuzz $(or $(FUZZTIME),30s)

bench: build cmd/millrace/bench/node/node_modules bin/versitygw-$(VERSITYGW)  ## ingest and exports against ClickHouse's own ways, the server, and the micro-benchmarks
	bin/millrace bench ingest
	bin/millrace bench export
	bin/millrace bench serve
	go test -run '^$$' -bench . ./...

bench-growth: build  ## exports of 10,000 to 3,000,000 runs: a table and a plot of what they take for a record
	bin/millrace bench growth --dir cmd/millrace/bench

bench-store: build cmd/millrace/bench/node/node_modules  ## measure exports and the formatting of records, for bench-compare
	rm -f bin/bench-stored.txt
	bin/millrace bench export --store bin/bench-stored.txt
	go test -run '^$$' -bench . -count 6 ./pipeline/export/format/... >>bin/bench-stored.txt

bench-compare: build cmd/millrace/bench/node/node_modules  ## measure them again, and compare with what bench-store measured on this machine
	test -s bin/bench-stored.txt || { echo 'nothing to compare with: run make bench-store on the commit before' >&2; exit 1; }
	rm -f bin/bench.txt
	bin/millrace bench export --store bin/bench.txt
	go test -run '^$$' -bench . -count 6 ./pipeline/export/format/... >>bin/bench.txt
	go run golang.org/x/perf/cmd/benchstat@$(BENCHSTAT) bin/bench-stored.txt bin/bench.txt

soak: build            ## the tests that kill, and those of size, with full counts, one after another; about 65 minutes
	MILLRACE_TEST_SOAK=true go test -p 1 -count=1 -parallel 1 -timeout 4h -v ./sinks/runstore/ $(E2E)/soak/ $(E2E)/purposes/
	MILLRACE_TEST_SOAK=true $(TEST_TMP) go test -count=1 -v -run TestAClusterReads ./pipeline/export/flow/

golden: build          ## rewrite the golden files and the generated tables of the documents
	go test ./cmd/millrace/ ./cmd/millrace/app/ ./cmd/millrace/client/ ./dashboards/grafana/ ./pipeline/export/format/ ./pipeline/export/format/dataset/ \
		./pipeline/export/format/targets/ ./pipeline/export/card/ ./pipeline/export/selection/ ./pipeline/export/live/ \
		./pipeline/export/seal/ ./pipeline/history/ ./pipeline/rights/ -run Golden -update

build:                 ## bin/millrace
	go build -o bin/ ./cmd/millrace

release: bin/cyclonedx-gomod-$(CYCLONEDX)  ## dist: archives for Linux and macOS with their checksums and lists of modules (SBOM)
	CYCLONEDX=$(CURDIR)/$< .ci/release dist

test-release: bin/cyclonedx-gomod-$(CYCLONEDX)  ## an archive for this machine, built twice, and what is in it
	MILLRACE_TEST_RELEASE=$(CURDIR)/$< go test -count=1 -v -run Release ./cmd/millrace/

bin/golangci-lint-$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	mv bin/golangci-lint $@

# A real S3 server for the tests, which serves a folder.
bin/versitygw-$(VERSITYGW):
	GOBIN=$(CURDIR)/bin go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW)
	mv bin/versitygw $@

bin/cyclonedx-gomod-$(CYCLONEDX):
	GOBIN=$(CURDIR)/bin go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX)
	mv bin/cyclonedx-gomod $@

bin/docker-compose-$(COMPOSE):
	.ci/compose $(COMPOSE) $(CURDIR)/$@

.ci/npm/node_modules: .ci/npm/package-lock.json
	npm ci --prefix .ci/npm --ignore-scripts --no-audit --no-fund
	touch $@

# The tools that targets name, as far as they are in npm. Their optional packages are drivers of services.
.ci/readers/node_modules: .ci/readers/package-lock.json
	npm ci --prefix .ci/readers --omit=optional --ignore-scripts --no-audit --no-fund
	touch $@

cmd/millrace/bench/node/node_modules: cmd/millrace/bench/node/package-lock.json
	npm ci --prefix cmd/millrace/bench/node --ignore-scripts --no-audit --no-fund
	touch $@

.ci/kafka/target/lib: .ci/kafka/pom.xml
	.ci/kafka/fetch
