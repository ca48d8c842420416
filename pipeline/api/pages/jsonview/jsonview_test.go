package jsonview

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

func TestDocumentsKeepTheirOrderAndNumbers(t *testing.T) {
	t.Parallel()
	const document = `{"z":1.50,"a":[true,null,"<\n"],"a":{"big":12345678901234567890}}`
	v, err := Parse([]byte(document))
	if err != nil || v.Compact() != document {
		t.Errorf("%s, %v", v.Compact(), err)
	}
	for _, bad := range []string{"", "{", `{"a":1} 2`, strings.Repeat("[", 1000) + strings.Repeat("]", 1000)} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%.10q is read", bad)
		}
	}
}

func TestLongDocumentsAreCutWithAWord(t *testing.T) {
	t.Parallel()
	long := []byte(`{"a":"` + strings.Repeat("ä", MaxShown) + `"}`)
	if got := Pretty(long); got.Left == 0 || len(got.Text) > MaxShown ||
		!json.Valid([]byte(`"`+strings.ReplaceAll(strings.ReplaceAll(got.Text, "\n", ""), `"`, "")+`"`)) {
		t.Errorf("%d shown, %d left", len(got.Text), got.Left)
	}
	if got := Pretty([]byte(`{"a":[1]}`)); got.Left != 0 || got.Text != "{\n  \"a\": [\n    1\n  ]\n}" {
		t.Errorf("%+v", got)
	}
}

func TestEveryExampleOfFineTuningIsAChat(t *testing.T) {
	t.Parallel()
	for _, target := range targets.Targets(format.FineTuning) {
		v, err := Parse([]byte(targets.Example(format.FineTuning, target.Name)))
		if err != nil {
			t.Fatalf("%s: %v", target.Name, err)
		}
		if c, ok := NewConversation(v); !ok || len(c.Groups[0].Turns) < 2 {
			t.Errorf("%s is shown as %+v", target.Name, c)
		}
	}
}
