package export

import (
	"encoding/json"
	"strings"

	"github.com/millrace/millrace/pipeline/strictjson"
)

// Apps are the ids of the copilots or recipes of a request, each once. None means all that the
// workspace has of the source. In JSON one id is a string and several are an array.
type Apps []string

// String returns the ids with commas between them, which no id contains. Progress, completions and the
// view exports have them so.
func (a Apps) String() string { return strings.Join(a, ",") }

// MarshalJSON writes a string or an array.
func (a Apps) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (a *Apps) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = Apps{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// apps reads an id or a list of them.
func (p *parser) apps(a *Apps) {
	if p.r.Kind() != strictjson.Array {
		var id string
		p.id(&id)
		*a = Apps{id}
		return
	}
	pointer := p.r.Pointer()
	p.texts((*[]string)(a), maxList, p.id)
	if len(*a) == 0 {
		p.add(strictjson.OutOfRange, pointer, "must name one app at least, or be left out for all of the workspace")
	}
	*a = set(*a)
}

// oneApp returns why a request is about one app, or "".
func oneApp(r *Request) string {
	switch {
	case r.Purpose == RecipeEvaluation:
		return r.Purpose + " compares the versions of one recipe or copilot"
	case r.Nodes != nil || r.Purpose == NodeEvaluation || r.Purpose == NodeOptimization:
		return "nodes are those of one recipe or copilot"
	}
	return ""
}
