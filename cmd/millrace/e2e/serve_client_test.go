package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	openapi "github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/responses"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// document is the OpenAPI document of a server. Every answer of the tests is held against it.
type document struct {
	model   *v3.Document
	answers responses.ResponseBodyValidator

	mu  sync.Mutex
	met map[string]bool // operations that a test has called
}

// newDocument fetches the document and checks it.
func newDocument(t *testing.T, url string) *document {
	t.Helper()
	got := endpoint{url: url}.call(t, "GET", "/openapi.json", nil)
	doc, err := libopenapi.NewDocument(got.body)
	if err != nil {
		t.Fatal(err)
	}
	if v := doc.GetVersion(); !strings.HasPrefix(v, "3.1") {
		t.Errorf("the document is of OpenAPI %s", v)
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		for _, p := range problems {
			t.Errorf("the document is not valid OpenAPI: %v", p)
		}
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	return &document{model: &model.Model, answers: responses.NewResponseBodyValidator(&model.Model,
		openapi.WithFormatAssertions()), met: map[string]bool{}}
}

// operations are those of the document, such as "GET /v1/exports/{id}".
func (d *document) operations() (list []string) {
	for path, item := range d.model.Paths.PathItems.FromOldest() {
		for method := range item.GetOperations().FromOldest() {
			list = append(list, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(list)
	return list
}

// find returns the path of the document that a URL is of; "" for none. A key is all the rest of its
// path.
func (d *document) find(method, path string) (found string, item *v3.PathItem) {
	have := strings.Split(path, "/")
	for template, it := range d.model.Paths.PathItems.FromOldest() {
		want := strings.Split(template, "/")
		parts := have
		if want[len(want)-1] == "{key}" && len(have) >= len(want) {
			parts = append(slices.Clone(have[:len(want)-1]), "key")
		}
		matches := len(parts) == len(want)
		for i := 0; matches && i < len(want); i++ {
			matches = want[i] == parts[i] || strings.HasPrefix(want[i], "{") && parts[i] != ""
		}
		_, has := it.GetOperations().Get(strings.ToLower(method))
		// /v1/exports/dry-run goes before /v1/exports/{id}
		if matches && has && (found == "" || strings.Contains(found, "{")) {
			found, item = template, it
		}
	}
	return found, item
}

// check holds an answer against what the document says of its operation.
func (d *document) check(t *testing.T, r *http.Request, resp *http.Response) {
	t.Helper()
	path, item := d.find(r.Method, r.URL.EscapedPath())
	if path == "" || resp.StatusCode == http.StatusTemporaryRedirect { // to the same path without dots and double slashes
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.met[r.Method+" "+path] = true
	op, _ := item.GetOperations().Get(strings.ToLower(r.Method))
	code := op.Responses.Codes.GetOrZero(fmt.Sprint(resp.StatusCode))
	if code == nil {
		t.Errorf("%s %s: the document has no answer %d", r.Method, path, resp.StatusCode)
		return
	}
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if strings.HasSuffix(media, "json") && !strings.HasSuffix(path, "/{key}") {
		if ok, problems := d.answers.ValidateResponseBodyWithPathItem(r, resp, item, path); !ok {
			for _, p := range problems {
				t.Errorf("%s %s: the answer %d is not what the document says: %v %v", r.Method, path, resp.StatusCode, p,
					p.SchemaValidationErrors)
			}
		}
		return
	}
	if code.Content == nil || code.Content.Len() == 0 {
		if resp.ContentLength > 0 && resp.StatusCode != http.StatusSeeOther {
			t.Errorf("%s %s: the document has no body of answer %d", r.Method, path, resp.StatusCode)
		}
		return
	}
	_, there := code.Content.Get(media)
	_, anything := code.Content.Get("application/octet-stream")
	if !there && !anything {
		t.Errorf("%s %s: the document has no answer %d of type %q", r.Method, path, resp.StatusCode, media)
	}
}

// endpoint is where `millrace serve` answers.
type endpoint struct {
	url string
	doc *document
	// headers are sent with every request, NAME: value.
	headers []string
	// prepare changes requests at last, where it is set.
	prepare func(*http.Request)
}

func (s endpoint) with(headers ...string) endpoint {
	s.headers = append(slices.Clone(s.headers), headers...)
	return s
}

// in is the server as seen by a workspace.
func (s endpoint) in(workspace string) endpoint { return s.with("X-Millrace-Workspace: " + workspace) }

// answer of a server, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // why the body ended before its end
	about  string
}

// direct follows no redirects, and keeps no cookies.
var direct = &http.Client{
	Timeout:       time.Minute,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// open sends a request, whose body is a text, a reader, nothing, or what JSON is made of.
func (s endpoint) open(ctx context.Context, t *testing.T, method, path string, body any,
	headers ...string) *http.Response {
	t.Helper()
	var content io.Reader
	contentType := "application/json"
	switch b := body.(type) {
	case nil:
		contentType = ""
	case string:
		content = strings.NewReader(b)
	case io.Reader:
		content = b
	default:
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, content)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for _, h := range append(slices.Clone(s.headers), headers...) {
		name, value, _ := strings.Cut(h, ": ")
		switch {
		case name == "Host":
			r.Host = value
		case value == "":
			r.Header.Del(name)
		default:
			r.Header.Set(name, value)
		}
	}
	if s.prepare != nil {
		s.prepare(r)
	}
	resp, err := direct.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

// call sends a request and reads the answer, which must be one that the document has.
func (s endpoint) call(t *testing.T, method, path string, body any, headers ...string) *answer {
	t.Helper()
	resp := s.open(t.Context(), t, method, path, body, headers...)
	defer resp.Body.Close()
	got := &answer{status: resp.StatusCode, header: resp.Header, about: method + " " + path}
	got.body, got.err = io.ReadAll(resp.Body)
	if s.doc != nil && got.err == nil {
		resp.Body = io.NopCloser(bytes.NewReader(got.body))
		s.doc.check(t, resp.Request, resp)
	}
	return got
}

func (s endpoint) get(t *testing.T, path string, headers ...string) *answer {
	t.Helper()
	return s.call(t, "GET", path, nil, headers...)
}

// is checks the status, and returns the answer.
func (a *answer) is(t *testing.T, status int) *answer {
	t.Helper()
	if a.status != status || a.err != nil {
		t.Fatalf("%s: %d, want %d, %v\n%.1000s", a.about, a.status, status, a.err, a.body)
	}
	return a
}

func (a *answer) object(t *testing.T) object {
	t.Helper()
	return parse(t, string(a.body))
}

// problem checks that the answer is a problem of this status, which names these places, pointers or
// parameters.
func (a *answer) problem(t *testing.T, status int, places ...string) object {
	t.Helper()
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d %s, want the problem %d\n%.1000s", a.about, a.status, a.header.Get("Content-Type"), status, a.body)
		return object{}
	}
	p := a.object(t)
	if fmt.Sprint(p["status"]) != fmt.Sprint(status) || p["title"] == "" || p["detail"] == "" {
		t.Errorf("%s: the problem is %s", a.about, a.body)
	}
	found := []string{}
	list, _ := p["errors"].([]any)
	for _, e := range list {
		e := e.(object)
		for _, key := range []string{"pointer", "parameter"} {
			if place, ok := e[key].(string); ok {
				found = append(found, place)
			}
		}
		if e["detail"] == "" || e["detail"] == nil {
			t.Errorf("%s: a mistake without a detail: %v", a.about, e)
		}
	}
	for _, place := range places {
		if !slices.Contains(found, place) {
			t.Errorf("%s: the problem names %q, and not %s\n%s", a.about, found, place, a.body)
		}
	}
	return p
}

// file files a request, and returns the export's id.
func (s endpoint) file(t *testing.T, request object) string {
	t.Helper()
	id, _ := s.call(t, "POST", "/v1/exports", request).is(t, http.StatusAccepted).object(t)["export_id"].(string)
	return id
}

// ended waits until an export has ended like that, and returns it.
func (s endpoint) ended(t *testing.T, id, status string) (x object) {
	t.Helper()
	eventually(t, time.Minute, func() string {
		x = s.get(t, "/v1/exports/"+id).is(t, http.StatusOK).object(t)
		switch x["status"] {
		case status:
			return ""
		case "accepted", "running":
			return fmt.Sprintf("export %s is %v", id, x["status"])
		}
		t.Fatalf("export %s is %v, want %s: %v", id, x["status"], status, x)
		return ""
	})
	return x
}
