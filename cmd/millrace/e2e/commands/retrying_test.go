package commands

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// While the bucket refuses writes, the API and the command say so. When it takes them again, the
// export succeeds, and nothing is said any more.
func TestAnExportWhoseBucketRefusesWritesSaysSo(t *testing.T) {
	t.Parallel()
	s := exportSite(t)
	bucket := ""
	for _, variable := range s.Env {
		if folder, ok := strings.CutPrefix(variable, "BUCKET_URL=file://"); ok {
			bucket = folder
		}
	}
	const id = "stuck"
	// A file where the folder of the fragments should be: root may write to any folder.
	folder := filepath.Join(bucket, "exports", "acme", id)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(folder, "data")
	if err := os.WriteFile(data, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.Env.Start(t, "export")
	server := append(s.Env, "HTTP_ADDR=127.0.0.1:0").Start(t, "serve")
	e2etest.Produce(t, s, "export-requests", `{"export_id":"stuck","workspace_id":"acme","purpose":"export_dataset",`+
		`"source":"copilot","app_id":"a","selection":{"limit":1000}}`)
	api := e2etest.Endpoint{URL: e2etest.WaitReady(t, server)}.In("acme")
	e2etest.Eventually(t, 30*time.Second, func() string {
		x := api.Get(t, "/v1/exports/"+id)
		var told struct {
			Status   string
			Retrying struct {
				Stage, Code, Message string
				Attempts             int64
			}
		}
		if x.Status == http.StatusOK {
			e2etest.Decode(t, x.Body, &told)
		}
		if r := told.Retrying; told.Status != "accepted" || r.Stage != "extract" || r.Code != "store_failed" ||
			r.Attempts < 1 || !strings.Contains(r.Message, "data") {
			return string(x.Body)
		}
		return ""
	})
	e2etest.Eventually(t, 30*time.Second, func() string {
		got := s.Env.Try(t, "", "exports", "show", id)
		if !strings.Contains(got.Stdout, "extract tries again since") || !strings.Contains(got.Stdout, "store_failed") {
			return got.Stdout + got.Stderr
		}
		return ""
	})
	if err := os.Remove(data); err != nil {
		t.Fatal(err)
	}
	if x := api.WaitFor(t, id, "succeeded"); x["retrying"] != nil {
		t.Errorf("after the end the API says %v", x["retrying"])
	}
	if out := s.Env.Run(t, "exports", "show", id); strings.Contains(out, "tries again") {
		t.Errorf("show:\n%s", out)
	}
}
