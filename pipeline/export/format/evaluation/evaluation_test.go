package evaluation_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/evaluation"
	"github.com/millrace/millrace/pipeline/export/format/formattest"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// evaluationTest is a row and its record, with ID for its ids, or the reason to drop it.
type evaluationTest struct {
	name, want, drop string
	row              *record.Row
}

// checkEvaluation compares the records of rows, written by one formatter, with the wanted ones.
func checkEvaluation(t *testing.T, purpose, target string, options map[string]any, tests []evaluationTest) {
	t.Helper()
	f := formattest.NewRowFormatter(t, purpose, target, options)
	ids := record.NewIDs(purpose, target)
	for _, test := range tests {
		out, drop, err := f.Append([]byte("before"), test.row)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		record, ok := bytes.CutPrefix(out, []byte("before"))
		if !ok || drop != test.drop || (drop != "") != (len(record) == 0) {
			t.Errorf("%s: drop %q, want %q; wrote %s", test.name, drop, test.drop, out)
			continue
		}
		if drop != "" {
			continue
		}
		if !json.Valid(record) || bytes.ContainsAny(record, "\n\r") {
			t.Errorf("%s: no JSON on one line: %s", test.name, record)
		}
		id := ids.Append(nil, test.row)
		if got := strings.ReplaceAll(string(record), string(id), `"ID"`); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

func withoutQuestion(r *record.Row) {
	r.Question = nil
	e := r.Subject()
	e.Inputs, e.Messages = nil, nil
	if r.Node != nil {
		r.Node.PromptVariables = nil
	}
}

func withoutAnswer(r *record.Row) {
	r.Answer = nil
	e := r.Subject()
	e.Outputs, e.Messages = nil, nil
}

func hostileRow(r *record.Row) {
	r.Question, r.Answer, r.Reference = []byte(formattest.HostileText), []byte(formattest.HostileText),
		[]byte(formattest.HostileText)
	r.Inputs, r.Outputs = nil, nil
}

func TestEvaluationTargetsStandWhateverIsInARow(t *testing.T) {
	t.Parallel()
	rows := map[string]func(*record.Row){
		"nothing": withoutQuestion,
		"empty documents": func(r *record.Row) {
			withoutQuestion(r)
			withoutAnswer(r)
			e := r.Subject()
			e.Inputs, e.Outputs = []byte(`{}`), []byte(`{}`)
		},
		"nested": func(r *record.Row) {
			e := r.Subject()
			e.Inputs, e.Outputs = []byte(`{"a":{"b":[[{"":null}]]}}`), []byte(`{"a":[1E400,-0,true]}`)
		},
		"white space in between": func(r *record.Row) {
			e := r.Subject()
			e.Inputs = []byte("{ \"query\" :\n\t\"x\\ny\",\r\n\"n\": 1 }")
			e.Outputs = []byte("\n{\n}\n")
		},
		"escapes": func(r *record.Row) {
			e := r.Subject()
			e.Inputs = []byte(`{"\u0071uery":"\u0041\ud83d\ude00\u2028\n","goal\u0000":"\\\""}`)
		},
		"keys of no name": func(r *record.Row) {
			e := r.Subject()
			e.Inputs, e.Outputs = []byte(`{"":""}`),
				[]byte(`{"":null}`)
		},
		"1 MiB": func(r *record.Row) { r.Question = []byte(strings.Repeat("0123456789abcdef {{x}} é\n", 1<<20/27)) },
		"messages of all kinds": func(r *record.Row) {
			withoutQuestion(r)
			r.Subject().Messages = []byte(
				`[null,1,"x",[],{},{"role":null},{"role":"user"},{"role":"user","content":null},{"role":"user","content":7},{"role":"user","content":{}},{"role":"user","content":[null,1,"s",{"type":"image_url"},{"type":"text","text":null},{"type":"text","text":"p\u0041"}]},{"role":"assistant","content":null,"tool_calls":null},{"role":"assistant","tool_calls":[]},{"role":"assistant","tool_calls":[null,1,{},{"function":null},{"function":{"name":""}},{"id":7,"function":{"name":"f","arguments":null}},{"id":"c","function":{"name":"g","arguments":"not JSON \n"}},{"id":"d","function":{"name":"h","arguments":{"x": 1}}},{"id":"e","function":{"name":"i","arguments":"[1]"}},{"id":"f","function":{"name":"j","arguments":"{\n \"k\": \"\\u0041\"}\r\n"}},{"id":"g","function":{"name":"k","arguments":12}}]},{"role":"tool","tool_call_id":"c","content":[{"type":"text","text":"out"}]},{"role":"tool"},{"role":"tool","tool_call_id":"zz","content":"none"}]`)
		},
		"texts of white space": func(r *record.Row) {
			r.Question, r.Answer, r.Reference = []byte(" \n"), []byte("\t"),
				[]byte("  ")
		},
		"hostile":    hostileRow,
		"everything": fullVerdict,
	}
	for _, purpose := range bothPurposes {
		for _, target := range targets.Targets(purpose) {
			f := formattest.NewRowFormatter(t, purpose, target.Name, nil)
			schema := evaluationSchema(t, purpose, target.Name)
			for name, change := range rows {
				for _, full := range []bool{false, true} {
					row := formattest.EvaluationRun()
					if purpose == format.NodeEvaluation {
						row = formattest.EvaluationNode()
					}
					if fullVerdict(row); !full {
						row.HasFeedback, row.Reference, row.Nodes = false, nil, nil
					}
					change(row)
					out, drop, err := f.Append(nil, row)
					if err != nil {
						t.Errorf("%s/%s, %s: %v", purpose, target.Name, name, err)
						continue
					}
					if drop != "" {
						if !tellsOfDrop(target, drop) || len(out) > 0 {
							t.Errorf("%s/%s, %s: dropped as %q after %s", purpose, target.Name, name, drop, out)
						}
						continue
					}
					if bytes.ContainsAny(out, "\n\r") {
						t.Errorf("%s/%s, %s: a line break", purpose, target.Name, name)
					}
					if err := schema.Validate(documentOf(t, out)); err != nil {
						t.Errorf("%s/%s, %s: %v in %.2000s", purpose, target.Name, name, err, out)
					}
				}
			}
		}
	}
}

func TestEvaluationErrorsNameTheRun(t *testing.T) {
	t.Parallel()
	for _, purpose := range bothPurposes {
		for _, target := range targets.Targets(purpose) {
			row, want := formattest.EvaluationRun(fullVerdict), "run r1"
			if purpose == format.NodeEvaluation {
				row, want = formattest.EvaluationNode(fullVerdict), "run r1, node run n1"
			}
			row.Question = nil
			if target.Name == record.Canonical {
				row.Question = []byte("Q?")
				row.Comparison.PreviousAnswer = []byte(`[`)
			}
			row.Subject().Inputs = []byte(`[`)
			if row.Node != nil {
				row.Node.PromptVariables = []byte(`[`)
			}
			_, _, err := formattest.NewRowFormatter(t, purpose, target.Name, nil).Append(nil, row)
			if err == nil || !strings.Contains(err.Error(), want) {
				// An answer that only copies the inputs has no fault to find.
				if copies := map[string]bool{"langsmith": true, "langfuse": true}; !copies[target.Name] {
					t.Errorf("%s/%s: error %v", purpose, target.Name, err)
				}
			}
		}
	}
}

func TestExpectedIsTheReferenceOrElseTheCorrectedAnswer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, reference, corrected string
		feedback                   bool
		want                       string
	}{
		{"both", "R", "C", true, "R"},
		{"a reference", "R", "", true, "R"},
		{"a corrected answer", "", "C", true, "C"},
		{"a reference of white space", " \n", "C", true, "C"},
		{"neither", "", "", true, ""},
		{"white space", " ", "\t", true, ""},
		{"feedback of a row before", "", "C", false, ""},
	} {
		row := &record.Row{Reference: []byte(test.reference), HasFeedback: test.feedback,
			Feedback: record.Feedback{CorrectedAnswer: []byte(test.corrected)}}
		if got := string(record.ExpectedText(row)); got != test.want {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

func TestOriginIsFlatAndKeepsTheKeysOfTheProducer(t *testing.T) {
	t.Parallel()
	row := formattest.EvaluationNode(fullVerdict, func(r *record.Row) {
		r.Node.Metadata = []record.Pair{{Key: []byte("status"), Value: []byte("mine")}, {Key: []byte("metadata.status"),
			Value: []byte("too")}, {Key: []byte("a\"\n"), Value: []byte("")}, {Key: []byte("metadata"), Value: []byte("m")}}
	})
	const origin = `{"run_id":"r1","node_run_id":"n1","node_id":"compose","app_id":"helper","app_version":"v2","model":"m-1","status":"succeeded",`
	const pairs = `,"rating":"thumbsUp","metadata.status":"mine","metadata.metadata.status":"too","a\"\n":"","metadata":"m"}`
	if got := string(evaluation.AppendOrigin(nil, row, false)); got != origin+`"score":1.0`+pairs {
		t.Error(got)
	}
	if got := string(evaluation.AppendOrigin(nil, row, true)); got != origin+`"score":"1.0"`+pairs {
		t.Error(got)
	}
	if got := string(evaluation.AppendOrigin(nil, &record.Row{RunID: []byte("r"), AppID: []byte("a")},
		false)); got != `{"run_id":"r","app_id":"a"}` {
		t.Error(got)
	}
}

func TestEvaluationAllocatesNothingButForArguments(t *testing.T) {
	for _, purpose := range bothPurposes {
		for _, target := range targets.Targets(purpose) {
			row := formattest.EvaluationRun(fullVerdict)
			if purpose == format.NodeEvaluation {
				row = formattest.EvaluationNode(fullVerdict)
			}
			f := formattest.NewRowFormatter(t, purpose, target.Name, nil)
			buffer := make([]byte, 0, 1<<14)
			most := 0.0
			if target.Name == "deepeval" {
				most = 3 // to check the arguments of its one call
			}
			if n := testing.AllocsPerRun(100, func() { _, _, _ = f.Append(buffer[:0], row) }); n > most {
				t.Errorf("%s/%s: %v allocations a record", purpose, target.Name, n)
			}
		}
	}
}

// bothPurposes are the purposes of evaluation.
var bothPurposes = []string{format.RecipeEvaluation, format.NodeEvaluation}
