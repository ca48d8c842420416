package export_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// unknownFields returns n fields that requests do not have.
func unknownFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"x%d":0,`, i)
	}
	return b.String()
}

func TestAnyNumberOfMistakesIsRefusedWithTheFirstOnes(t *testing.T) {
	t.Parallel()
	huge, many := unknownFields(300_000), unknownFields(2_000)
	ids := strings.Repeat(`"/",`, 1_999) + `"/"`
	for name, text := range map[string]string{
		"fields":   `{` + huge + strings.Replace(with(""), `"export_dataset"`, `"nonsense"`, 1)[1:],
		"filters":  with(`"filters":{` + many + `"rating":"x"}`),
		"metadata": with(`"filters":{"metadata":{` + many + `"a":"b"}}`),
		"run ids":  with(`"selection":{"run_ids":[` + ids + `]}`),
		"nodes":    with(`"nodes":[` + ids + `]`),
		"statuses": with(`"filters":{"statuses":[` + ids + `]}`),
	} {
		_, err := export.ParseRequest([]byte(text))
		var list export.Mistakes
		if !errors.As(err, &list) || len(list) == 0 || len(list) > 100 || len(err.Error()) > 100_000 {
			t.Errorf("%s: %d mistakes, %.200v", name, len(list), err)
		} else if len(list) == 100 && !strings.HasSuffix(err.Error(), "; no more than 100 mistakes are listed") {
			t.Errorf("%s: the error ends with %s", name, err.Error()[len(err.Error())-100:])
		}
	}
	var refusal *strictjson.Refusal
	text := `{` + many + strings.Replace(with(""), `"export_id":"`, `"export_id":"/`, 1)[1:]
	if _, err := export.ParseRequest([]byte(text)); !errors.As(err, &refusal) || refusal.Pointer != "/export_id" {
		t.Errorf("a bad id behind many fields: %.200v", err)
	}
}
