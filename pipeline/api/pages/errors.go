package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/history"
	"github.com/millrace/millrace/pipeline/share"
)

// problem is an error that a page shows.
type problem struct {
	Status int
	Title  string
	Text   string // what to change
	Link   string // where the visitor can go on
	Label  string // of the link
}

func (e *problem) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Title, e.Text) }

func forbidden(scope string) error {
	return &problem{
		Status: http.StatusForbidden, Title: "Your token does not allow this page",
		Text: "This page needs the scope " + scope +
			". Ask whoever issued your token for one that has it, and sign in again.",
		Link: "/login", Label: "Sign in with another token",
	}
}

func notFound(what, text string) error {
	e := &problem{Status: http.StatusNotFound, Title: "No such " + what, Text: text, Link: "/copilots",
		Label: "Go to the copilots"}
	if what == "recipe" {
		e.Link, e.Label = "/recipes", "Go to the recipes"
	}
	return e
}

// toProblem maps an internal error to a problem. Unexpected errors are logged, not shown.
func toProblem(err error) *problem {
	var known *problem
	var noData *files.NoData
	var busy *share.Busy
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &busy):
		return &problem{Status: http.StatusTooManyRequests, Title: "Too much at a time",
			Text: "This page was not read: " + busy.Error() + "."}
	case errors.Is(err, budget.ErrBusy):
		return &problem{Status: http.StatusServiceUnavailable, Title: "Too much at a time",
			Text: "This page was not read: others have the memory that it needs. Try again."}
	case errors.Is(err, history.ErrCursor), errors.Is(err, live.ErrCursor):
		return &problem{Status: http.StatusBadRequest, Title: "This link has lost its place",
			Text: "Its cursor is not one of this list. Start again from the newest."}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, history.ErrTooSlow):
		return &problem{Status: http.StatusGatewayTimeout, Title: "This took too long",
			Text: "The database did not answer in time. Choose a shorter time range or fewer filters, or try again."}
	case errors.Is(err, files.ErrRunning):
		return &problem{Status: http.StatusConflict, Title: "The export is still running",
			Text: "You can look at its records when it has succeeded.", Link: "/exports", Label: "See its progress"}
	case errors.Is(err, files.ErrDeleted):
		return &problem{Status: http.StatusGone, Title: "The export's files were deleted",
			Text: "File it again to get its records.", Link: "/exports", Label: "Go to the exports"}
	case errors.As(err, &noData):
		return &problem{Status: http.StatusConflict, Title: "The export has no data", Text: noData.Error(), Link: "/exports",
			Label: "Go to the exports"}
	}
	return &problem{Status: http.StatusInternalServerError, Title: "Something went wrong here",
		Text: "The fault is in the server, not in your request. Try again. If it stays, the server's log has the reason."}
}

// Fail answers with an error page. It logs faults of the server, and as warnings that it had too much to do.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // the browser is gone
	}
	e := toProblem(err)
	switch {
	case e.Status == http.StatusServiceUnavailable, e.Status == http.StatusGatewayTimeout:
		p.cfg.Log.WarnContext(r.Context(), "page not read", "path", r.URL.Path, "error", err)
	case e.Status >= http.StatusInternalServerError:
		p.cfg.Log.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "error", err)
	}
	if e.Link == "" {
		e.Link, e.Label = startOf(r), "Start again"
	}
	if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1") // as the API does
	}
	if err := p.render(w, r, view{template: "error.html", title: e.Title, status: e.Status, data: e}); err != nil {
		p.cfg.Log.ErrorContext(r.Context(), "error page failed", "path", r.URL.Path, "error", err)
		http.Error(w, e.Title, e.Status)
	}
}

// startOf returns the address of the first page of a list.
func startOf(r *http.Request) string {
	q := r.URL.Query()
	q.Del(cursorKey)
	q.Del(previousKey)
	return address(r.URL.Path, q)
}

// notFoundPage answers requests for addresses that do not exist. Below /v1/ and /api/, where
// programs call, it answers with JSON.
func (p *Pages) notFoundPage(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v1/") || strings.HasPrefix(r.URL.Path, "/api/") {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintln(w, `{"title":"Not Found","status":404,"detail":"there is no such address"}`)
		return
	}
	if auth.From(r.Context()) == nil && !p.auth.Keyless() {
		toLogin(w, r)
		return
	}
	p.Fail(w, r, notFound("page", "Check the address, or choose a section above."))
}
