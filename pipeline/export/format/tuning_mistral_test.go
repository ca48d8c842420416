package format

import (
	"hash/fnv"
	"math/big"
	"strings"
	"testing"
	"unicode"
)

func TestMistralHasCallsAlone(t *testing.T) {
	t.Parallel()
	// Nine digits of base 62 of a hash of the id.
	short := func(id string) string {
		h := fnv.New64a()
		h.Write([]byte(id))
		n := new(big.Int).SetUint64(h.Sum64())
		text := "000000000" + n.Text(62) // whose digits are 0-9a-zA-Z
		return strings.Map(func(r rune) rune {
			if unicode.IsLower(r) {
				return unicode.ToUpper(r)
			}
			return unicode.ToLower(r)
		}, text[len(text)-9:])
	}
	a, b := short("a"), short("b")
	full := `{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object","properties":{}}}}`
	checkTuned(t, "mistral", nil, []tuned{
		{"a conversation", chatRow(chat(told("x"), hi, hi, yes, yes)), openAILine(told("x"), hi, hi, yes, yes)},
		{"a call", chatRow(chat(hi, calls("a"), result("a", "x"), yes)), openAILine(hi, calls(a), result(a, "x"), yes)},
		{"two calls", chatRow(chat(hi, calls("a", "b"), result("b", "y"), result("a", "x"), yes)), openAILine(hi, calls(a, b), result(b, "y"), result(a, "x"), yes)},
		{"a text beside a call", chatRow(chat(hi, calling("wait", "a"), result("a", "x"), yes)), "drop text_beside_tool_calls"},
		{"a text before a call", chatRow(chat(hi, said("wait"), calls("a"), result("a", "x"), yes)), "drop text_beside_tool_calls"},
		{"calls beside the answer", chatRow(chat(hi, calling("Yes?", "a"), result("a", "x"))), openAILine(hi, yes)},
		{"a user after a tool", chatRow(chat(hi, calls("a"), result("a", "x"), hi, yes)), "drop tool_without_reply"},
		{"a call after a tool", chatRow(chat(hi, calls("a"), result("a", "x"), calls("b"), result("b", "y"), yes)), openAILine(hi, calls(a), result(a, "x"), calls(b), result(b, "y"), yes)},
		{"a tool with a name only", withTools(chatRow(chat(hi, yes)), `[{"type":"function","function":{"name":"f","strict":true}}]`),
			strings.TrimSuffix(openAILine(hi, yes), "}") + `,"tools":[` + full + `]}`},
		{"a tool of another kind", withTools(chatRow(chat(hi, yes)), `[{"type":"web_search"}]`), "drop invalid_tools"},
	})
}

func TestMistralIDsStayApartWhereTheirHashesDoNot(t *testing.T) {
	t.Parallel()
	var c conversation
	for _, id := range []string{`"a"`, `"b"`, `"a"`} { // as if two ids had one hash
		c.calls = append(c.calls, tuningCall{id: []byte(id)})
	}
	c.shortIDs()
	for i, want := range []string{`"100000000"`, `"100000001"`, `"100000002"`} {
		if string(c.calls[i].id) != want {
			t.Errorf("%s, want %s", c.calls[i].id, want)
		}
	}
}
