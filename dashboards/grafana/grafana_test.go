package grafana

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

var update = flag.Bool("update", false, "write the dashboards anew")

func TestGoldenDashboards(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name, text := range files {
		names = append(names, name)
		if *update {
			if err := os.WriteFile(name, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if is, err := os.ReadFile(name); err != nil || !bytes.Equal(is, text) {
			t.Errorf("%s is not what the package builds (%v): make golden", name, err)
		}
	}
	slices.Sort(names)
	if there, err := filepath.Glob("*.json"); err != nil || !slices.Equal(there, names) {
		t.Errorf("there are %q (%v), and the package builds %q", there, err, names)
	}
}

// The SDK refuses keys that Grafana does not know, where it knows them itself.
func TestEveryKeyIsGrafanas(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	decode := func(raw []byte) (variants.Dataquery, error) {
		var q clickhouse
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		err := d.Decode(&q)
		return q, err
	}
	cog.NewRuntime().RegisterDataqueryVariant(variants.DataqueryConfig{Identifier: clickhouseType,
		DataqueryUnmarshaler: decode, StrictDataqueryUnmarshaler: decode})
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		// Without a mistake the SDK returns an empty list, which is not nil.
		if err := new(dashboard.Dashboard).UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
