// Package card writes the documents that help people and tools to read the files of an export. It
// is pure.
//
//	card.go      README: the dataset card, its head and its body
//	columns.go   the columns in the card
//	text.go      texts of other people as Markdown
//	empty.go     Empty: the file of no rows that the card of an empty export lists
//	sidecar.go   Sidecar: the file that the reader of a target needs beside the records
//	loadwith.go  LoadWith: the command that loads a data set
package card

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// README returns README.md of a successful export. It is a dataset card as the Hugging Face Hub and
// its library read it (https://huggingface.co/docs/hub/datasets-cards). The head lists the exact
// files of each split, because the library would guess splits from words in paths. Without data
// files it lists EmptyName for each split of the request. The body describes the files to people.
// README is a pure function of the plan and of m before m lists sidecars. Only the head grows with
// the number of files.
func README(p *export.Plan, m *export.Manifest) []byte {
	c := &card{plan: p, manifest: m, splits: splitsOf(m)}
	if len(c.splits) == 0 {
		c.splits, c.empty = emptySplits(p.Request), true
	}
	c.head()
	c.about()
	c.counts()
	c.warnings()
	c.columnTable()
	if c.empty {
		c.loadingNothing()
	} else {
		c.loading()
	}
	return []byte(c.String())
}

// split is a split with its data files, in order.
type split struct {
	name           string
	files          []export.File
	records, bytes int64
}

func splitsOf(m *export.Manifest) (splits []*split) {
	for _, f := range m.Files {
		if f.Kind != export.Data {
			continue
		}
		i := slices.IndexFunc(splits, func(s *split) bool { return s.name == f.Split })
		if i < 0 {
			i = len(splits)
			splits = append(splits, &split{name: f.Split})
		}
		s := splits[i]
		s.files = append(s.files, f)
		s.records += f.Records
		s.bytes += f.Bytes
	}
	slices.SortStableFunc(splits, func(a, b *split) int {
		return slices.Index(format.Splits, a.name) - slices.Index(format.Splits, b.name)
	})
	return splits
}

type card struct {
	strings.Builder
	plan     *export.Plan
	manifest *export.Manifest
	splits   []*split
	empty    bool // the files of the splits are EmptyName
}

func (c *card) line(format string, args ...any) {
	fmt.Fprintf(c, format, args...)
	c.WriteByte('\n')
}

// head writes the front matter in YAML. It quotes strings as Go does: every escape of Go means the
// same in YAML.
func (c *card) head() {
	name := c.manifest.Name
	if name == "" {
		name = c.manifest.ExportID
	}
	c.line("---")
	c.line("pretty_name: %s", strconv.Quote(shorten(name)))
	c.line("size_categories:\n- %q", sizeCategory(c.manifest.Totals.Records))
	c.line("configs:\n- config_name: default\n  data_files:")
	for _, s := range c.splits {
		c.line("  - split: %s\n    path:", strconv.Quote(s.name))
		for _, f := range s.files {
			c.line("    - %s", strconv.Quote(f.Key))
		}
	}
	if c.manifest.Format == export.CSV && !c.empty {
		c.line("  keep_default_na: false") // texts such as NA, null and None stay texts
	}
	// The library refuses a split with another number of examples than num_examples, and ignores a
	// split without num_bytes. The size of the examples in its memory is unknown here, so that
	// num_bytes is the size of the files.
	c.line("dataset_info:")
	if columns := c.columns(); len(columns) > 0 {
		c.line("  features:")
		features(&c.Builder, c.manifest.Format, columns)
	}
	c.line("  splits:")
	for _, s := range c.splits {
		c.line("  - name: %s\n    num_bytes: %d\n    num_examples: %d", strconv.Quote(s.name), s.bytes, s.records)
	}
	c.line("  download_size: %d\n  dataset_size: %[1]d", c.manifest.Totals.Bytes)
	c.line("---")
}

// sizeCategory returns the name that the Hub gives to a number of records.
func sizeCategory(records int64) string {
	if records < 1000 {
		return "n<1K"
	}
	names := []string{"1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T"}
	i := 0
	for n := records / 10_000; n > 0 && i < len(names)-2; n /= 10 {
		i++
	}
	return names[i] + "<n<" + names[i+1]
}

// apps names the copilots or recipes of a request.
func apps(r *export.Request) string {
	noun := r.Source
	if len(r.AppID) != 1 {
		noun += "s"
	}
	if len(r.AppID) == 0 {
		return "all " + noun + " of the workspace"
	}
	return noun + " " + codeSpans(r.AppID)
}

func (c *card) about() {
	p, r := c.plan, c.plan.Request
	title := "Export " + codeSpan(c.manifest.ExportID)
	if r.Name != "" {
		title = codeSpan(r.Name)
	}
	c.line("\n# %s\n", title)
	c.line("%s of %s, exported by [Millrace](https://github.com/millrace/millrace) for the purpose %s.\n",
		capitalize(rowNoun(r)), apps(r), codeSpan(r.Purpose))
	c.item("Export", "%s in workspace %s", codeSpan(p.ExportID), codeSpan(p.WorkspaceID))
	asked := p.RequestedAt.UTC().Format(time.RFC3339)
	if r.RequestedBy != "" {
		asked = codeSpan(r.RequestedBy) + ", " + asked
	}
	if r.OnBehalfOf != "" {
		asked += ", on behalf of " + codeSpan(r.OnBehalfOf)
	}
	c.item("Asked for", "%s", asked)
	if len(r.Nodes) > 0 {
		c.item("Nodes", "%s", codeSpans(r.Nodes))
	}
	c.item("Selection", "%s", describeSelection(&p.Selection, rowNoun(r), len(r.Nodes)))
	c.item("Filters", "%s", describeFilters(&r.Filters))
	if r.Split != nil {
		c.item("Split", "%s of the records to validation, %s to test, seed %d", percent(r.Split.Validation),
			percent(r.Split.Test), r.Split.Seed)
	}
	if len(r.Options) > 0 {
		if options, err := json.Marshal(r.Options); err == nil {
			c.item("Options", "%s", codeSpan(string(options)))
		}
	}
	c.item("Shape", "target %s, schema %s", codeSpan(r.Target), codeSpan(c.manifest.SchemaID))
	c.item("Format", "%s, compression %s", codeSpan(r.Format), codeSpan(r.Compression))
	if from, to, ok := c.period(); ok {
		c.item("Started", "from %s to %s", from.UTC().Format(timeFormat), to.UTC().Format(timeFormat))
	}
	if w := c.manifest.Watermark; !w.IsZero() {
		c.item("Watermark", "%s: the `from` of the next incremental export", w.UTC().Format(time.RFC3339Nano))
	}
}

const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// period returns the times at which the first and the last exported run started.
func (c *card) period() (from, to time.Time, ok bool) {
	for _, s := range c.splits {
		for _, f := range s.files {
			if f.MinStartedAt.IsZero() || f.MaxStartedAt.IsZero() {
				continue
			}
			if !ok || f.MinStartedAt.Before(from) {
				from = f.MinStartedAt
			}
			if !ok || f.MaxStartedAt.After(to) {
				to = f.MaxStartedAt
			}
			ok = true
		}
	}
	return from, to, ok
}

func (c *card) counts() {
	c.line("\n## Counts\n\n| Split | Files | Records | Bytes |\n|---|---:|---:|---:|")
	for _, s := range c.splits {
		files := int64(len(s.files))
		if c.empty {
			files = 0
		}
		c.line("| %s | %s | %s | %s |", codeSpan(s.name), withThousands(files), withThousands(s.records),
			withThousands(s.bytes))
	}
	m := c.manifest
	c.line("\n| Source rows | |\n|---|---:|\n| selected | %s |\n| used | %s |", withThousands(m.Totals.RowsPlanned),
		withThousands(m.Totals.RowsUsed))
	for _, reason := range slices.Sorted(maps.Keys(m.Dropped)) {
		c.line("| dropped, %s | %s |", codeSpan(reason), withThousands(m.Dropped[reason]))
	}
	if m.Totals.Vanished > 0 {
		c.line("| vanished | %s |", withThousands(m.Totals.Vanished))
	}
}

func (c *card) warnings() {
	if len(c.manifest.Warnings) == 0 {
		return
	}
	c.line("\n## Warnings\n")
	for i, w := range c.manifest.Warnings {
		if i == maxListed {
			c.line("- and %d more, in %s", len(c.manifest.Warnings)-i, codeSpan(export.ManifestName))
			return
		}
		c.line("- %s: %s", codeSpan(w.Code), codeSpan(w.Message))
	}
}

// loading writes commands that load the files, with paths relative to the folder.
func (c *card) loading() {
	c.line("\n## How to load it\n")
	in := "In this folder, with"
	if target, err := targets.Find(c.manifest.Purpose, c.manifest.Target); err == nil && target.Load != "" {
		c.line("It is made for %s. In this folder, for each file:\n\n```sh\n%s\n```\n", target.Reader,
			LoadWith(c.manifest, ""))
		in = "To look at it, with"
	}
	c.line("%s [DuckDB](https://duckdb.org):\n\n```sh\n%s\n```", in, duckDB(c.manifest, ""))
	c.line("\nIn Python with its package `duckdb`, as a table of [PyArrow](https://arrow.apache.org/docs/python):"+
		"\n\n```python\n%s\n```", python(c.manifest, c.splits))
	name := c.splits[0].name
	c.line("\nThe table becomes a data frame of [pandas](https://pandas.pydata.org) or [Polars](https://pola.rs) without a "+
		"change of its values:\n\n```python\nimport pandas\n\ndata = %s.to_pandas(types_mapper=pandas.ArrowDtype)\n```"+
		"\n\n```python\nimport polars\n\ndata = polars.from_arrow(%[1]s)\n```", name)
	c.line("\nWith [Hugging Face Datasets](https://huggingface.co/docs/datasets), version 5 or later:\n\n```python\n%s\n```",
		c.dataset())
	c.line("\n%s lists every file with its size, count of records and SHA-256.", codeSpan(export.ManifestName))
}

// dataset returns Python that makes a data set of Hugging Face Datasets. Its load_dataset changes
// values of every format but Parquet: see python.
func (c *card) dataset() string {
	if c.manifest.Format == export.Parquet {
		return "import os\nfrom datasets import load_dataset\n\ndata = load_dataset(os.getcwd())"
	}
	tables := make([]string, len(c.splits))
	for i, s := range c.splits {
		tables[i] = fmt.Sprintf("%q: datasets.Dataset(%s)", s.name, s.name)
	}
	return "import datasets\n\ndata = datasets.DatasetDict({" + strings.Join(tables, ", ") + "})"
}

func (c *card) item(name, format string, args ...any) { c.line("- **"+name+":** "+format, args...) }

// rowNoun returns the noun for the source rows of a request.
func rowNoun(r *export.Request) string {
	if len(r.Nodes) > 0 {
		return "node runs"
	}
	return "runs"
}

func capitalize(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
