package export_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/millrace/millrace/pipeline/export"
)

func TestARangeOfScoresIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"fair=0.5..1": "fair 0.5..1", "fair=..1": "fair ..1", "fair=-1e-3..": "fair -0.001..", "a=b=1..2": "a=b 1..2",
		"score=0..0": "score 0..0", "x y=1..": "x y 1..",
		"": "", "fair": "", "fair=1": "", "fair=..": "", "=1..2": "", "fair=a..b": "", "fair=NaN..": "", "fair=..Inf": "",
		"fair=1e999..": "",
	} {
		name, bounds, err := export.ParseScore(text)
		if got := fmt.Sprint(name, " ", bounds); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%q is %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestFiltersThatAreNotOfARequestAreCheckedAlike(t *testing.T) {
	t.Parallel()
	many := make([]string, 101)
	f := export.Filters{Models: many, MinCostUSD: new(2.0), MaxCostUSD: new(1.0), Rating: "good",
		Scores: map[string]export.ScoreRange{"a": {}}}
	var mistakes export.Mistakes
	if err := f.Check(); !errors.As(err, &mistakes) || len(mistakes) != 4 {
		t.Errorf("mistakes %v", err)
	}
	for _, good := range []export.Filters{{}, {Text: "x", HasFiles: new(false), MinScore: new(-1.0)}} {
		if err := good.Check(); err != nil {
			t.Error(err)
		}
	}
	f = export.Filters{MinScore: new(math.NaN())}
	if f.Check() == nil {
		t.Error("NaN is a score")
	}
}
