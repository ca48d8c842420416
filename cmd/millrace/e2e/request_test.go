package e2e

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/local/localtest"
)

func TestRequestDownloadsWhatSucceeded(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	s.env.start(t, "export")
	dir := filepath.Join(t.TempDir(), "out")
	got := s.request(t, "--download", dir, "--format", "csv")
	if got.code != 0 || !strings.Contains(got.stdout, "succeeded: 320 records") || !strings.Contains(got.stdout, filepath.Join(dir, "train.csv")) {
		t.Errorf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if files := tree(t, dir); !slices.Contains(files, "train.csv") {
		t.Errorf("downloaded %v", files)
	}
	empty := s.request(t, "--download", dir, "--rating", "thumbsUp", "--json")
	if events := jsonLines(t, empty.stdout); empty.code != 0 || events[len(events)-1]["status"] != "succeeded" || !strings.Contains(empty.stderr, "nothing to download") {
		t.Errorf("of nothing: exit code %d\n%s%s", empty.code, empty.stdout, empty.stderr)
	}
	if other := s.request(t, "--download", dir, "--format", "csv", "--run-id", "r-001", "--limit=0"); other.code != exitFailed || !strings.Contains(other.stderr, "train.csv") {
		t.Errorf("over another download: exit code %d\n%s%s", other.code, other.stdout, other.stderr)
	}
	if lines := readLines(t, filepath.Join(dir, "train.csv")); len(lines) < 320 {
		t.Errorf("the first download has %d lines left", len(lines))
	}
}

// What the demo says is there is there, after it is over.
func TestTheDemoShowsAnExportOfEachPurposeAndLeavesTheirFiles(t *testing.T) {
	t.Parallel()
	if localtest.OnKafkaCluster() {
		t.Skip("the demo brings its own Kafka: `make test` runs this")
	}
	localtest.ClickHouse(t) // skips where the engine cannot be had
	dir := t.TempDir()
	out := (environment{}).run(t, "demo", "--dir", dir, "--runs", "800")
	ids := regexp.MustCompile(`millrace exports view (\S+) -n 1`).FindAllStringSubmatch(out, -1)
	bucket := regexp.MustCompile(`export MILLRACE_(BUCKET_URL=\S+)`).FindStringSubmatch(out)
	if len(ids) != 5 || bucket == nil {
		t.Fatalf("no commands to type in\n%s", out)
	}
	wanted := []string{"export_dataset   0%", "fine_tuning 100%", "EXPORT ", "record 1 of ", "what the manifest says", filepath.Join(dir, "bucket", "exports", "default")}
	for _, purpose := range []string{"export_dataset", "recipe_evaluation", "node_evaluation", "node_optimization", "fine_tuning"} {
		wanted = append(wanted, "--purpose "+purpose, "The first record of "+purpose, purpose+" for ")
	}
	for _, want := range wanted {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, id := range ids {
		if again := (environment{bucket[1]}).run(t, "exports", "verify", id[1]); !strings.Contains(out, strings.TrimSpace(again)) {
			t.Errorf("afterwards: %s", again)
		}
	}
}
