package serve

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	openapi "github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/responses"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
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
	got := e2etest.Endpoint{URL: url}.Call(t, "GET", "/openapi.json", nil)
	doc, err := libopenapi.NewDocument(got.Body)
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
