package searchbox_test

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/api/pages/searchbox"
	"github.com/millrace/millrace/pipeline/export"
)

func TestTheBoxIsReadAsTheFiltersOfTheAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "",
		"  where is  gate 12:30 ":          "q=where is gate 12:30",
		`"where: is" the text:"a  \"b\""`:  `q=where: is the a  "b"`,
		"see https://x.test/?a=b":          "q=see https://x.test/?a=b",
		`"\\ \n"`:                          `q=\ \n`,
		"status:failed status:running":     "status=failed&status=running",
		"version:v1 gate Version:v2":       "q=gate&version=v1&version=v2",
		`model:"gpt 4" trigger:chat`:       "model=gpt 4&trigger=chat",
		"error_type:timeout tag:a:b":       "error_type=timeout&tag=a:b",
		"rating:thumbsUp rating:none":      "feedback=none",
		"latency>2s latency<=1.5m":         "max_latency_ms=90000&min_latency_ms=2000",
		"latency>=250 latency<400ms":       "max_latency_ms=400&min_latency_ms=250",
		"cost>$0.05 cost<1e2":              "max_cost_usd=100&min_cost_usd=0.05",
		"score>0.5 score<1":                "score=score=0.5..1",
		"score.fair:0..0.5 score.x>1":      "score=fair=0..0.5&score=x=1..",
		"score.Fair>0 score.Fair<1":        "score=Fair=0..1",
		"metadata.region:eu Metadata.A:b":  "metadata=region=eu&metadata=A=b",
		"metadata.a.b:c=d metadata.a.b:e":  "metadata=a.b=e",
		"files:yes session:s1 user:u":      "has_files=true&session=s1&user_id=u",
		"from:2026-11-25 until:2026-11-26": "from=2026-11-25&to=2026-11-26",
	} {
		q, err := searchbox.Parse(text)
		got, _ := url.QueryUnescape(q.Encode())
		if err != nil || got != want {
			t.Errorf("%q is %s, want %s: %v", text, got, want, err)
		}
	}
}

func TestAMistakeInTheBoxTellsWhatToChange(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"stauts:failed":    `no filter "stauts": do you mean status?`,
		"Versions:v1":      `do you mean version?`,
		"err:x":            "do you mean error_type?",
		"feedback:none":    "do you mean rating?",
		"metadata:eu":      "do you mean metadata.NAME?",
		"metdata.region:e": "do you mean metadata.NAME?",
		"note: this":       `no filter "note": there are status, version,`,
		"status:ok":        `status is one of running, succeeded, failed, cancelled, not "ok"`,
		"status>failed":    "status takes a colon: status:failed",
		"text>x":           "text takes a colon",
		"latency:2s":       "latency takes a bound: latency>2s or latency<2s",
		"latency>fast":     "latency>fast is not a time",
		"cost>NaN":         "cost>NaN is not a number",
		"score:1":          "score:0.5..1",
		"score.fair>good":  "is not a score: write score.fair>0.5",
		"version: v1":      "version: needs a value, such as version:v2",
		`model:"gpt`:       "no closing quotation mark",
		"files:true":       "files is one of yes, no",
	} {
		if q, err := searchbox.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %v, %v, want %s", text, q, err, want)
		}
	}
}

func TestEveryKeyHasAnExampleThatIsRead(t *testing.T) {
	t.Parallel()
	for _, k := range searchbox.Keys {
		name, operator := k.Name, ":"
		if strings.HasSuffix(name, ".") {
			name += "x"
		}
		if k.Operators != "" {
			operator = k.Operators
		}
		if q, err := searchbox.Parse(name + operator + k.Example); err != nil || len(q) != 1 {
			t.Errorf("%s: %v, %v", name, q, err)
		}
	}
}

func TestABoxIsAddedToAnAddress(t *testing.T) {
	t.Parallel()
	q := url.Values{"app": {"a"}, "q": {"old"}, "status": {"failed"}, "metadata": {"a=1", "b=2"}, "range": {"7d"},
		"tag": {"", "x"}, "model": {""}}
	box := url.Values{"q": {"new"}, "status": {"failed", "running"}, "metadata": {"b=3"}, "from": {"2026-11-25"}}
	got, _ := url.QueryUnescape(searchbox.Merge(q, box).Encode())
	if want := "app=a&from=2026-11-25&metadata=a=1&metadata=b=3&q=new&status=failed&status=running&tag=x"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// FuzzParse checks that, whatever the text:
//
//   - reading it does not panic, and an error is a sentence of valid length;
//   - the words are read again as they are, from what [searchbox.Text] makes of them;
//   - scores and numbers are such as the address may have.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "a b", `status:failed "a \" b" latency>2s`, "score.fair<0.5 score.fair>0", "metadata.a:b=c",
		"cost>1e999", "latency<1e300m", "x:", `"`, `text:"a\\"`, "a\x00:\xff", "score:..", "until:"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if plain := strings.TrimSpace(text); plain != "" {
			if q, err := searchbox.Parse(searchbox.Text(plain)); err != nil || len(q) != 1 || q.Get("q") != plain {
				t.Fatalf("%q is written %q, and read %q, %v", plain, searchbox.Text(plain), q, err)
			}
		}
		q, err := searchbox.Parse(text)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		for _, s := range q["score"] {
			if _, _, err := export.ParseScore(s); err != nil {
				t.Fatal(err)
			}
		}
		for key, values := range q {
			for _, v := range values {
				if x, err := strconv.ParseFloat(v, 64); (err != nil || math.IsNaN(x) || math.IsInf(x, 0)) &&
					(strings.HasPrefix(key, "min_") || strings.HasPrefix(key, "max_")) {
					t.Fatalf("%s is %q", key, v)
				}
			}
			if len(slices.Compact(slices.Sorted(slices.Values(values)))) != len(values) {
				t.Fatalf("%s repeats: %q", key, values)
			}
		}
	})
}
