package export

import (
	"net/url"
	"strings"
)

// loadWith returns a shell command that loads the data set whose manifest is at uri, or "" where there is
// nothing to load.
//
// DuckDB is the tool for canonical records, since it unites documents whose shapes differ from run to
// run; sample_size -1 has it look at all of them before it chooses a column's type.
func loadWith(m *Manifest, uri string) string {
	if m.Totals.Files == 0 || m.Format != JSONL {
		return ""
	}
	if u, err := url.Parse(uri); err == nil && u.Scheme == "file" {
		uri = u.Path
	}
	glob := strings.TrimSuffix(uri, ManifestName) + DataDir + "*.jsonl"
	sql := "FROM read_json('" + strings.ReplaceAll(glob, "'", "''") + "', format = 'newline_delimited', sample_size = -1)"
	return `duckdb -c "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(sql) + `"`
}
