package export_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export"
)

// Each window has fragments with records in the splits train and validation, and counts the labels of
// train.
func TestASetThatCannotTrainIsTold(t *testing.T) {
	t.Parallel()
	type window struct {
		train, validation int64
		labels            map[string]int64
	}
	labels := func(good, bad int64) map[string]int64 {
		m := map[string]int64{}
		if good > 0 {
			m["true"] = good
		}
		if bad > 0 {
			m["false"] = bad
		}
		return m
	}
	few := func(n int) string { return fmt.Sprint("too_few_records ", n) }
	const split = `,"split":{"validation":0.5}`
	for name, c := range map[string]struct {
		fields  string
		windows []window
		want    string
	}{
		"openai_chat, too few":            {``, []window{{train: 9}}, few(9)},
		"openai_chat, too few a fragment": {``, []window{{train: 4}, {train: 6}}, ""},
		"openai_chat, none":               {``, []window{{}}, few(0)},
		"openai_chat, nothing selected":   {``, nil, few(0)},
		"openai_chat, too few in train":   {split, []window{{9, 9, nil}}, few(9)},
		"openai_chat, none in train":      {split, []window{{0, 20, nil}}, few(0)},
		"openai_chat, few in validation":  {split, []window{{10, 1, nil}}, ""},
		"bedrock_conversation, too few":   {`,"target":"bedrock_conversation"`, []window{{train: 7}}, few(7)},
		"bedrock_conversation, enough":    {`,"target":"bedrock_conversation"`, []window{{train: 8}}, ""},
		"bedrock_conversation, most":      {`,"target":"bedrock_conversation"`, []window{{train: 19_990}, {train: 10}}, ""},
		"bedrock_conversation, too many": {`,"target":"bedrock_conversation"`, []window{{train: 20_000}, {train: 1}},
			"too_many_records 20001"},
		"bedrock_distillation, too few":    {`,"target":"bedrock_distillation"`, []window{{train: 50}, {train: 49}}, few(99)},
		"bedrock_distillation, enough":     {`,"target":"bedrock_distillation"`, []window{{train: 50}, {train: 50}}, ""},
		"without a least number, none":     {`,"target":"trl_dpo"`, []window{{}}, few(0)},
		"without a least number, one":      {`,"target":"trl_dpo"`, []window{{train: 1}}, ""},
		"trl_kto, both labels":             {`,"target":"trl_kto"`, []window{{2, 0, labels(1, 1)}}, ""},
		"trl_kto, both in several windows": {`,"target":"trl_kto"`, []window{{2, 0, labels(2, 0)}, {1, 0, labels(0, 1)}}, ""},
		"trl_kto, only good": {`,"target":"trl_kto"`, []window{{2, 0, labels(2, 0)}, {1, 0, labels(1, 0)}},
			"missing_label 3 false"},
		"trl_kto, only bad": {`,"target":"trl_kto"`, []window{{2, 0, labels(0, 2)}}, "missing_label 2 true"},
		"trl_kto, none":     {`,"target":"trl_kto"`, []window{{}}, few(0)},
		"trl_kto, only good in train": {`,"target":"trl_kto"` + split, []window{{2, 3, labels(2, 0)}},
			"missing_label 2 false"},
		"trl_kto, windows of an older release": {`,"target":"trl_kto"`, []window{{2, 0, nil}, {1, 0, labels(1, 0)}}, ""},
		"another purpose":                      {`,"purpose":"recipe_evaluation","target":"ragas"`, []window{{}}, ""},
	} {
		fields := c.fields
		if !strings.Contains(fields, "purpose") {
			fields += `,"purpose":"fine_tuning"`
		}
		request, err := export.ParseRequest([]byte(`{"export_id":"e","workspace_id":"w","source":"copilot","app_id":"a",
			"selection":{"limit":10}` + fields + `}`))
		if err != nil {
			t.Fatal(name, err)
		}
		var windows []*export.WindowManifest
		for _, w := range c.windows {
			m := &export.WindowManifest{Records: w.train + w.validation, Rows: w.train + w.validation, Labels: w.labels}
			for i := range w.train { // fragments of one record, and one of the others
				if i == 2 {
					m.Files = append(m.Files, export.File{Kind: export.Data, Split: "train", Records: w.train - 2})
					break
				}
				m.Files = append(m.Files, export.File{Kind: export.Data, Split: "train", Records: 1})
			}
			if w.validation > 0 {
				m.Files = append(m.Files, export.File{Kind: export.Data, Split: "validation", Records: w.validation})
			}
			windows = append(windows, m)
		}
		m := export.NewManifest(&export.Plan{Request: request}, export.StatusSucceeded, nil, windows, "", time.Time{})
		if len(m.Warnings) != min(len(c.want), 1) {
			t.Errorf("%s: %+v, want %q", name, m.Warnings, c.want)
			continue
		}
		if c.want == "" {
			continue
		}
		w := m.Warnings[0]
		code, rest, _ := strings.Cut(c.want, " ")
		number, label, _ := strings.Cut(rest, " ")
		if w.Code != code || fmt.Sprint(w.Count) != number || !strings.Contains(w.Message, "label "+label) && label != "" ||
			strings.Contains(w.Message, "in split train") != (request.Split != nil) {
			t.Errorf("%s: %+v, want %q", name, w, c.want)
		}
	}
}
