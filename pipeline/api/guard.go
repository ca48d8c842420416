package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/audit"
)

// Limits of requests.
const (
	maxHeader     = 64 << 10 // bytes
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	bodyTimeout   = 30 * time.Second // for a whole body, but of run events
	dryRunTimeout = 30 * time.Second // for a dry run
	// bytes, after which other goroutines get a turn: a download to a fast client never waits
	largeWrite     = 16 << 10
	silenceTimeout = 30 * time.Second // of a client that does not read its answer, or does not send its body
	// A client that reads an answer, or sends run events, may take answerTime, and a second more for
	// each minRate bytes. So every transfer has an end, however slow it is.
	answerTime = time.Minute
	minRate    = 64 << 10
)

// policy is the Content-Security-Policy of every answer: the pages load nothing from other hosts,
// and have nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guard is the middleware of every handler: it sets headers, checks host and origin, bounds the
// time of bodies, and answers for panics. Health and metrics have no
// limit: what checks them restarts a server that does not answer.
func (a *API) guard(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	origins.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem(http.StatusForbidden, "a page of another origin may not do this").write(w)
	}))
	next = origins.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		if r.TLS != nil || strings.HasPrefix(a.cfg.PublicURL, "https://") {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		h.Set("Cache-Control", "no-store")
		if a.auth.Keyless() && !isLoopback(r.Host) {
			problem(http.StatusForbidden, "without keys for tokens the server answers to loopback names only, such as "+
				"localhost: "+
				"configure keys to reach it by another name").write(w)
			return
		}
		defer a.answerPanic(w, r)
		if isOps(r) {
			a.mux.ServeHTTP(w, r)
			return
		}
		if r.ContentLength != 0 { // a handler may allow more
			//nolint:errcheck // a writer of tests has no deadline
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		p := a.limits.pass(r)
		defer p.end()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passKey{}, p)))
	})
}

// answerPanic answers for a handler that panicked.
func (a *API) answerPanic(w http.ResponseWriter, r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	if fault != http.ErrAbortHandler { //nolint:errorlint // net/http panics with this value
		a.cfg.Log.Error("a handler panicked", "method", r.Method, "route", r.Pattern, "fault", fault, "stack",
			string(debug.Stack()))
	}
	if t, ok := w.(*timedWriter); ok && !t.began {
		problem(http.StatusInternalServerError, "the server has a fault: its log has the details").write(w)
		return
	}
	panic(http.ErrAbortHandler) // the client must not take the part that was sent for the whole
}

// isLoopback reports whether a Host header names this machine. That of a foreign site whose name
// resolves to this machine (DNS rebinding) does not.
func isLoopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.Trim(name, "[]")
	ip := net.ParseIP(name)
	return strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
}

// withCaller puts the caller into the context of pages. Without one the visitor has to sign in.
func (a *API) withCaller(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := a.auth.Caller(r)
		if err == nil {
			r = r.WithContext(auth.With(r.Context(), caller))
		}
		var over error
		leave := func() {}
		if err == nil {
			leave, over = a.enterPage(r, caller.Workspace)
		} else {
			over = visit(r)
		}
		if over != nil {
			a.failPage(w, r, over)
			return
		}
		defer leave()
		var refusal *auth.Refusal
		if errors.As(err, &refusal) && !refusal.Missing() {
			e := (&auth.Caller{Address: auth.Address(r)}).Entry(audit.Refused, "page "+r.URL.Path)
			e.Outcome = outcome(refusal.Status)
			a.cfg.Trail.Refuse(e)
		}
		next.ServeHTTP(w, r)
	})
}

// enterPage makes a request one of a workspace, with a place among those of the operation whose work
// the page does.
func (a *API) enterPage(r *http.Request, workspace string) (leave func(), err error) {
	if err := signedIn(r.Context(), workspace); err != nil {
		return nil, err
	}
	_, pattern := a.pages.Handler(r)
	return a.limits.of[pageOperations[pattern]].Enter(r.Context(), workspace)
}

// timedWriter closes the connection of a client that does not read its answer, or reads it too
// slowly.
type timedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	began   bool
	status  int
	first   time.Time // of the first write
	written int64     // bytes
	endless bool      // the answer is a stream of events
}

func newTimedWriter(w http.ResponseWriter) *timedWriter {
	return &timedWriter{ResponseWriter: w, control: http.NewResponseController(w)}
}

// Unwrap is for http.ResponseController.
func (t *timedWriter) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (t *timedWriter) WriteHeader(status int) {
	if !t.began {
		t.began, t.status = true, status
	}
	t.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (t *timedWriter) Write(p []byte) (int, error) {
	if !t.began {
		t.began, t.status = true, http.StatusOK
	}
	now := time.Now()
	if t.first.IsZero() {
		t.first = now
	}
	deadline := now.Add(silenceTimeout)
	if last := transferEnd(t.first, t.written); !t.endless && last.Before(deadline) {
		deadline = last
	}
	if err := t.control.SetWriteDeadline(deadline); err != nil {
		return 0, err
	}
	n, err := t.ResponseWriter.Write(p)
	t.written += int64(n)
	if n >= largeWrite {
		runtime.Gosched()
	}
	return n, err
}

// transferEnd returns when a transfer has to end of which so many bytes are done.
func transferEnd(began time.Time, bytes int64) time.Time {
	return began.Add(answerTime + time.Duration(bytes)*time.Second/minRate)
}

// Flush implements http.Flusher.
func (t *timedWriter) Flush() {
	t.began = true
	t.control.Flush() //nolint:errcheck // the next write returns the error
}
