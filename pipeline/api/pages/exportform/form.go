// Package exportform is what the export form asks for: its fields become a request, and what is wrong with the
// request belongs to one of its fields. It is pure. Package pages shows the form.
//
//	form.go      Form: the fields, and the request that they are
//	options.go   the options of a target as controls
//	proposals.go what to change about a warning
package exportform

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// What a form selects.
const (
	Newest = "newest" // as many as the limit says
	Sample = "sample"
	Picked = "picked" // the named runs
)

// Form is a form that is filled in.
type Form struct {
	Fields  url.Values // as they were sent
	Filters export.Filters
	From    time.Time // the time range; zero where it has no such end
	To      time.Time
	Name    string // the name of an export that gets none
	Now     time.Time
}

// Get returns the value of a field without space around it.
func (f *Form) Get(name string) string { return strings.TrimSpace(f.Fields.Get(name)) }

// Purpose is the chosen purpose, or the first.
func (f *Form) Purpose() string {
	if p := f.Get("purpose"); slices.Contains(format.Purposes, p) {
		return p
	}
	return format.Purposes[0]
}

// Target is the chosen target of the purpose, or its default.
func (f *Form) Target() *format.Target {
	if t, err := targets.Find(f.Purpose(), f.Get("target")); err == nil {
		return t
	}
	return targets.Targets(f.Purpose())[0]
}

// Format is the chosen format of the target, or its default.
func (f *Form) Format() string {
	if name := f.Get("format"); slices.Contains(f.Target().Formats, name) {
		return name
	}
	return f.Target().Formats[0]
}

// Take is what the form selects: Newest, Sample or Picked.
func (f *Form) Take() string {
	if take := f.Get("take"); take == Sample || take == Picked {
		return take
	}
	return Newest
}

// Nodes reports whether requests of a purpose require, allow or refuse nodes: "required", "optional" or "none".
func Nodes(purpose string) string {
	switch purpose {
	case format.NodeEvaluation, format.NodeOptimization:
		return "required"
	case format.FineTuning:
		return "optional"
	}
	return "none"
}

// list returns the entries of a field: of each of its values those between commas, spaces and ends of lines.
func (f *Form) list(name string) (all []string) {
	for _, value := range f.Fields[name] {
		all = append(all, strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })...)
	}
	return all
}

// Apps are the apps that the form names; none is all of the source.
func (f *Form) Apps() []string { return f.list("app") }

// RunIDs are the runs that the form names.
func (f *Form) RunIDs() []string { return f.list("run_ids") }

// ChosenNodes are the nodes that the form names.
func (f *Form) ChosenNodes() []string { return f.list("nodes") }

// document is a request in the order in which people read it. Numbers that are none stay texts: the check of the
// request says what is wrong with them.
type document struct {
	Name        string          `json:"name,omitempty"`
	Purpose     string          `json:"purpose"`
	Source      string          `json:"source"`
	AppID       any             `json:"app_id,omitempty"`
	Selection   selection       `json:"selection"`
	Filters     *export.Filters `json:"filters,omitempty"`
	Nodes       []string        `json:"nodes,omitempty"`
	Target      string          `json:"target,omitempty"`
	Format      string          `json:"format,omitempty"`
	Compression string          `json:"compression,omitempty"`
	Split       map[string]any  `json:"split,omitempty"`
	Options     map[string]any  `json:"options,omitempty"`
}

type selection struct {
	RunIDs    []string `json:"run_ids,omitempty"`
	Limit     any      `json:"limit,omitempty"`
	LimitRuns any      `json:"limit_runs,omitempty"`
	Sample    any      `json:"sample,omitempty"`
	Window    *window  `json:"window,omitempty"`
}

type window struct {
	By   string `json:"by"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Document returns the request of the form as JSON, without the fields that each export has of its own.
func (f *Form) Document() []byte {
	d := document{Name: f.Get("name"), Purpose: f.Get("purpose"), Source: f.Get("source"), Selection: f.selection(),
		Target: f.Target().Name, Format: f.Format(), Compression: f.Get("compression"), Split: f.split(),
		Options: f.options()}
	if d.Name == "" {
		d.Name = f.Name
	}
	if d.Purpose == "" {
		d.Purpose = f.Purpose()
	}
	switch apps := f.Apps(); len(apps) {
	case 0:
	case 1:
		d.AppID = apps[0]
	default:
		d.AppID = apps
	}
	if filters := f.Filters; f.Take() != Picked && (filters.Statuses != nil || filters.Narrow()) {
		d.Filters = &filters
	}
	if Nodes(d.Purpose) != "none" {
		d.Nodes = f.ChosenNodes()
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		panic(err) // the types are plain, and their numbers finite
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// number returns the value of a field as a number, or as the text that it is. nil: the field is empty.
func (f *Form) number(name string) any {
	text := f.Get(name)
	switch {
	case text == "":
		return nil
	case validNumber(text):
		return json.Number(text)
	}
	return text
}

func validNumber(text string) bool {
	var n json.Number
	return json.Unmarshal([]byte(text), &n) == nil && text[0] != '"' && n != ""
}

func (f *Form) selection() (s selection) {
	if f.Take() == Picked {
		return selection{RunIDs: f.RunIDs()}
	}
	if !f.From.IsZero() || !f.To.IsZero() {
		s.Window = &window{By: f.Get("by"), From: stamp(f.From), To: stamp(f.To)}
		if s.Window.By == "" {
			s.Window.By = export.ByStartedAt
		}
		if f.From.IsZero() {
			s.Window.From = stamp(time.Unix(0, 0))
		}
		if f.To.IsZero() {
			s.Window.To = stamp(f.Now)
		}
	}
	switch {
	case f.Take() == Sample:
		sample := map[string]any{}
		s.Sample = sample
		for field, key := range map[string]string{"sample_size": "size", "sample_seed": "seed"} {
			if n := f.number(field); n != nil {
				sample[key] = n
			}
		}
		if by := f.Get("sample_by"); by != "" {
			sample["by"] = by
		}
	case f.Get("limit_of") == "runs" && len(f.ChosenNodes()) > 0 && Nodes(f.Purpose()) != "none":
		s.LimitRuns = f.number("limit")
	default:
		s.Limit = f.number("limit")
	}
	return s
}

// split returns the shares, which the form has in percent.
func (f *Form) split() map[string]any {
	split := map[string]any{}
	for _, name := range []string{"validation", "test"} {
		text := f.Get(name)
		if x, err := strconv.ParseFloat(text, 64); err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			if text != "" {
				split[name] = text
			}
		} else if x != 0 {
			share, _ := strconv.ParseFloat(strconv.FormatFloat(x/100, 'g', 12, 64), 64) // 7 % is 0.07
			split[name] = share
		}
	}
	if len(split) == 0 {
		return nil
	}
	if seed := f.number("seed"); seed != nil {
		split["seed"] = seed
	}
	return split
}

// Fields of the form that an error may belong to; "" is none.
var fields = []struct{ pointer, field string }{
	{"/name", "name"}, {"/purpose", "purpose"}, {"/nodes", "nodes"}, {"/target", "target"}, {"/format", "format"},
	{"/compression", "compression"}, {"/split", "split"}, {"/options", "options"}, {"/app_id", "app"},
	{"/selection/sample", "sample"}, {"/selection/window", "window"}, {"/selection", "limit"}, {"/filters", "filters"},
}

// Mistake is what is wrong with the request of a form.
type Mistake struct {
	Field string // of the form, or ""
	Text  string
}

// Check returns the request for an export, or what is wrong with it.
func (f *Form) Check(id export.ID, document []byte) (*export.Request, []Mistake) {
	r, err := export.ParseRequest(withID(id, document))
	var found export.Mistakes
	var refusal *strictjson.Refusal
	switch {
	case errors.As(err, &found):
	case errors.As(err, &refusal):
		found = export.Mistakes{{Pointer: refusal.Pointer, Message: refusal.Rule}}
	case err != nil:
		return nil, []Mistake{{Text: err.Error()}}
	default:
		return r, nil
	}
	mistakes := make([]Mistake, len(found))
	for i, m := range found {
		mistakes[i] = f.mistake(m)
	}
	return nil, mistakes
}

func (f *Form) mistake(m export.Mistake) Mistake {
	for _, at := range fields {
		if m.Pointer != at.pointer && !strings.HasPrefix(m.Pointer, at.pointer+"/") {
			continue
		}
		rest := strings.Trim(strings.TrimPrefix(m.Pointer, at.pointer), "/")
		switch {
		case m.Pointer == "/selection" && f.Take() == Newest:
			return Mistake{at.field, "Give a limit, or a time range."}
		case at.field == "options" || rest == "" || at.field == "limit":
			return Mistake{at.field, sentence(m.Message)}
		}
		return Mistake{at.field, sentence(rest + " " + m.Message)}
	}
	return Mistake{Text: sentence(strings.TrimPrefix(m.Pointer, "/") + " " + m.Message)}
}

// withID returns a request with the identity of an export.
func withID(id export.ID, document []byte) []byte {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(document, &fields); err != nil {
		return document
	}
	for key, value := range map[string]string{"export_id": id.ExportID, "workspace_id": id.WorkspaceID} {
		fields[key], _ = json.Marshal(value)
	}
	all, err := json.Marshal(fields)
	if err != nil {
		return document
	}
	return all
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999Z07:00") }

// sentence makes a sentence of what a rule says about a field.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "must ") || strings.HasPrefix(s, "is ") {
		s = "It " + s
	}
	if s == "" {
		return s
	}
	return strings.TrimSuffix(strings.ToUpper(s[:1])+s[1:], ".") + "."
}
