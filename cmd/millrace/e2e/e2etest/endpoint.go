package e2etest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Endpoint is where `millrace serve` answers.
type Endpoint struct {
	URL string
	// Check checks every answer, where it is set.
	Check func(*testing.T, *http.Request, *http.Response)
	// headers are sent with every request, NAME: value.
	headers []string
	// Prepare changes requests at last, where it is set.
	Prepare func(*http.Request)
}

// With returns the endpoint with more headers, NAME: value. A header without a value is removed.
func (s Endpoint) With(headers ...string) Endpoint {
	s.headers = append(slices.Clone(s.headers), headers...)
	return s
}

// In is the server as seen by a workspace.
func (s Endpoint) In(workspace string) Endpoint { return s.With("X-Millrace-Workspace: " + workspace) }

// Answer is an answer of a server, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Err    error  // why the body ended before its end
	About  string // method and path
}

// direct follows no redirects, and keeps no cookies.
var direct = &http.Client{
	Timeout:       time.Minute,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Open sends a request, whose body is a text, a reader, nothing, or what JSON is made of.
func (s Endpoint) Open(ctx context.Context, t *testing.T, method, path string, body any,
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
	r, err := http.NewRequestWithContext(ctx, method, s.URL+path, content)
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
	if s.Prepare != nil {
		s.Prepare(r)
	}
	resp, err := direct.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

// Call sends a request as Open does, reads the answer and checks it.
func (s Endpoint) Call(t *testing.T, method, path string, body any, headers ...string) *Answer {
	t.Helper()
	resp := s.Open(t.Context(), t, method, path, body, headers...)
	defer resp.Body.Close()
	got := &Answer{Status: resp.StatusCode, Header: resp.Header, About: method + " " + path}
	got.Body, got.Err = io.ReadAll(resp.Body)
	if s.Check != nil && got.Err == nil {
		resp.Body = io.NopCloser(bytes.NewReader(got.Body))
		s.Check(t, resp.Request, resp)
	}
	return got
}

// Get is Call of a GET.
func (s Endpoint) Get(t *testing.T, path string, headers ...string) *Answer {
	t.Helper()
	return s.Call(t, "GET", path, nil, headers...)
}

// Want checks the status, and returns the answer.
func (a *Answer) Want(t *testing.T, status int) *Answer {
	t.Helper()
	if a.Status != status || a.Err != nil {
		t.Fatalf("%s: %d, want %d, %v\n%.1000s", a.About, a.Status, status, a.Err, a.Body)
	}
	return a
}

// Object reads the body, which must be a JSON object.
func (a *Answer) Object(t *testing.T) Object {
	t.Helper()
	return ParseObject(t, string(a.Body))
}

// Problem checks that the answer is a problem of this status, which names these places, pointers or
// parameters.
func (a *Answer) Problem(t *testing.T, status int, places ...string) Object {
	t.Helper()
	if a.Status != status || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d %s, want the problem %d\n%.1000s", a.About, a.Status, a.Header.Get("Content-Type"), status, a.Body)
		return Object{}
	}
	p := a.Object(t)
	if fmt.Sprint(p["status"]) != fmt.Sprint(status) || p["title"] == "" || p["detail"] == "" {
		t.Errorf("%s: the problem is %s", a.About, a.Body)
	}
	found := []string{}
	list, _ := p["errors"].([]any)
	for _, e := range list {
		e := e.(Object)
		for _, key := range []string{"pointer", "parameter"} {
			if place, ok := e[key].(string); ok {
				found = append(found, place)
			}
		}
		if e["detail"] == "" || e["detail"] == nil {
			t.Errorf("%s: a mistake without a detail: %v", a.About, e)
		}
	}
	for _, place := range places {
		if !slices.Contains(found, place) {
			t.Errorf("%s: the problem names %q, and not %s\n%s", a.About, found, place, a.Body)
		}
	}
	return p
}

// File files a request, and returns the export's id.
func (s Endpoint) File(t *testing.T, request Object) string {
	t.Helper()
	id, _ := s.Call(t, "POST", "/v1/exports", request).Want(t, http.StatusAccepted).Object(t)["export_id"].(string)
	return id
}

// WaitFor waits until an export has this status, with which it ends, and returns it.
func (s Endpoint) WaitFor(t *testing.T, id, status string) (x Object) {
	t.Helper()
	Eventually(t, time.Minute, func() string {
		x = s.Get(t, "/v1/exports/"+id).Want(t, http.StatusOK).Object(t)
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

// WaitReady waits until a role serve is ready, and returns its URL.
func WaitReady(t *testing.T, p *Process) string {
	t.Helper()
	url := p.Field(t, "http")
	Eventually(t, time.Minute, func() string {
		got := Endpoint{URL: url}.Get(t, "/readyz")
		if got.Status != http.StatusOK {
			return string(got.Body)
		}
		return ""
	})
	return url
}

// Get returns the status and the body of a URL; 0 and the error where there is no answer.
func Get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
