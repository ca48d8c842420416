package tuning

import "testing"

func TestMistralIDsStayApartWhereTheirHashesDoNot(t *testing.T) {
	t.Parallel()
	var c conversation
	for _, id := range []string{`"a"`, `"b"`, `"a"`} { // as if two ids had one hash
		c.calls = append(c.calls, toolCall{id: []byte(id)})
	}
	c.shortIDs()
	for i, want := range []string{`"100000000"`, `"100000001"`, `"100000002"`} {
		if string(c.calls[i].id) != want {
			t.Errorf("%s, want %s", c.calls[i].id, want)
		}
	}
}
