package export

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/strictjson"
	"github.com/millrace/millrace/sinks/fragment"
)

// ParseRequest reads the JSON of a request, checks all rules that need no other data, and fills in
// the defaults. Package format defines targets, formats and options.
//
// The error is a *strictjson.Refusal where the document is unreadable or has no identity: the
// record becomes a dead letter. Otherwise the error is Mistakes, with up to MaxMistakes, and the
// request has the readable fields.
func ParseRequest(data []byte) (*Request, error) {
	p, err := newParser(data)
	if err != nil {
		return nil, err
	}
	var r Request
	p.request(&r)
	if err := p.identity(r.ID); err != nil {
		return nil, err
	}
	p.check(&r)
	if len(p.mistakes) > 0 {
		slices.SortStableFunc(p.mistakes, func(a, b Mistake) int { return strings.Compare(a.Pointer, b.Pointer) })
		return &r, p.mistakes[:min(len(p.mistakes), MaxMistakes)]
	}
	r.normalise(p)
	return &r, nil
}

// Cancel is the event that asks to end an export.
type Cancel struct {
	ID
	RequestedBy string `json:"requested_by,omitempty"`
}

// ParseCancel reads the JSON of a cancel. The error is a *strictjson.Refusal.
func ParseCancel(data []byte) (*Cancel, error) {
	p, err := newParser(data)
	if err != nil {
		return nil, err
	}
	var c Cancel
	p.object(func(key string) bool {
		switch key {
		case "export_id":
			p.id(&c.ExportID)
		case "workspace_id":
			p.workspaceID(&c.WorkspaceID)
		case "requested_by":
			p.text(&c.RequestedBy)
		case "type":
			return p.eventType(TypeCancelled)
		default:
			return false
		}
		return true
	})
	if err := p.identity(c.ID); err != nil {
		return nil, err
	}
	if len(p.mistakes) > 0 {
		return nil, p.mistakes[0].refusal()
	}
	return &c, nil
}

func (m Mistake) refusal() *strictjson.Refusal {
	return &strictjson.Refusal{Code: strictjson.Code(m.Code), Pointer: m.Pointer, Rule: m.Message}
}

func (p *parser) identity(id ID) error {
	for _, m := range p.mistakes {
		if m.Pointer == "/export_id" || m.Pointer == "/workspace_id" {
			return m.refusal()
		}
	}
	switch "" {
	case id.ExportID:
		return &strictjson.Refusal{Code: strictjson.MissingField, Pointer: "/export_id", Rule: "is required"}
	case id.WorkspaceID:
		return &strictjson.Refusal{Code: strictjson.MissingField, Pointer: "/workspace_id", Rule: "is required"}
	}
	return nil
}

func (p *parser) request(r *Request) {
	p.absent = p.object(func(key string) bool {
		switch key {
		case "export_id":
			p.id(&r.ExportID)
		case "workspace_id":
			p.workspaceID(&r.WorkspaceID)
		case "name":
			p.text(&r.Name)
		case "requested_by":
			p.text(&r.RequestedBy)
		case "on_behalf_of":
			p.text(&r.OnBehalfOf)
		case "purpose":
			p.enum(&r.Purpose, format.Purposes)
		case "source":
			p.enum(&r.Source, sources)
		case "app_id":
			p.apps(&r.AppID)
		case "selection":
			p.selection(&r.Selection)
		case "filters":
			p.filters(&r.Filters)
		case "nodes":
			p.texts(&r.Nodes, maxList, p.id)
		case "target":
			p.enum(&r.Target, allTargets())
		case "format":
			p.enum(&r.Format, formats)
		case "compression":
			p.enum(&r.Compression, compressions)
		case "fragment":
			p.fragment()
		case "split":
			r.Split = &Split{}
			p.split(r.Split)
		case "options":
			p.options(&r.Options)
		case "type":
			return p.eventType(TypeRequested)
		default:
			return false
		}
		return true
	}, "purpose", "source", "selection")
}

func (p *parser) selection(s *Selection) {
	isObject := p.r.Kind() == strictjson.Object
	has := map[string]bool{}
	p.object(func(key string) bool {
		has[key] = true
		switch key {
		case "run_ids":
			if p.texts(&s.RunIDs, maxRunIDs, p.id); s.RunIDs != nil && len(s.RunIDs) == 0 {
				p.add(strictjson.OutOfRange, "/selection/run_ids", "must name 1 to 10,000 runs")
			}
		case "limit":
			p.limit(&s.Limit, key)
		case "limit_runs":
			p.limit(&s.LimitRuns, key)
		case "sample":
			s.Sample = &Sample{}
			p.sample(s.Sample)
		case "window":
			s.Window = &TimeWindow{By: ByStartedAt}
			p.window(s.Window)
		default:
			return false
		}
		return true
	})
	limited := has["limit"] || has["limit_runs"] || has["sample"]
	switch {
	case has["run_ids"] && (limited || has["window"]):
		p.add(NotPossible, "/selection/run_ids",
			"run_ids stand alone: leave out limit, limit_runs, sample and window, or run_ids")
	case has["sample"] && (has["limit"] || has["limit_runs"]):
		p.add(NotPossible, "/selection/sample", "a sample has its own size: leave out limit and limit_runs, or sample")
	case has["limit"] && has["limit_runs"]:
		p.add(NotPossible, "/selection/limit_runs", "limit counts rows and limit_runs counts runs: leave out one of them")
	case isObject && !has["run_ids"] && !limited && !has["window"]:
		p.add(strictjson.MissingField, "/selection", "needs run_ids, limit, limit_runs, sample or window")
	}
}

func (p *parser) sample(s *Sample) {
	pointer := p.r.Pointer()
	absent := p.object(func(key string) bool {
		switch key {
		case "size":
			if n, ok := p.integer(); ok && n < 1 {
				p.add(strictjson.OutOfRange, pointer+"/size", "must be 1 or more")
			} else {
				s.Size = n
			}
		case "seed":
			s.Seed, _ = p.integer()
		case "by":
			p.text(&s.By)
		default:
			return false
		}
		return true
	}, "size")
	p.addMissing(pointer, absent)
}

func (p *parser) limit(to *int64, key string) {
	n, ok := p.integer()
	if ok && n < 1 {
		p.add(strictjson.OutOfRange, "/selection/"+key, "must be 1 or more")
		return
	}
	*to = n
}

func (p *parser) window(w *TimeWindow) {
	absent := p.object(func(key string) bool {
		switch key {
		case "by":
			p.enum(&w.By, windowsBy)
		case "from":
			p.time(&w.From)
		case "to":
			p.end(&w.To)
		default:
			return false
		}
		return true
	}, "from", "to")
	p.addMissing("/selection/window", absent)
	if !w.From.IsZero() && !w.To.IsZero() && !w.From.Before(w.To) {
		p.add(strictjson.OutOfRange, "/selection/window/to",
			"must be later than from: the window is from (inclusive) to to (exclusive)")
	}
}

func (p *parser) fragment() {
	p.object(func(key string) bool {
		switch key {
		case "max_records":
			if n, ok := p.integer(); ok && (n < 0 || n > maxRecordsCap) {
				p.add(strictjson.OutOfRange, "/fragment/max_records", "must be 0 (no limit) to 1,000,000")
			} else if ok {
				p.maxRecords = &n
			}
		case "max_bytes":
			if n, ok := p.integer(); ok && n < 1 {
				p.add(strictjson.OutOfRange, "/fragment/max_bytes", "must be 1 or more")
			} else if ok {
				p.maxBytes = &n
			}
		default:
			return false
		}
		return true
	})
}

func (p *parser) split(s *Split) {
	share := func(x *float64) {
		pointer := p.r.Pointer()
		if v, ok := p.number(); ok && (v < 0 || v > 1) {
			p.add(strictjson.OutOfRange, pointer, "must be a share from 0 to 1")
		} else {
			*x = v
		}
	}
	p.object(func(key string) bool {
		switch key {
		case "validation":
			share(&s.Validation)
		case "test":
			share(&s.Test)
		case "seed":
			s.Seed, _ = p.integer()
		default:
			return false
		}
		return true
	})
	if s.Validation+s.Test > 1 {
		p.add(strictjson.OutOfRange, "/split", "validation and test together must be 1 or less")
	}
}

func (p *parser) options(o *map[string]any) {
	if !p.kind(strictjson.Object) {
		return
	}
	raw, _ := p.r.Span()
	json.Unmarshal(raw, o) //nolint:errcheck // checked; a number beyond float64 is reported by the format
}

// check checks the fields against each other. It skips checks of fields that have mistakes already.
func (p *parser) check(r *Request) {
	p.addMissing("", p.absent)
	wrong := func(field string) bool {
		return slices.ContainsFunc(p.mistakes, func(m Mistake) bool { return m.Pointer == field })
	}
	if wrong("/purpose") {
		if r.AppID == nil && !wrong("/app_id") {
			p.add(strictjson.MissingField, "/app_id", "is required")
		}
		return
	}
	node := r.Purpose == NodeEvaluation || r.Purpose == NodeOptimization
	if why := oneApp(r); why != "" && !wrong("/app_id") {
		switch {
		case r.AppID == nil:
			p.add(strictjson.MissingField, "/app_id", "is required: "+why)
		case len(r.AppID) > 1:
			p.add(NotPossible, "/app_id", "must be one id: "+why)
		}
	}
	switch {
	case node && r.Nodes == nil && !wrong("/nodes"):
		p.add(strictjson.MissingField, "/nodes", "is required for "+r.Purpose+": name the nodes of the app")
	case node && r.Nodes != nil && len(r.Nodes) == 0:
		p.add(strictjson.OutOfRange, "/nodes", "must name one node at least")
	case !node && r.Nodes != nil && r.Purpose != FineTuning:
		p.add(NotPossible, "/nodes",
			r.Purpose+" is about whole runs: leave nodes out, or choose node_evaluation, node_optimization or fine_tuning")
	case r.Nodes != nil && len(r.Nodes) == 0:
		p.add(strictjson.OutOfRange, "/nodes", "must name one node at least, or be left out")
	}
	possible := targets.Targets(r.Purpose)
	switch {
	case wrong("/target"):
		return
	case r.Target == "":
		r.Target = possible[0].Name
	}
	target, err := targets.Find(r.Purpose, r.Target)
	if err != nil {
		p.add(NotPossible, "/target", err.Error())
		return
	}
	if r.Format == "" {
		r.Format = target.Formats[0]
	} else if !wrong("/format") && !slices.Contains(target.Formats, r.Format) {
		p.add(NotPossible, "/format", "target "+r.Target+" is written as "+strings.Join(target.Formats, ", "))
		return
	}
	if wrong("/format") || wrong("/options") {
		return
	}
	if formatter, err := target.Formatter(r.Purpose, r.Options); err != nil {
		p.add(NotPossible, "/options", err.Error())
		return
	} else if r.Split != nil && formatter.Needs().Group == record.ByTemplate {
		p.add(NotPossible, "/split",
			"a record of "+r.Target+" holds samples of many inputs, which a split would have to keep apart: leave split out")
	}
	if _, err := target.Encoder(r.Purpose, r.Format, fragment.Uncompressed, r.Options, nil); err != nil {
		p.add(NotPossible, "/options", err.Error())
	}
}

// normalise fills in the defaults that depend on other fields, and sorts sets.
func (r *Request) normalise(p *parser) {
	r.Fragment = defaultFragment(r.Purpose, r.Format)
	if p.maxRecords != nil {
		r.Fragment.MaxRecords = *p.maxRecords
	}
	if p.maxBytes != nil {
		r.Fragment.MaxBytes = *p.maxBytes
	}
	if target, err := targets.Find(r.Purpose, r.Target); err == nil {
		r.Fragment.limit(target)
	}
	if r.Compression == "" {
		r.Compression = NoCompression
		if r.Format == Parquet {
			r.Compression = Zstd
		}
	}
	r.Selection.RunIDs = set(r.Selection.RunIDs)
	r.Nodes = set(r.Nodes)
	if r.Nodes == nil && r.Selection.LimitRuns > 0 {
		r.Selection.Limit, r.Selection.LimitRuns = r.Selection.LimitRuns, 0
	}
	r.Filters.normalise()
	if r.Split != nil && r.Split.Validation == 0 && r.Split.Test == 0 {
		r.Split = nil
	}
	if len(r.Options) == 0 {
		r.Options = nil
	}
}
