package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The requests that write.
func isPut(r *http.Request) bool {
	return r.Method == http.MethodPut && !r.URL.Query().Has("partNumber")
}

func isPart(r *http.Request) bool { return r.Method == http.MethodPut && !isPut(r) }

func isBegin(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploads")
}

func isComplete(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

func isRead(r *http.Request) bool {
	return r.Method == http.MethodGet && !r.URL.Query().Has("list-type")
}

// first gives the first n requests of a kind to fault, and the others to the server. seen counts
// all of them.
func first(n int64, kind func(*http.Request) bool, seen *atomic.Int64, fault func(http.ResponseWriter, *http.Request,
	http.Handler)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if kind(r) && seen.Add(1) <= n {
				fault(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func firstOfEachMethod() func(*http.Request) bool {
	var seen sync.Map
	return func(r *http.Request) bool {
		_, again := seen.LoadOrStore(r.Method, true)
		return !again && (isPut(r) || r.Method == http.MethodHead)
	}
}

// loseAnswer executes the request and closes the connection without an answer.
func loseAnswer(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

func hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }

func refuse(status int, code string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { refusing(status, code)(w, r) }
}

const always = 1 << 40

func TestS3FaultsOnTheWayAreRetried(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind  func(*http.Request) bool
		times int64
		fault func(http.ResponseWriter, *http.Request, http.Handler)
	}{
		"PutObject's answer is lost":            {isPut, 1, loseAnswer},
		"PutObject's answers are lost":          {isPut, 3, loseAnswer},
		"PutObject's answers are lost for ever": {isPut, always, loseAnswer},
		"PutObject meets an error of the server": {isPut, 2, refuse(http.StatusInternalServerError,
			"InternalError")},
		"PutObject is throttled": {isPut, 3, refuse(http.StatusServiceUnavailable, "SlowDown")},
		"PutObject meets another": {isPut, 1, refuse(http.StatusConflict,
			"ConditionalRequestConflict")},
		"PutObject hangs":                                     {isPut, 1, hang},
		"CreateMultipartUpload's answer is lost":              {isBegin, 1, loseAnswer},
		"UploadPart's answer is lost":                         {isPart, 2, loseAnswer},
		"UploadPart hangs":                                    {isPart, 1, hang},
		"CompleteMultipartUpload's answer is lost":            {isComplete, 1, loseAnswer},
		"CompleteMultipartUpload's answers are lost":          {isComplete, 3, loseAnswer},
		"CompleteMultipartUpload's answers are lost for ever": {isComplete, always, loseAnswer},
		"CompleteMultipartUpload meets another": {isComplete, 1,
			refuse(http.StatusConflict, "ConditionalRequestConflict")},
		"CompleteMultipartUpload meets an error": {isComplete, 1, refuse(http.StatusInternalServerError,
			"InternalError")},
		"CompleteMultipartUpload fails in a 200":      {isComplete, 1, refuse(http.StatusOK, "InternalError")},
		"reading meets an error":                      {isRead, 2, refuse(http.StatusBadGateway, "")},
		"reading is cut before the first byte":        {isRead, 1, loseAnswer},
		"PutObject's answer is lost, and then HEAD's": {firstOfEachMethod(), always, loseAnswer},
		"all that write lose the answer now and then": {func(r *http.Request) bool {
			return isBegin(r) || isComplete(r) ||
				isPut(r)
		}, 2, loseAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen atomic.Int64
			change := func(*s3Config) {}
			if strings.HasSuffix(name, "hangs") {
				change = impatient
			}
			b := openS3With(t, change, first(test.times, test.kind, &seen, test.fault))
			defer b.Close()
			small, large := []byte("small"), noise(2*partSize+1)
			if err := b.Create(t.Context(), "created", small); err != nil {
				t.Error(err)
			}
			if err := commitTo(t.Context(), b, "small", small); err != nil {
				t.Error(err)
			}
			if err := commitTo(t.Context(), b, "large", large); err != nil {
				t.Error(err)
			}
			if err := b.Sync(t.Context(), []string{"created", "small", "large"}); err != nil {
				t.Error(err)
			}
			for key, want := range map[string][]byte{"created": small, "small": small, "large": large} {
				if got := mustRead(t, b, key); !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, not the %d written", key, len(got), len(want))
				}
			}
			if seen.Load() == 0 {
				t.Error("the fault was not met")
			}
		})
	}
}

// If the first request won and its answer was lost, the repeated request finds an object. It
// succeeds if the object is its own.
func TestS3LostAnswerOfALoserIsAConflict(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]func(*http.Request) bool{"PutObject": isPut,
		"CompleteMultipartUpload": isComplete} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var faults atomic.Bool
			b := openS3With(t, nil, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if kind(r) && faults.Swap(false) {
						loseAnswer(w, r, next)
					}
					next.ServeHTTP(w, r)
				})
			})
			defer b.Close()
			body := noise(partSize + 1)
			if kind(httptest.NewRequest(http.MethodPut, "/", nil)) {
				body = body[:10]
			}
			if err := commitTo(t.Context(), b, "a", body); err != nil {
				t.Fatal(err)
			}
			faults.Store(true)
			if err := commitTo(t.Context(), b, "a", body); !errors.Is(err, ErrExists) {
				t.Errorf("the same body again: %v", err)
			}
			if faults.Load() {
				t.Error("the fault was not met")
			}
		})
	}
}

func TestS3RetriesAreBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault func(http.ResponseWriter, *http.Request, http.Handler)
		want  string
	}{
		"errors":     {refuse(http.StatusInternalServerError, "InternalError"), "InternalError"},
		"throttling": {refuse(http.StatusServiceUnavailable, "SlowDown"), "SlowDown"},
		"conflicts":  {refuse(http.StatusConflict, "ConditionalRequestConflict"), "ConditionalRequestConflict"},
		"cut off": {func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
			"cannot reach"},
		"hanging": {hang, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen atomic.Int64
			b := openS3With(t, impatient, first(always, isPut, &seen, test.fault))
			defer b.Close()
			begin := time.Now()
			err := b.Create(t.Context(), "a", []byte("body"))
			if err == nil || errors.Is(err, ErrExists) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error does not say %q: %v", test.want, err)
			}
			attempts := int64(b.store.(*s3Store).cfg.attempts)
			if seen.Load() != attempts {
				t.Errorf("%d requests, want %d", seen.Load(), attempts)
			}
			if took := time.Since(begin); took > time.Duration(attempts)*silence+5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestS3RequestsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	var seen atomic.Int64
	b := openS3With(t, func(cfg *s3Config) { cfg.silence = time.Hour }, first(always, isPut, &seen, hang))
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Create(ctx, "a", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// A body that stops is an error. It neither hangs nor looks like the end of the object.
func TestS3ReadsThatStopFail(t *testing.T) {
	t.Parallel()
	body := noise(4 << 20)
	for name, stop := range map[string]func(r *http.Request){
		"hangs":      func(r *http.Request) { <-r.Context().Done() },
		"is cut off": func(*http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen atomic.Int64
			b := openS3With(t, impatient, first(always, isRead, &seen, func(w http.ResponseWriter, r *http.Request,
				next http.Handler) {
				answer := httptest.NewRecorder()
				next.ServeHTTP(answer, r)
				for name, values := range answer.Header() {
					w.Header()[name] = values
				}
				_, _ = w.Write(answer.Body.Bytes()[:1<<20])
				_ = http.NewResponseController(w).Flush()
				stop(r)
			}))
			defer b.Close()
			if err := b.Create(t.Context(), "a", body); err != nil {
				t.Fatal(err)
			}
			if got, err := b.Read(t.Context(), "a"); err == nil {
				t.Errorf("read %d bytes without an error", len(got))
			}
		})
	}
}

// A slow line is not a hanging server: a request may take longer than the silence that would end
// it.
func TestS3SlowTransfersAreNotHanging(t *testing.T) {
	t.Parallel()
	const patience = 2 * time.Second
	body := noise(64 << 20) // more than the buffers of sockets hold
	slow := func(dst io.Writer, src io.Reader) {
		tick := time.NewTicker(2 * patience / 30)
		defer tick.Stop()
		for range tick.C {
			if _, err := io.CopyN(dst, src, int64(len(body)/30)); err != nil {
				return
			}
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			slow(io.Discard, r.Body)
			return
		}
		slow(w, bytes.NewReader(body))
	}))
	defer server.Close()
	b := openS3With(t, func(cfg *s3Config) { cfg.endpoint, cfg.silence, cfg.attempts = server.URL, patience, 1 }, nil)
	defer b.Close()
	for what, do := range map[string]func() error{
		"writing": func() error { return b.Create(t.Context(), "a", body) },
		"reading": func() error {
			r, _, err := b.NewReader(t.Context(), "a")
			if err != nil {
				return err
			}
			defer r.Close()
			if n, err := io.Copy(io.Discard, r); err != nil || n != int64(len(body)) {
				return fmt.Errorf("%d bytes: %w", n, err)
			}
			return nil
		},
	} {
		begin := time.Now()
		if err := do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if took := time.Since(begin); took < 3*patience/2 {
			t.Errorf("%s took %s: too fast to show anything", what, took)
		}
	}
}

func TestS3DamageIsNoticed(t *testing.T) {
	t.Parallel()
	small, large := []byte("small"), noise(partSize+1)
	t.Run("while reading", func(t *testing.T) {
		t.Parallel()
		var seen atomic.Int64
		b := openS3With(t, nil, first(always, isRead, &seen, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			for name, values := range answer.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(answer.Code)
			body := answer.Body.Bytes()
			body[len(body)/2] ^= 1
			_, _ = w.Write(body)
		}))
		defer b.Close()
		for key, body := range map[string][]byte{"small": small, "large": large} {
			if err := commitTo(t.Context(), b, key, body); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Read(t.Context(), key); err == nil || !strings.Contains(err.Error(), "checksum") {
				t.Errorf("%s: %v", key, err)
			}
		}
	})
	t.Run("while writing", func(t *testing.T) {
		t.Parallel()
		b := openS3With(t, nil, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if body, err := io.ReadAll(r.Body); err == nil && r.Method == http.MethodPut {
					body[len(body)/2] ^= 1
					r.Body = io.NopCloser(bytes.NewReader(body))
				}
				next.ServeHTTP(w, r)
			})
		})
		defer b.Close()
		for key, body := range map[string][]byte{"small": small, "large": large} {
			if err := commitTo(t.Context(), b, key, body); err == nil {
				t.Errorf("%s was created", key)
			}
		}
		expectKeys(t, b, "")
	})
}
