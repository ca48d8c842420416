package runs

import "github.com/millrace/millrace/pipeline/strictjson"

// messages reads an array of chat messages in the shape of OpenAI's chat completions. It keeps the
// array as it was sent, and checks the keys that exports read.
// https://platform.openai.com/docs/api-reference/chat/create
func (f *fields) messages(p *Doc) (err error) {
	if f.null() {
		return f.r.Null()
	}
	*p, err = f.r.Capture(func() error { return f.r.Array(f.message) })
	return err
}

func (f *fields) message(int) error {
	hasRole := false
	err := f.r.Object(func(key string) error {
		switch key {
		case "role":
			hasRole = true
			_, err := f.r.Text()
			return err
		case "content":
			return f.content()
		case "tool_calls":
			return f.objects()
		case "tool_call_id", "name":
			var ignored string
			return f.text(&ignored)
		}
		return f.r.Skip()
	})
	if err == nil && !hasRole {
		return f.r.RefuseField(strictjson.MissingField, "role", "a message needs a role")
	}
	return err
}

func (f *fields) content() error {
	switch got := f.r.Kind(); got {
	case strictjson.Array:
		return f.objects()
	case strictjson.String, strictjson.Null, strictjson.Invalid:
		return f.r.Skip()
	default:
		return f.r.WrongType("must be a string, an array of parts or null, not " + got.String())
	}
}

// objects reads an array of objects, or null.
func (f *fields) objects() error {
	if f.null() {
		return f.r.Null()
	}
	return f.r.Array(func(int) error {
		return f.r.Object(func(string) error { return f.r.Skip() })
	})
}

// tools reads an array of tool definitions, and keeps it as it was sent.
func (f *fields) tools(p *Doc) (err error) {
	if f.null() {
		return f.r.Null()
	}
	*p, err = f.r.Capture(f.objects)
	return err
}
