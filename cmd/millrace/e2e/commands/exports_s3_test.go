package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
	"github.com/millrace/millrace/sinks/bucket/buckettest"
)

// The life of exports whose files are on S3: in many windows, in every format.
func TestExportsOnS3AreWrittenReadAndDeleted(t *testing.T) {
	t.Parallel()
	url, _ := buckettest.S3(t) // the credentials are in this process's environment, which others inherit
	s := exportSite(t)
	s.Env = slices.DeleteFunc(s.Env, func(v string) bool { return strings.HasPrefix(v, "BUCKET_URL=") })
	s.Env = append(s.Env, "BUCKET_URL="+url, "EXPORT_WINDOW_RECORDS=60")
	s.Env.Start(t, "export").Field(t, "ops")
	var want []string
	for i := range 320 {
		want = append(want, fmt.Sprintf("r-%03d", i))
	}
	for format, compression := range map[string]string{"jsonl": "none", "json": "gzip", "csv": "zstd", "parquet": "zstd"} {
		request := filepath.Join(t.TempDir(), "request.json")
		if err := os.WriteFile(request, []byte(`{"fragment":{"max_records":20}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "download")
		got := requestRuns(t, s, "-f", request, "--format", format, "--compression", compression, "--download", dir, "--json")
		if got.Code != 0 {
			t.Fatalf("%s: exit code %d\n%s%s", format, got.Code, got.Stdout, got.Stderr)
		}
		events := e2etest.JSONLines(t, got.Stdout)
		completion := events[len(events)-1]
		id := completion["export_id"].(string)
		if uri := completion["manifest_uri"].(string); !strings.HasPrefix(uri, "s3://") ||
			fmt.Sprint(completion["fragments"]) != "16" {
			t.Errorf("%s: %v fragments, the manifest is at %s", format, completion["fragments"], uri)
		}
		s.Env.Run(t, "exports", "verify", id)
		var ids []string
		for _, record := range e2etest.JSONLines(t, s.Env.Run(t, "exports", "view", id, "-n", "1000", "--json")) {
			ids = append(ids, record["run_id"].(string))
		}
		if !slices.Equal(ids, want) {
			t.Errorf("%s: %d records, want the 320 runs, ascending", format, len(ids))
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) == 0 {
			t.Errorf("%s: nothing was downloaded: %v", format, err)
		}
		s.Env.Run(t, "exports", "delete", id)
		if got := s.Env.Try(t, "", "exports", "view", id); got.Code == 0 || !strings.Contains(got.Stderr, "deleted") {
			t.Errorf("%s: view after delete: exit code %d, %s", format, got.Code, got.Stderr)
		}
	}
}

func TestAnObjectStoreThatCannotBeUsedIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	url, _ := buckettest.S3(t)
	s := e2etest.NewSite(t)
	for name, c := range map[string]struct{ url, want string }{
		"no such bucket": {strings.Replace(url, "s3://test-", "s3://missing-", 1), "bucket"},
		"nobody there":   {"s3://bucket?endpoint=http://127.0.0.1:1&timeout=1s", "127.0.0.1:1"},
		"a mistake":      {url + "&colour=red", "colour"},
	} {
		got := append(s.Env, "BUCKET_URL="+c.url).Try(t, "", "export")
		if got.Code == 0 || !strings.Contains(got.Stderr, "MILLRACE_BUCKET_URL") || !strings.Contains(got.Stderr, c.want) {
			t.Errorf("%s: exit code %d, %s", name, got.Code, got.Stderr)
		}
	}
}
