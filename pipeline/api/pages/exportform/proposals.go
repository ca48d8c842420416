package exportform

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
)

// Proposal is a change of the form that a warning, or a reason to leave rows out, suggests.
type Proposal struct {
	Label string
	Set   url.Values // the new values of fields; none: the field is emptied
}

// Apply is the proposal as the value of a button, see [Apply].
func (p Proposal) Apply() string { return p.Set.Encode() }

// Apply returns the fields of a form with the change of a proposal.
func Apply(fields url.Values, proposal string) url.Values {
	set, err := url.ParseQuery(proposal)
	if err != nil {
		return fields
	}
	changed := url.Values{}
	for name, values := range fields {
		changed[name] = values
	}
	for name, values := range set {
		changed[name] = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
	}
	return changed
}

// unknown are the fields of the names that the code of a warning says are not found.
var unknown = map[string]struct{ field, label string }{
	"version": {"version", "Export all versions"}, "model": {"model", "Export all models"},
	"trigger": {"trigger", "Export all triggers"}, "node": {"nodes", "Take the nodes away"},
	"app": {"app", "Export all apps"},
}

// ForWarning returns what a form may change about a warning.
func (f *Form) ForWarning(w export.Warning) (all []Proposal) {
	picked := f.Take() == Picked // filters and limits do not apply
	switch w.Code {
	case format.ThumbsDown:
		if !picked && f.Filters.Rating == "" {
			all = append(all,
				Proposal{fmt.Sprintf("Leave out the %d rated thumbsDown", w.Count), url.Values{"feedback": {export.NotThumbsDown}}},
				Proposal{"Export only runs rated thumbsUp", url.Values{"feedback": {"thumbsUp"}}})
		}
	case export.TooManyRecords:
		if most := f.Target().Most; !picked && most > 0 {
			all = append(all, Proposal{fmt.Sprintf("Export the newest %d", most),
				url.Values{"take": {Newest}, "limit": {strconv.FormatInt(most, 10)}}})
		}
	case export.MissingLabel:
		if !picked && f.Filters.Rating != "" {
			all = append(all, Proposal{"Export runs of every rating", url.Values{"feedback": {""}}})
		}
	default:
		for kind, change := range unknown {
			if w.Code == kind+"_not_found" && (!picked || kind == "node" || kind == "app") {
				all = append(all, Proposal{change.label, url.Values{change.field: {""}}})
			}
		}
	}
	return all
}

// reasons are the options that leave rows out under a reason, and the value that keeps them.
var reasons = []struct{ reason, option, value, label string }{
	{format.DuplicateInput, "dedupe", "false", "Keep the repeated ones"},
	{"not_rated", "only_rated", "", "Keep runs without feedback"},
	{"tool_traffic", "tools", "true", "Keep tool calls"},
	{"pairs_per_input", "pairs_per_input", "10", "Make up to 10 pairs of an input"},
}

// ForDrop returns what a form may change about rows that are left out.
func (f *Form) ForDrop(reason string) (all []Proposal) {
	for _, r := range reasons {
		if r.reason != reason {
			continue
		}
		for _, c := range f.Controls() {
			if c.Name == r.option && c.Value != r.value {
				all = append(all, Proposal{r.label, url.Values{c.Field: {r.value}}})
			}
		}
	}
	return all
}
