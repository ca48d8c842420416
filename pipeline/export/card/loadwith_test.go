package card_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card"
	"github.com/millrace/millrace/pipeline/export/card/cardtest"
)

// loadRecord is a record of the loaded files.
type loadRecord struct {
	RunID    string          `json:"run_id" parquet:"run_id"`
	Question string          `json:"question" parquet:"question"`
	Inputs   json.RawMessage `json:"inputs" parquet:"inputs,json"`
}

// loadRecords returns records that are hard for readers: a key with values of every type, texts
// that look like numbers or comments, quotes and line breaks, and a line of 20 MB in one of 3
// files.
func loadRecords(files, each int) [][]loadRecord {
	var all [][]loadRecord
	for f := range files {
		var records []loadRecord
		for i := range each {
			r := loadRecord{
				RunID:    fmt.Sprintf("%04d", f*each+i),
				Question: []string{"#c", "a \"q\", b\r\nc\n#d", "", "-1.5", "é\u2028"}[i%5],
				Inputs: json.RawMessage([]string{`{"n":1}`, `{"n":"one"}`, `{"n":{"deep":[1,"x"]}}`, `{"other":null}`,
					`{}`}[(f+i)%5]),
			}
			if files == 3 && f == files-1 && i == each-1 {
				r.Inputs = json.RawMessage(`{"n":"` + strings.Repeat("x", 20<<20) + `"}`)
			}
			records = append(records, r)
		}
		all = append(all, records)
	}
	return all
}

// encodeForLoad writes each format with another library than Millrace does.
func encodeForLoad(t *testing.T, format, compression string, records []loadRecord) (body []byte, extension string) {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch format {
	case export.JSONL:
		for _, r := range records {
			err = json.NewEncoder(&b).Encode(r)
		}
	case export.JSON:
		err = json.NewEncoder(&b).Encode(records)
	case export.CSV:
		w := csv.NewWriter(&b)
		w.UseCRLF = true
		w.Write([]string{"run_id", "question", "inputs"})
		for _, r := range records {
			w.Write([]string{r.RunID, r.Question, string(r.Inputs)})
		}
		w.Flush()
		err = w.Error()
	case export.Parquet:
		err = parquet.Write(&b, records)
		compression = export.NoCompression // Parquet compresses its columns
	}
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	var w io.WriteCloser
	switch compression {
	case export.NoCompression:
		return b.Bytes(), format
	case export.Gzip:
		w, extension = gzip.NewWriter(&packed), format+".gz"
	case export.Zstd:
		if w, err = zstd.NewWriter(&packed); err != nil {
			t.Fatal(err)
		}
		extension = format + ".zst"
	}
	w.Write(b.Bytes())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes(), extension
}

// The command of a completion loads exactly the files of the manifest, in all formats, for any
// number of files and any address of the bucket. The command of the card loads them from the
// folder.
func TestTheCommandsLoadTheFilesOfTheManifest(t *testing.T) {
	t.Parallel()
	env := cardtest.DuckDB(t)
	const each = 5
	for _, format := range []string{export.JSONL, export.JSON, export.CSV, export.Parquet} {
		for _, compression := range []string{export.NoCompression, export.Gzip, export.Zstd} {
			for _, files := range []int{1, 3, 45} {
				if files != 3 && compression != export.NoCompression || format == export.Parquet &&
					compression != export.NoCompression {
					continue // the commands are the same
				}
				t.Run(fmt.Sprint(format, " ", compression, " ", files), func(t *testing.T) {
					t.Parallel()
					dir := filepath.Join(t.TempDir(), "a 'b' $HOME `c` ü%20") + "/"
					p, m := cardOf(t, fmt.Sprintf(`"format":%q,"compression":%q`, format, compression))
					var extension string
					for i, records := range loadRecords(files, each) {
						var body []byte
						body, extension = encodeForLoad(t, format, compression, records)
						f := export.File{Kind: export.Data, Split: []string{"train", "validation"}[i*2/(files+1)], Window: i,
							Records: each, Bytes: int64(len(body))}
						f.Key = export.DataName(f.Split, i, 0, "mine", extension)
						write(t, dir+f.Key, body)
						m.Files = append(m.Files, f)
						m.Totals.Files++
					}
					orphan, _ := encodeForLoad(t, format, compression, loadRecords(1, each)[0])
					write(t, dir+export.DataName("train", 0, 0, "late", extension), orphan)
					readme := string(card.README(p, m))
					m.Add(export.CardName, export.Card, []byte(readme))
					text, err := json.MarshalIndent(m, "", "  ")
					if err != nil {
						t.Fatal(err)
					}
					write(t, dir+export.ManifestName, text)
					c, err := export.NewCompletion(p, text, (&url.URL{Scheme: "file", Path: dir + export.ManifestName}).String(),
						card.LoadWith)
					if err != nil {
						t.Fatal(err)
					}
					_, inCard, _ := strings.Cut(readme, "```sh\n")
					inCard, _, _ = strings.Cut(inCard, "\n```")
					for command, workDir := range map[string]string{c.LoadWith: "/", inCard: dir} {
						if workDir == dir && compression != export.NoCompression {
							continue
						}
						got := cardtest.Load(t, env, workDir, command,
							"SELECT 'n=' || count(*) || ' ids=' || count(DISTINCT run_id) || ' from ' || min(run_id) || ' to ' || "+
								"max(run_id) AS found")
						if want := fmt.Sprintf("n=%d ids=%d from 0000 to %04d", files*each, files*each,
							files*each-1); !strings.Contains(got, want) {
							t.Errorf("%s\nprints %.500s, want %s", command, got, want)
						}
					}
				})
			}
		}
	}
}

func TestThereIsACommandOnlyForLoadableFiles(t *testing.T) {
	t.Parallel()
	data := []export.File{{Key: "data/a.jsonl", Kind: export.Data}}
	for name, c := range map[string]struct {
		status export.Status
		files  []export.File
		uri    string
		want   string
	}{
		"file": {export.StatusSucceeded, data, "file:///b/x%20y/manifest.json",
			`duckdb -c "FROM read_json('/b/x y/data/a.jsonl', format = 'newline_delimited', `},
		"s3": {export.StatusSucceeded, data, "s3://b/p/manifest.json",
			`duckdb -c "CREATE SECRET (TYPE s3, PROVIDER credential_chain); FROM read_json('s3://b/p/data/a.jsonl', `},
		"memory": {export.StatusSucceeded, data, "mem://p/manifest.json", ""},
		"empty":  {export.StatusSucceeded, nil, "file:///b/manifest.json", ""},
		"card only": {export.StatusSucceeded, []export.File{{Key: "README.md", Kind: export.Card}}, "file:///b/manifest.json",
			""},
		"failed": {export.StatusFailed, nil, "file:///b/manifest.json", ""},
	} {
		p, m := cardOf(t, `"format":"jsonl"`)
		m.Status, m.Files = c.status, c.files
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		completion, err := export.NewCompletion(p, text, c.uri, card.LoadWith)
		if err != nil {
			t.Fatal(err)
		}
		if got := completion.LoadWith; !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func write(t *testing.T, path string, body []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o644); err != nil {
		t.Fatal(err)
	}
}
