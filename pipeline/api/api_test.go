package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/sinks/bucket"
)

var caller = &auth.Caller{Workspace: "acme", Subject: "someone", Scopes: auth.Scopes}

func TestAnInsightsRequestIsARequestOfTheCopilotForWholeDaysOrTimes(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"filters":{"from":"2025-01-25","to":"2025-01-31"}}`:                                                  "2025-01-25T00:00:00Z 2025-02-01T00:00:00Z ",
		`{"filters":{"from":"2025-01-25","to":"2025-01-25"},"event":"thumbsUp"}`:                               "2025-01-25T00:00:00Z 2025-01-26T00:00:00Z thumbsUp",
		`{"filters":{"from":"2025-01-25T07:32:58.611Z","to":"2025-01-31T07:32:58.611Z"},"event":"thumbsDown"}`: "2025-01-25T07:32:58.611Z 2025-01-31T07:32:58.611Z thumbsDown",
		`{"filters":{"from":"2025-01-25T07:32:58","to":"2025-01-25T12:00+02:00"}}`:                             "2025-01-25T07:32:58Z 2025-01-25T10:00:00Z ",
		`{"filters":{"from":"2025-01-25","to":"2025-02-01"},"other":{"x":1}}`:                                  "2025-01-25T00:00:00Z 2025-02-01T00:00:00Z ",
		`{"filters":{"from":"2025-01-25T12:00:00Z","to":"2025-01-31"}}`:                                        "2025-01-25T12:00:00Z 2025-02-01T00:00:00Z ",
	} {
		r, _, err := insightsRequest(caller, "helpdesk", []byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		w := r.Selection.Window
		got := fmt.Sprint(w.From.Format(time.RFC3339Nano), " ", w.To.Format(time.RFC3339Nano), " ", r.Filters.Rating)
		if got != want || w.By != export.ByStartedAt || r.Target != "answer_insights" || r.Format != "json" ||
			r.Source != "copilot" || r.AppID.String() != "helpdesk" ||
			r.WorkspaceID != "acme" || r.RequestedBy != "someone" || r.Fragment.MaxRecords != 150 ||
			r.Fragment.MaxBytes < 150*event.MaxValue ||
			r.Purpose != export.ExportDataset {
			t.Errorf("%s: %s of %+v", body, got, r)
		}
	}
}

func TestAnInsightsRequestThatIsNotOneIsRefusedWithWhatToChange(t *testing.T) {
	t.Parallel()
	for body, pointer := range map[string]string{
		``: "", `[]`: "", `null`: "/filters", `{}`: "/filters", `{"filters":null}`: "/filters",
		`{"filters":{}}`:                                                                              "/filters/from",
		`{"filters":{"from":"2025-01-25"}}`:                                                           "/filters/to",
		`{"filters":{"from":"yesterday","to":"2025-01-25"}}`:                                          "/filters/from",
		`{"filters":{"from":"2025-01-25","to":"2025-02-02"}}`:                                         "/filters",
		`{"filters":{"from":"2025-01-25T00:00:00Z","to":"2025-02-01T00:00:00.001Z"}}`:                 "/filters",
		`{"filters":{"from":"2025-01-26","to":"2025-01-25"}}`:                                         "/filters/to",
		`{"filters":{"from":"2025-01-25T00:00:00Z","to":"2025-01-25T00:00:00Z"}}`:                     "/filters/to",
		`{"filters":{"from":"2025-01-25","to":"2025-01-26"},"event":"search"}`:                        "/event",
		`{"filters":{"from":"2025-01-25","to":"2025-01-26"},"event":"thumbsup"}`:                      "/event",
		`{"filters":{"from":1737763200000,"to":"2025-01-26"}}`:                                        "",
		`{"filters":{"from":"2025-01-25","to":"2025-01-26"},"filters":{"from":"2025-01-25","to":""}}`: "/filters",
	} {
		_, _, err := insightsRequest(caller, "helpdesk", []byte(body))
		var p *Problem
		if !errors.As(err, &p) || p.Status != 400 || p.Detail == "" || len(p.Errors) != 1 || p.Errors[0].Pointer != pointer {
			t.Errorf("%s: %+v, want a 400 about %q", body, err, pointer)
		}
	}
}

func TestWithKeysTheRequesterIsTheSubjectOfTheToken(t *testing.T) {
	t.Parallel()
	anybody := &auth.Caller{Workspace: "acme", Scopes: auth.Scopes, Keyless: true}
	nameless := &auth.Caller{Workspace: "acme", Scopes: auth.Scopes}
	for _, c := range []struct {
		caller   *auth.Caller
		body     string
		by, of   string
		mistakes int
	}{
		{caller, ``, "someone", "", 0},
		{caller, `,"requested_by":"the board"`, "someone", "the board", 0},
		{caller, `,"requested_by":"someone"`, "someone", "", 0},
		{caller, `,"requested_by":"the board","on_behalf_of":"the owner"`, "someone", "the owner", 0},
		{caller, `,"requested_by":1`, "", "", 1},
		{nameless, `,"requested_by":"the board"`, "", "the board", 0},
		{anybody, `,"requested_by":"the board"`, "the board", "", 0},
	} {
		body := `{"purpose":"export_dataset","source":"copilot","app_id":"a","selection":{"limit":1}` + c.body + `}`
		r, _, err := parseRequest(auth.With(t.Context(), c.caller), &fileExport{ContentType: "application/json",
			RawBody: []byte(body)})
		if c.mistakes > 0 {
			var p *Problem
			if !errors.As(err, &p) || len(p.Errors) != c.mistakes || p.Errors[0].Pointer != "/requested_by" {
				t.Errorf("%s: %v", c.body, err)
			}
			continue
		}
		if err != nil || r.RequestedBy != c.by || r.OnBehalfOf != c.of {
			t.Errorf("%s: %v, %+v", c.body, err, r)
		}
	}
}

func TestAPlaceInARequestBecomesAPointerOrAParameter(t *testing.T) {
	t.Parallel()
	for place, want := range map[string]Mistake{
		"body":                      {},
		"body.selection.run_ids[3]": {Pointer: "/selection/run_ids/3"},
		"query.limit":               {Parameter: "limit"},
		"header.Idempotency-Key":    {Parameter: "Idempotency-Key"},
		"path.id":                   {Parameter: "id"},
	} {
		want.Detail = "is wrong"
		if got := mistake(&huma.ErrorDetail{Message: "is wrong", Location: place, Value: "secret"}); got != want {
			t.Errorf("%s: %+v", place, got)
		}
	}
}

func TestADownloadIsNamedByItsExport(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"": "e~1.zip", "October math": "October-math-e~1.zip", "../../etc/passwd": "etc-passwd-e~1.zip",
		"naïve \"x\"\r\n":        "na-ve--x-e~1.zip",
		strings.Repeat("a", 200): strings.Repeat("a", 60) + "-e~1.zip", "日本語": "e~1.zip",
	} {
		m := &export.Manifest{Name: name, ID: export.ID{WorkspaceID: "w", ExportID: "e~1"}}
		if got := zipName(m); got != strings.ReplaceAll(want, "~", "_") {
			t.Errorf("%q is %q", name, got)
		}
	}
}

func TestASignedURLIsGoodForOneFileUntilItExpires(t *testing.T) {
	t.Parallel()
	b, err := bucket.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	one, other := &signer{bucket: b}, &signer{bucket: b} // two servers
	id := export.ID{WorkspaceID: "acme", ExportID: "e1"}
	file := signedURL{id, "data/a.json", "a.json"}
	expires := time.Now().Add(time.Minute).Unix()
	signature, err := one.signature(t.Context(), file, expires)
	if err != nil {
		t.Fatal(err)
	}
	check := func(u signedURL, expires int64, signature string) error {
		r := httptest.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("/?expires=%d&signature=%s", expires, signature),
			nil)
		return other.check(t.Context(), r, u)
	}
	if err := check(file, expires, signature); err != nil {
		t.Errorf("at another server: %v", err)
	}
	old := time.Now().Add(-time.Second).Unix()
	expired, _ := one.signature(t.Context(), file, old)
	for name, err := range map[string]error{
		"another key":       check(signedURL{id, "data/b.json", "a.json"}, expires, signature),
		"another name":      check(signedURL{id, "data/a.json", "b.json"}, expires, signature),
		"another export":    check(signedURL{export.ID{WorkspaceID: "acme", ExportID: "e2"}, file.key, "a.json"}, expires, signature),
		"another workspace": check(signedURL{export.ID{WorkspaceID: "other", ExportID: "e1"}, file.key, "a.json"}, expires, signature),
		"longer":            check(file, expires+1, signature),
		"expired":           check(file, old, expired),
		"altered":           check(file, expires, signature[1:]),
		"empty":             check(file, expires, ""),
		"parts moved":       check(signedURL{id, "e1\ndata/a.json", "a.json"}, expires, signature),
		"name moved":        check(signedURL{id, "data/a.json\na.json", ""}, expires, signature),
	} {
		var p *Problem
		if !errors.As(err, &p) || p.Status != 403 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFileHasTheNameThatItsClientAsksFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ signed, asked, want string }{
		{"analytics_data_1.json", "", "analytics_data_1.json"},
		{"analytics_data_1.json", "analytics_data_1.json", "analytics_data_1.json"},
		{"analytics_data_1.json", "mine.json", "mine.json"},
		{"analytics_data_1_part_2_of_3.json", "analytics_data_1.json", "analytics_data_1_part_2_of_3.json"},
		{"analytics_data_1.json", "../../etc/passwd", "passwd"},
		{"", "mine.json", "mine.json"},
		{"", "", ""},
	} {
		if got := clientName(c.signed, c.asked); got != c.want {
			t.Errorf("signed %q, asked %q: %q, want %q", c.signed, c.asked, got, c.want)
		}
	}
}

// A request over HTTP is refused as a problem, or it is what ParseRequest makes of the document
// that goes to Kafka, in the caller's workspace.
func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"purpose":"export_dataset","source":"recipe","app_id":"a","selection":{"limit":1}}`), "key")
	f.Add([]byte(`{"export_id":"e","workspace_id":"other"}`), "")
	f.Add([]byte(`{"workspace_id":1,"requested_by":null,"a":{"a":1e999}}`), "")
	ctx := auth.With(context.Background(), caller)
	f.Fuzz(func(t *testing.T, body []byte, key string) {
		r, document, err := parseRequest(ctx, &fileExport{ContentType: "application/json", RawBody: body,
			IdempotencyKey: key})
		if err != nil {
			var p *Problem
			if !errors.As(err, &p) || p.Status < 400 || p.Status > 499 || p.Detail == "" {
				t.Fatalf("%v is no problem of the client's", err)
			}
			return
		}
		again, err := export.ParseRequest(document)
		if err != nil || again.Hash() != r.Hash() || r.WorkspaceID != "acme" {
			t.Fatalf("%s is %+v, %v", document, again, err)
		}
	})
}

// Whatever the body, lines and values end, and each event of a line is of that line.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("{}\n[]\n\"x\"\n{\"type\":\"dev.millrace.run.v1\"}"), true)
	f.Add([]byte(`[{"a":1},2,{}] x`), false)
	f.Add([]byte(`{"a":1}{"b":2}`), false)
	f.Fuzz(func(t *testing.T, body []byte, lines bool) {
		p := &publishing{api: &API{}, ctx: t.Context(), workspace: "nobody's"} // so that all are refused
		r := bufio.NewReaderSize(bytes.NewReader(body), 16)
		read := p.values
		if lines {
			read = p.lines
		}
		if err := read(r); err != nil {
			t.Fatal(err)
		}
		last := 0
		for _, result := range p.results {
			if result.Status != "refused" || result.Code == "" || result.Line <= last {
				t.Fatalf("%+v", p.results)
			}
			last = result.Line
		}
		if _, err := json.Marshal(p.results); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAProblemListsTheFirstMistakesOnly(t *testing.T) {
	t.Parallel()
	var fields strings.Builder
	errs := make([]error, 20_000)
	for i := range errs {
		fmt.Fprintf(&fields, `"x%d":0,`, i)
		errs[i] = &huma.ErrorDetail{Message: "unknown query parameter", Location: fmt.Sprintf("query.x%d", i)}
	}
	ctx := auth.With(t.Context(), caller)
	for name, body := range map[string]string{
		"fields":        `{` + fields.String() + `"purpose":"x"}`,
		"and a bad id":  `{` + fields.String() + `"export_id":"/"}`,
		"and a bad one": `{` + fields.String() + `"export_id":"/","workspace_id":7}`,
	} {
		_, _, err := parseRequest(ctx, &fileExport{ContentType: "application/json", RawBody: []byte(body)})
		var p *Problem
		if !errors.As(err, &p) || p.Status != 422 || len(p.Errors) != 100 || !strings.HasSuffix(p.Detail, onlyFirst) {
			t.Errorf("%s: %.300v", name, err)
		}
	}
	if p := humaProblem(422, "validation failed", errs...).(*Problem); len(p.Errors) != 100 ||
		p.Detail != "validation failed; errors has the first 100" {
		t.Errorf("of unknown parameters: %d, %s", len(p.Errors), p.Detail)
	}
	if p := humaProblem(422, "validation failed", errs[:100]...).(*Problem); p.Detail != "validation failed" {
		t.Errorf("of 100: %s", p.Detail)
	}
}

func TestTheHostHeaderIsNoPlaceForASignature(t *testing.T) {
	t.Parallel()
	base := func(a *API, host string) string {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Host = host
		url, err := a.base(r)
		var p *Problem
		if err != nil && (!errors.As(err, &p) || p.Status != 500 || url != "") {
			t.Errorf("%s: %q, %v", host, url, err)
		}
		return url
	}
	for _, host := range []string{"evil.example", "127.0.0.1.evil.example", "10.0.0.1:8080", "0.0.0.0", "",
		"localhost.evil", "127.0.0.1@evil.example", "evil.example/127.0.0.1", "[::ffff:10.0.0.1]"} {
		if url := base(&API{}, host); url != "" {
			t.Errorf("Host: %s makes %s", host, url)
		}
		if url := base(&API{cfg: Config{PublicURL: "https://millrace.example/"}}, host); url != "https://millrace.example" {
			t.Errorf("Host: %s makes %s", host, url)
		}
	}
	for _, host := range []string{"127.0.0.1:8080", "localhost", "[::1]:80"} {
		if url := base(&API{}, host); url != "http://"+host {
			t.Errorf("Host: %s makes %s", host, url)
		}
	}
}
