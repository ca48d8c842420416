package dashboards

import (
	_ "embed"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/dashboards/grafana/grafanatest"
)

// page draws a dashboard with its data, about as Grafana does.
//
//go:embed draw.html
var page string

// draw keeps an image of a dashboard with its data, where MILLRACE_TEST_SCREENSHOTS names a folder.
func draw(t *testing.T, d grafanatest.Dashboard, data map[int][]frame) {
	t.Helper()
	if folder() == "" {
		return
	}
	text, err := json.Marshal(map[string]any{"dashboard": d, "data": data})
	if err != nil {
		t.Fatal(err)
	}
	height := 0
	for _, p := range d.Panels {
		height = max(height, (p.GridPos.Y+p.GridPos.H)*38+80)
	}
	html := filepath.Join(t.TempDir(), d.UID+".html")
	if err := os.WriteFile(html, []byte(strings.Replace(page, "DATA", string(text), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(folder(), d.UID+".png")
	cmd := exec.Command("chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--user-data-dir="+t.TempDir(),
		"--window-size=1600,"+jsonText(height), "--screenshot="+image, "file://"+html)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("draw %s: %v\n%s", d.Title, err, out)
	}
}

func jsonText(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}
