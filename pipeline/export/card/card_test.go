package card_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"go.yaml.in/yaml/v3"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/card"
)

var update = flag.Bool("update", false, "write the golden files anew")

var firstDay = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// cardOf returns the plan and the manifest of a successful export with the request's fields, still
// without files.
func cardOf(t *testing.T, fields string) (*export.Plan, *export.Manifest) {
	t.Helper()
	doc := `{"export_id":"e1","workspace_id":"acme","source":"recipe","app_id":"math-tutor","selection":{"limit":1000},` +
		fields + `}`
	if !strings.Contains(fields, `"purpose"`) {
		doc = `{"purpose":"export_dataset",` + doc[1:]
	}
	r, err := export.ParseRequest([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	p := &export.Plan{ID: r.ID, Request: r, Selection: r.Selection, Options: r.Options, RequestedAt: firstDay,
		AcceptedAt: firstDay}
	return p, export.NewManifest(p, export.StatusSucceeded, nil, nil, "", time.Time{})
}

func list(split string, n int, records int64) (list []export.File) {
	for i := range n {
		list = append(list, export.File{
			Key: export.DataName(split, i, 0, "a1b2c3d4",
				"jsonl"), Kind: export.Data, Split: split, Window: i, Records: records, Bytes: 1000 * records,
			MinStartedAt: firstDay.Add(time.Duration(i) * time.Hour), MaxStartedAt: firstDay.Add(time.Duration(i+1) * time.Hour),
		})
	}
	return list
}

func TestTheCardIsTheGoldenFile(t *testing.T) {
	t.Parallel()
	p, _ := cardOf(t, `"name":"October math tutor","requested_by":"analytics@acme.example","format":"jsonl",
		"filters":{"app_versions":["v1","v2"],"rating":"thumbsUp","min_score":0.5,"session_id":"s","user_id":"u","metadata":{"region":"eu"}},
		"split":{"validation":0.1,"test":0.05,"seed":7},"options":{"columns":["run_id","answer"]}`)
	p.Selection = export.Selection{Limit: 12000, Window: &export.TimeWindow{By: export.ByIngestedAt, From: firstDay,
		To: firstDay.Add(31 * 24 * time.Hour)}}
	p.Watermark = p.Selection.Window.To
	p.Warnings = []export.Warning{{Code: "runs_not_found", Message: "2 of the run_ids do not exist"}}
	windows := []*export.WindowManifest{
		{Rows: 7000, RowsUsed: 6000, Records: 6000, Dropped: map[string]int64{"record_too_large": 600, "no_output": 400},
			Files: append(list("validation", 1, 1000), list("train", 2, 2500)...)},
		{Rows: 5000, RowsUsed: 4990, Vanished: 10, Records: 4990,
			Files: append(list("train", 3, 1663)[2:], export.File{Key: "__meta__/lineage-00001-a1b2c3d4.jsonl",
				Kind: export.Lineage, Records: 4990, Bytes: 7})},
	}
	m := export.NewManifest(p, export.StatusSucceeded, nil, windows, "", time.Time{})
	got := card.README(p, m)
	later := export.NewManifest(p, export.StatusSucceeded, nil, windows, "another record", time.Now())
	if again := card.README(p, later); !bytes.Equal(got, again) {
		t.Error("the card depends on when and by whom the export is sealed")
	}
	const golden = "testdata/card.md"
	if *update {
		write(t, golden, got)
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the card is not %s (go test -update writes it):\n%s", golden, got)
	}
	m.Add(export.CardName, export.Card, got)
	if m.Totals.Files != 4 || m.Totals.Bytes != 7663000 || m.Totals.Vanished != 10 {
		t.Errorf("totals %+v count more than data files", m.Totals)
	}
	if card := m.Files[len(m.Files)-1]; card.Key != "README.md" || card.Kind != export.Card ||
		card.Bytes != int64(len(got)) || card.SHA256 != export.HashText(got) {
		t.Errorf("it is listed as %+v", card)
	}
}

// head is the parsed front matter.
type head struct {
	PrettyName     string   `yaml:"pretty_name"`
	SizeCategories []string `yaml:"size_categories"`
	Configs        []struct {
		ConfigName string `yaml:"config_name"`
		DataFiles  []struct {
			Split string
			Path  []string
		} `yaml:"data_files"`
	}
	DatasetInfo struct {
		Features []any
		Splits   []struct {
			Name        string
			NumBytes    int64 `yaml:"num_bytes"`
			NumExamples int64 `yaml:"num_examples"`
		}
		DownloadSize int64 `yaml:"download_size"`
		DatasetSize  int64 `yaml:"dataset_size"`
	} `yaml:"dataset_info"`
}

func parseCard(t *testing.T, card []byte) (h head, body []byte) {
	t.Helper()
	parts := bytes.SplitN(card, []byte("---\n"), 3)
	if len(parts) != 3 || len(parts[0]) > 0 {
		t.Fatalf("there is no front matter in %.500s", card)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(parts[1]))
	decoder.KnownFields(true)
	if err := decoder.Decode(&h); err != nil {
		t.Fatalf("%v in %.500s", err, parts[1])
	}
	return h, parts[2]
}

func TestTheHeadListsTheExactFilesOfEachSplitInOrder(t *testing.T) {
	t.Parallel()
	p, m := cardOf(t, `"format":"jsonl"`)
	want := map[string][]string{}
	for window := range 10_000 {
		split := []string{"test", "train", "validation"}[window%3]
		f := list(split, 1, 150)[0]
		f.Key = export.DataName(split, window, 0, "a", "jsonl")
		m.Files = append(m.Files, f)
		want[split] = append(want[split], f.Key)
	}
	m.Totals.Records = 1_500_000
	h, body := parseCard(t, card.README(p, m))
	var splits []string
	for _, d := range h.Configs[0].DataFiles {
		splits = append(splits, d.Split)
		if !slices.Equal(d.Path, want[d.Split]) {
			t.Errorf("%s has %d files, want %d", d.Split, len(d.Path), len(want[d.Split]))
		}
	}
	if !slices.Equal(splits, []string{"train", "validation", "test"}) || h.Configs[0].ConfigName != "default" ||
		h.SizeCategories[0] != "1M<n<10M" {
		t.Errorf("splits %v, config %q, %v", splits, h.Configs[0].ConfigName, h.SizeCategories)
	}
	for _, s := range h.DatasetInfo.Splits {
		if n := 150 * int64(len(want[s.Name])); s.NumExamples != n || s.NumBytes != 1000*n {
			t.Errorf("%+v", s)
		}
	}
	if len(body) > 12_000 {
		t.Errorf("the body has %d bytes", len(body))
	}
}

func TestSizesHaveTheNamesOfTheHub(t *testing.T) {
	t.Parallel()
	for records, want := range map[int64]string{
		1: "n<1K", 999: "n<1K", 1000: "1K<n<10K", 9999: "1K<n<10K", 10_000: "10K<n<100K", 1_000_000: "1M<n<10M",
		1_000_000_000: "1B<n<10B", 1 << 62: "100B<n<1T",
	} {
		p, m := cardOf(t, `"format":"jsonl"`)
		m.Files, m.Totals.Records = list("train", 1, records), records
		if h, _ := parseCard(t, card.README(p, m)); h.SizeCategories[0] != want {
			t.Errorf("%d records: %v, want %s", records, h.SizeCategories, want)
		}
	}
}

var hostile = []string{
	"plain", "`code`", "``", "` `", " ", "", "a\nb", "\r\n---\r\n", "---", "\n---\nconfigs: []\n---\n", "# title",
	"\n# title\n", "<script>alert(1)</script>",
	"<!-- ", "--> x", "&lt;b&gt;", "[a](https://evil.example)", "![](x)", "www.evil.example https://evil.example", "|a|b|",
	"**b**", "$x$", ":smile:", "- item", "1. item",
	"```\ncode\n```", "~~~", "\\`", "\\", "'", "\"", "#{}", "{{x}}", "%TAG", "!!python/object", "&a *a", "? x : y", "null",
	"yes", "0x1F", "~",
	"\x01\x1b[2J\x7f", "\u0085\u2028\u2029\ufeff\ufffe\uffff", "\u202eabc", "a\tb", "漢字 é 👩‍💻 \U0010ffff \ue000",
	strings.Repeat("`", 300), strings.Repeat("x\n", 10_000),
}

// Names, filters and texts of warnings may contain anything. The head repeats them exactly, and the
// body has the same structure as with plain texts.
func TestHostileTextsStayTexts(t *testing.T) {
	t.Parallel()
	want := ""
	for i, s := range hostile {
		p, m := cardOf(t, `"name":"n","requested_by":"r","format":"jsonl","filters":{"app_versions":["v"],"user_id":"u"}`)
		p.Request.Options = map[string]any{"o": s}
		// Requests restrict these fields, but a plan of another release may contain anything.
		p.Request.Name, p.Request.RequestedBy, p.Request.AppID, m.Name = s, s, export.Apps{s}, s
		p.Request.Filters = export.Filters{AppVersions: []string{s, s}, SessionID: &s, UserID: &s,
			Metadata: map[string]string{s: s}}
		m.Files, m.Totals.Records = list("train", 1, 1), 1
		m.Warnings = []export.Warning{{Code: "c", Message: s}}
		m.Dropped = map[string]int64{"no_output": 1}
		h, body := parseCard(t, card.README(p, m))
		switch {
		case s == "":
			s = "e1"
		case len([]rune(s)) > 200:
			s = string([]rune(s)[:200]) + "…"
		}
		if h.PrettyName != s {
			t.Errorf("the head of %.100q says %.100q", s, h.PrettyName)
		}
		if got := structure(body); want == "" {
			want = got
		} else if s != "e1" && got != want {
			t.Errorf("text %d, %.100q, changes the structure from\n%s\nto\n%s", i, s, want, got)
		}
	}
	if !strings.Contains(want, "Heading") || !strings.Contains(want, "CodeSpan") ||
		!strings.Contains(want, "FencedCodeBlock") || strings.Contains(want, "HTML") {
		t.Errorf("the structure is %s", want)
	}
}

// structure returns the nodes of a Markdown document without their texts, and the targets of its
// links.
func structure(body []byte) string {
	var b strings.Builder
	doc := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(body))
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.CodeSpan:
			b.WriteString("CodeSpan ")
			return ast.WalkSkipChildren, nil
		case *ast.Text:
			return ast.WalkContinue, nil
		case *ast.Link:
			fmt.Fprintf(&b, "Link to %s ", n.Destination)
		case *ast.Paragraph, *ast.Heading, *ast.List:
			fmt.Fprintf(&b, "\n%s ", n.Kind())
		default:
			fmt.Fprintf(&b, "%s ", n.Kind())
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// The features of Parquet are its columns, because the library casts the files to the features.
func TestTheCardDeclaresTheColumns(t *testing.T) {
	t.Parallel()
	for format, document := range map[string]string{"jsonl": "json", "json": "json", "parquet": "string", "csv": ""} {
		p, m := cardOf(t, `"format":"`+format+
			`","options":{"columns":["run_id","started_at","files","feedback","usage","cost_usd","metadata"]}`)
		m.Files = list("train", 1, 10)
		text := string(card.README(p, m))
		var head struct {
			Info struct {
				Features []any `yaml:"features"`
			} `yaml:"dataset_info"`
		}
		if err := yaml.Unmarshal([]byte(strings.Split(text, "---\n")[1]), &head); err != nil {
			t.Fatal(err)
		}
		want := `[{"dtype":"string","name":"run_id"},{"dtype":"timestamp[ms, tz=UTC]","name":"started_at"},` +
			`{"list":[{"dtype":"string","name":"file_id"},{"dtype":"string","name":"name"},{"dtype":"string","name":"uri"},{"dtype":"string","name":"content_type"},{"dtype":"int64","name":"size_bytes"},{"dtype":"string","name":"direction"}],"name":"files"},` +
			`{"name":"feedback","struct":[{"dtype":"string","name":"rating"},{"dtype":"float64","name":"score"},{"dtype":"string","name":"comment"},{"list":"string","name":"tags"},{"dtype":"string","name":"corrected_answer"}]},` +
			`{"name":"usage","struct":[{"dtype":"int64","name":"input_tokens"},{"dtype":"int64","name":"output_tokens"}]},{"dtype":"float64","name":"cost_usd"},{"dtype":"` + document +
			`","name":"metadata"}]`
		got, err := json.Marshal(head.Info.Features)
		if err != nil {
			t.Fatal(err)
		}
		if format == "csv" { // texts, and structs are divided
			want = "["
			for _, name := range []string{"run_id", "started_at", "files", "feedback_rating", "feedback_score",
				"feedback_comment", "feedback_tags", "feedback_corrected_answer", "usage_input_tokens", "usage_output_tokens",
				"cost_usd", "metadata"} {
				want += `{"dtype":"string","name":"` + name + `"},`
			}
			want = strings.TrimSuffix(want, ",") + "]"
		}
		if strings.Contains(text, "keep_default_na: false") != (format == "csv") {
			t.Errorf("%s: texts such as NA would become null", format)
		}
		if string(got) != want {
			t.Errorf("%s: features\n%s, want\n%s", format, got, want)
		}
		if !strings.Contains(text, "| `feedback.score` | number | may be null |") ||
			!strings.Contains(text, "| `run_id` | text |  |") {
			t.Errorf("%s: no table of columns in\n%s", format, text)
		}
	}
}
