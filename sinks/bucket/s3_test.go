package bucket

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/sinks/bucket/buckettest"
)

func TestS3Store(t *testing.T) {
	t.Parallel()
	accept(t, func(t *testing.T) *Bucket {
		url, _ := buckettest.S3(t)
		return openURL(t, url)
	})
}

func TestS3PrefixesAreStoresOfTheirOwn(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*testing.T, *Bucket){"list": listed, "read": ranges, "create": createLargeOnce,
		"sign": signed, "probe": probed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := buckettest.S3(t)
			prefixed := func(prefix string) *Bucket { return openURL(t, strings.Replace(url, "?", prefix+"?", 1)) }
			for _, neighbour := range []string{"", "/a", "/a/store-2"} {
				b := prefixed(neighbour)
				defer b.Close()
				if err := b.Create(t.Context(), "neighbour", nil); err != nil {
					t.Fatal(err)
				}
			}
			b := prefixed("/a/store/")
			defer b.Close()
			run(t, b)
			if url := b.URL("x"); !strings.HasSuffix(url, "/a/store/x") {
				t.Errorf("URL of x: %s", url)
			}
		})
	}
}

// Objects under the prefix whose keys Millrace never writes belong to other programs.
func TestS3ListsOnlyKeysThatMillraceCanHaveWritten(t *testing.T) {
	t.Parallel()
	url, _ := buckettest.S3(t)
	b := openURL(t, url)
	defer b.Close()
	s := b.store.(*s3Store)
	for _, key := range []string{"folder/", "a/.hidden", "a/b"} {
		if _, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &s.cfg.bucket, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	expectKeys(t, b, "", "a/b")
}

func TestS3AbortedAndRefusedUploadsLeaveNoParts(t *testing.T) {
	t.Parallel()
	url, _ := buckettest.S3(t)
	b := openURL(t, url)
	defer b.Close()
	body := noise(partSize + 1)
	write := func() *Writer {
		w, err := b.NewWriter(t.Context(), "a/b")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		return w
	}
	open := func() int {
		s := b.store.(*s3Store)
		out, err := s.client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &s.cfg.bucket})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Uploads)
	}
	first, second, third := write(), write(), write()
	if n := open(); n != 3 {
		t.Fatalf("%d uploads are open, want 3", n)
	}
	first.Abort()
	if err := second.Commit(); err != nil {
		t.Error(err)
	}
	if err := third.Commit(); err == nil {
		t.Error("committed twice")
	}
	if n := open(); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
	expectKeys(t, b, "", "a/b")
}

// The error of the first request says what to change, and contains no secret.
func TestS3MistakesAreExplained(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	plain.Close() // nothing listens there now
	for name, test := range map[string]struct {
		change func(cfg *s3Config)
		want   string
	}{
		"no such bucket": {func(cfg *s3Config) { cfg.bucket = "no-such-bucket" },
			`has no bucket "no-such-bucket": create it`},
		"unknown access key": {func(cfg *s3Config) {
			cfg.credentials = credentials.NewStaticCredentialsProvider("who", "hush",
				"")
		}, "correct AWS_ACCESS_KEY_ID"},
		"wrong secret": {func(cfg *s3Config) {
			cfg.credentials = credentials.NewStaticCredentialsProvider("millrace-tests", "hush", "")
		}, "correct AWS_ACCESS_KEY_ID"},
		"without credentials": {func(cfg *s3Config) { cfg.sdk.Set("anonymous", "true") }, "s3:PutObject"},
		"nobody listens":      {func(cfg *s3Config) { cfg.endpoint = plain.URL }, "cannot reach http://127.0.0.1"},
		"TLS without TLS": {func(cfg *s3Config) { cfg.endpoint = strings.Replace(cfg.endpoint, "http:", "https:", 1) },
			"correct endpoint="},
		"an unknown host": {func(cfg *s3Config) { cfg.endpoint = "http://host.invalid" },
			"cannot reach http://host.invalid"},
		"another region": {func(cfg *s3Config) { cfg.sdk.Set("region", "mars-north-1") }, "correct region="},
		"no conditional write": {func(cfg *s3Config) {
			cfg.endpoint = answering(t, http.StatusNotImplemented,
				"NotImplemented")
		}, "If-None-Match"},
		"no rights": {func(cfg *s3Config) { cfg.endpoint = answering(t, http.StatusForbidden, "AccessDenied") },
			"s3:PutObject"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openS3With(t, test.change, nil)
			defer b.Close()
			err := b.Probe(t.Context())
			if err == nil {
				t.Fatal("the probe passed")
			}
			for _, part := range []string{"probe the object store", test.want} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("the error tells the secret: %v", err)
			}
			if err := b.Check(t.Context()); err == nil {
				t.Error("the check passed")
			}
		})
	}
}

// answering returns the endpoint of a server that always answers with the same error.
func answering(t *testing.T, status int, code string) string {
	server := httptest.NewServer(refusing(status, code))
	t.Cleanup(server.Close)
	return server.URL
}

func refusing(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
		}
	}
}

func TestS3WithoutCredentialsSaysWhichToSet(t *testing.T) {
	t.Parallel()
	_, env := buckettest.S3(t)
	env = append(env, "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=")
	_, _, out := start(t, env, "open", "s3://bucket?endpoint=http://127.0.0.1:1")
	out.Scan()
	for _, part := range []string{"open the object store", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "profile="} {
		if !strings.Contains(out.Text(), part) {
			t.Errorf("the error does not say %s: %s", part, out.Text())
		}
	}
}

func TestProbeRefusesAnS3StoreThatCreatesTwice(t *testing.T) {
	t.Parallel()
	var real *Bucket
	b := openS3With(t, nil, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Acts like a store without If-None-Match. The header cannot be removed from a signed
			// request.
			if r.Method == http.MethodPut {
				parts := strings.SplitN(r.URL.Path, "/", 3)
				if err := real.Delete(r.Context(), parts[2]); err != nil {
					t.Error(err)
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	defer b.Close()
	cfg := b.store.(*s3Store).cfg
	real = openURL(t, "s3://"+cfg.bucket+"?endpoint="+realEndpoint(t))
	defer real.Close()
	if err := b.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "created the same key twice") {
		t.Errorf("%v", err)
	}
	expectKeys(t, b, "")
}

// Acts like SeaweedFS 4.48: of multipart uploads of a key that are completed at once, several win.
func TestProbeRefusesAnS3StoreWithSeveralWinners(t *testing.T) {
	t.Parallel()
	var real *Bucket
	var puts atomic.Int64
	var completing sync.Mutex
	b := openS3With(t, nil, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isPut(r) {
				puts.Add(1)
			}
			if isComplete(r) {
				completing.Lock() // else two may find the key gone, and one of them wins
				defer completing.Unlock()
				if err := real.Delete(r.Context(), strings.SplitN(r.URL.Path, "/", 3)[2]); err != nil {
					t.Error(err)
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	defer b.Close()
	cfg := b.store.(*s3Store).cfg
	real = openURL(t, "s3://"+cfg.bucket+"?endpoint="+realEndpoint(t))
	defer real.Close()
	if err := b.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "with multipart uploads at once") {
		t.Errorf("%v", err)
	}
	if puts.Load() == 0 {
		t.Error("no single requests have raced")
	}
	expectKeys(t, b, "")
}

func TestProbeOfARealS3Store(t *testing.T) {
	t.Parallel()
	b := openS3With(t, nil, nil)
	defer b.Close()
	if err := b.Measured(NewMetrics(prometheus.NewRegistry())).Probe(t.Context()); err != nil {
		t.Error(err)
	}
	expectKeys(t, b, "")
}

// realEndpoint returns the endpoint of the server of this process.
func realEndpoint(t *testing.T) string {
	raw, _ := buckettest.S3(t)
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("endpoint")
}

// openS3With opens a fresh bucket with a client that repeats soon. If proxy is
// set, the client uses it.
func openS3With(t *testing.T, change func(cfg *s3Config), proxy func(next http.Handler) http.Handler) *Bucket {
	t.Helper()
	raw, _ := buckettest.S3(t)
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := parseS3(u)
	if err != nil {
		t.Fatal(err)
	}
	cfg.maxBackoff = 10 * time.Millisecond
	if proxy != nil {
		target, err := url.Parse(cfg.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		silent := slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo) // the faults are intended
		server := httptest.NewUnstartedServer(proxy(&httputil.ReverseProxy{ErrorLog: silent,
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(target)
				r.Out.Host = r.In.Host // it is signed
			}}))
		// Requests that hang end with the test.
		server.Config.BaseContext = func(net.Listener) context.Context { return t.Context() }
		server.Config.ErrorLog = silent
		server.Start()
		t.Cleanup(server.Close)
		cfg.endpoint = server.URL
	}
	if change != nil {
		change(&cfg)
	}
	store, err := openS3(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &Bucket{store}
}

// silence is how long the clients of impatient wait for a byte.
const silence = 400 * time.Millisecond

// impatient is for tests in which the store hangs, and for no others: on a busy machine a store that works may be silent
// for as long.
func impatient(cfg *s3Config) { cfg.silence = silence }
