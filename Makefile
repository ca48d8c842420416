# Each target is one line a person could type. Tools are pinned here and in .ci/npm/package-lock.json.
GOLANGCI_LINT := v2.15.0

export CGO_ENABLED := 0

.PHONY: demo test lint race fuzz bench soak golden build

demo: build            ## the main job: local stack, sample runs, an export
	bin/millrace demo

test: build .ci/npm/node_modules  ## everything
	.ci/setup
	go test -timeout 25m ./...

lint: bin/golangci-lint-$(GOLANGCI_LINT)  ## house rules, import arrows, formatting
	bin/golangci-lint-$(GOLANGCI_LINT) run ./...

race: build            ## everything that runs in process, under the race detector
	CGO_ENABLED=1 go test -race -timeout 25m ./pipeline/... ./sinks/...

fuzz: ## every fuzz target for FUZZTIME each
	.ci/fuzz $(or $(FUZZTIME),30s)

bench: build           ## ingest against ClickHouse's own Kafka engine, and the micro-benchmarks
	bin/millrace bench ingest
	go test -run '^$$' -bench . ./...

soak: build            ## the kill tests with full counts; about 7 minutes
	MILLRACE_TEST_SOAK=true go test -count=1 -timeout 4h -v -run 'Kill|Soak' ./cmd/millrace/

golden: build          ## rewrite the golden files and the README's generated tables
	go test ./cmd/millrace/ ./pipeline/export/format/ -run 'Golden|README' -update

build:                 ## bin/millrace
	go build -trimpath -o bin/ ./cmd/millrace

bin/golangci-lint-$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	mv bin/golangci-lint $@

.ci/npm/node_modules: .ci/npm/package-lock.json
	npm ci --prefix .ci/npm --no-audit --no-fund
	touch $@
