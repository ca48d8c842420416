package flow_test

import (
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/sinks/bucket"
	"github.com/millrace/millrace/sinks/bucket/buckettest"
)

// store is a faulty proxy of an S3 server.
type store struct {
	fault atomic.Int32
	met   [storeFaults]atomic.Int64 // requests that met each fault
	over  chan struct{}             // closed at the end of the test
	next  http.Handler
}

// Faults of a store.
const (
	storeWell = iota
	storeRefuses
	storeThrottles
	storeHangs
	storeLosesAnswers // to finished requests
	storeCutsAnswers
	storeFaults
)

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := s.fault.Load()
	s.met[fault].Add(1)
	switch fault {
	case storeRefuses:
		http.Error(w, "<Error><Code>InternalError</Code></Error>", http.StatusInternalServerError)
	case storeThrottles:
		http.Error(w, "<Error><Code>SlowDown</Code></Error>", http.StatusServiceUnavailable)
	case storeHangs:
		select {
		case <-r.Context().Done(): // Done is closed only after the body was read
		case <-s.over:
		}
	case storeLosesAnswers:
		s.next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case storeCutsAnswers:
		whole := httptest.NewRecorder()
		s.next.ServeHTTP(whole, r)
		maps.Copy(w.Header(), whole.Header())
		w.WriteHeader(whole.Code)
		w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
		panic(http.ErrAbortHandler)
	default:
		s.next.ServeHTTP(w, r)
	}
}

// meet requests exports until a request to the store meets the fault.
func (s *store) meet(f *faulty, fault int32) {
	f.t.Helper()
	s.fault.Store(fault)
	before, deadline := s.met[fault].Load(), time.Now().Add(30*time.Second)
	for s.met[fault].Load() == before {
		if time.Now().After(deadline) {
			f.t.Fatalf("no request meets fault %d", fault)
		}
		f.ask()
		f.pause(200 * time.Millisecond)
	}
}

// onS3 gives the flow a bucket on S3 behind a proxy.
func (f *faulty) onS3() *store {
	f.t.Helper()
	text, _ := buckettest.S3(f.t)
	u, err := url.Parse(text)
	if err != nil {
		f.t.Fatal(err)
	}
	query := u.Query()
	server, err := url.Parse(query.Get("endpoint"))
	if err != nil {
		f.t.Fatal(err)
	}
	s := &store{over: make(chan struct{}), next: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(server)
			r.Out.Host = r.In.Host // the host is part of the signature
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}}
	proxy := httptest.NewServer(s)
	f.t.Cleanup(func() {
		close(s.over)
		proxy.Close()
	})
	query.Set("endpoint", proxy.URL)
	query.Set("timeout", "1s")
	u.RawQuery = query.Encode()
	if f.bucket, err = bucket.Open(f.t.Context(), u.String()); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { f.bucket.Close() })
	return s
}

func TestAStoreThatRefusesHangsOrLosesAnswersBreaksNoExport(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	s := f.onS3()
	f.insertRuns(faultRuns)
	f.start()
	for _, fault := range f.random.Perm(storeFaults) {
		f.ask()
		f.pause(100 * time.Millisecond)
		s.meet(f, int32(fault))
		f.pause(time.Second)
		s.fault.Store(storeWell)
		f.settle()
	}
	if failed := f.check(); failed > 0 { // the stages wait for a store that does not answer
		t.Errorf("%d exports failed", failed)
	}
}

// Stages stop while the store hangs, and the next processes finish their work.
func TestStagesStopWhileTheStoreHangs(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	s := f.onS3()
	f.insertRuns(faultRuns)
	var stopping time.Time
	t.Run("until it hangs", func(t *testing.T) {
		f.t = t
		f.start()
		f.ask()
		f.ask()
		f.poll("progress", func() bool { return len(f.progress("e1")) > 0 })
		s.meet(f, storeHangs)
		stopping = time.Now()
	})
	f.t = t
	if took := time.Since(stopping); took > 10*time.Second {
		t.Errorf("the stages stopped after %s", took)
	}
	s.fault.Store(storeWell)
	f.start()
	if failed := f.check(); failed > 0 {
		t.Errorf("%d exports failed", failed)
	}
}
