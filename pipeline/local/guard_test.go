package local_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/millrace/millrace/pipeline/local"
)

// childPorts returns the addresses on which the engine itself listens. They are on its command line,
// which every user of the machine can read.
func childPorts(t *testing.T, c *local.ClickHouse) (native, http string, arguments []string) {
	t.Helper()
	line, err := os.ReadFile("/proc/" + strconv.Itoa(c.Pid()) + "/cmdline")
	if err != nil {
		t.Skip(err)
	}
	arguments = strings.Split(string(line), "\x00")
	for i, a := range arguments {
		switch a {
		case "-native":
			native = net.JoinHostPort("127.0.0.1", arguments[i+1])
		case "-http":
			http = net.JoinHostPort("127.0.0.1", arguments[i+1])
		}
	}
	if native == "" || http == "" {
		t.Fatalf("no ports in %q", arguments)
	}
	return native, http, arguments
}

// answer returns what a request is answered.
func answer(t *testing.T, target string, change func(*http.Request)) (status int, body string) {
	t.Helper()
	query := strings.NewReader("SELECT 'ans' || 'wer'")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, query)
	if err != nil {
		t.Fatal(err)
	}
	change(req)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestWhoLacksThePasswordGetsNothing(t *testing.T) {
	t.Parallel()
	cfg := realConfig(t)
	cfg.PasswordFile = filepath.Join(t.TempDir(), "clickhouse-password")
	c, _ := run(t, cfg)
	waitReady(t, c)
	native, direct, arguments := childPorts(t, c)
	for _, a := range arguments {
		if strings.Contains(a, c.Password()) {
			t.Errorf("the command line has the password: %q", a)
		}
	}

	for _, addr := range []string{c.HTTPAddr(), direct} {
		for _, login := range []string{"", "?user=default", "?user=default&password=", "?user=millrace",
			"?user=millrace&password=x", "?max_sessions_for_user=0", "?user=default&session_id=s", "?user=default&profile=default"} {
			if status, body := answer(t, "http://"+addr+"/"+login, func(*http.Request) {}); status == http.StatusOK ||
				strings.Contains(body, "answer") {
				t.Errorf("%s with %q: %d %s", addr, login, status, body)
			}
		}
		login := url.UserPassword(local.User, c.Password()).String() + "@"
		if status, body := answer(t, "http://"+login+addr, func(*http.Request) {}); status != http.StatusOK || body != "answer\n" {
			t.Errorf("%s with the password: %d %s", addr, status, body)
		}
	}
	// The engine may abort after it has refused somebody on its own native port: last.
	for _, addr := range []string{c.NativeAddr(), native} {
		for _, auth := range []clickhouse.Auth{{}, {Username: "default"}, {Username: local.User},
			{Username: local.User, Password: "x"}} {
			conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{addr}, Auth: auth, DialTimeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.Ping(t.Context()); err == nil {
				t.Errorf("%s lets %+v in", addr, auth)
			}
			conn.Close()
		}
	}
}

func TestTheHTTPPortRefusesWebPages(t *testing.T) {
	t.Parallel()
	cfg := realConfig(t)
	cfg.NoPassword = true // so that nothing else refuses them
	c, _ := run(t, cfg)
	waitReady(t, c)
	_, port, err := net.SplitHostPort(c.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(value string) func(*http.Request) { return func(r *http.Request) { r.Host = value } }
	for name, test := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"a program":                     {func(*http.Request) {}, http.StatusOK},
		"by name":                       {host("localhost:" + port), http.StatusOK},
		"by IPv6":                       {host("[::1]:" + port), http.StatusOK},
		"its own page":                  {header("Origin", "http://"+c.HTTPAddr()), http.StatusOK},
		"an address that was typed":     {header("Sec-Fetch-Site", "none"), http.StatusOK},
		"its own page, said otherwise":  {header("Sec-Fetch-Site", "same-origin"), http.StatusOK},
		"DNS rebinding":                 {host("evil.example"), http.StatusForbidden},
		"DNS rebinding with the port":   {host("evil.example:" + port), http.StatusForbidden},
		"a name that begins right":      {host("127.0.0.1.evil.example:" + port), http.StatusForbidden},
		"a name that ends right":        {host("evil.localhost:" + port), http.StatusForbidden},
		"a login in the host":           {host("127.0.0.1@evil.example"), http.StatusForbidden},
		"every address":                 {host("0.0.0.0:" + port), http.StatusForbidden},
		"another page":                  {header("Origin", "https://evil.example"), http.StatusForbidden},
		"a page of another local port":  {header("Origin", "http://127.0.0.1:3000"), http.StatusForbidden},
		"a file or a sandbox":           {header("Origin", "null"), http.StatusForbidden},
		"an image of another page":      {header("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"an image of another port":      {header("Sec-Fetch-Site", "same-site"), http.StatusForbidden},
		"a page that says it two times": {func(r *http.Request) { r.Header["Origin"] = []string{"http://" + c.HTTPAddr(), "http://x"} }, 403},
	} {
		if status, body := answer(t, "http://"+c.HTTPAddr(), test.change); status != test.want {
			t.Errorf("%s: %d, want %d: %s", name, status, test.want, body)
		}
	}
	if err := ping(t, c, clickhouse.Auth{}); err != nil {
		t.Errorf("without a password on the native port, as asked for: %v", err)
	}
}

func TestThePasswordIsItsUsersAlone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "clickhouse-password")
	start := func() (string, error) {
		c, err := local.NewClickHouse(local.ClickHouseConfig{Dir: t.TempDir(), PasswordFile: file})
		if err != nil {
			return "", err
		}
		done, cancel := context.WithCancel(context.Background())
		cancel()
		return c.Password(), c.Run(done)
	}
	first, err := start()
	if err != nil || len(first) < 20 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := start(); err != nil || again != first {
		t.Errorf("the second start: %q, %v, want %q", again, err, first)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v, want mode 0600", info, err)
	}
	if os.Getuid() == 0 {
		other := exec.Command("cat", file)
		other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := other.Output(); err == nil {
			t.Errorf("another user reads %q", out)
		}
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := start(); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file that others may read: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if second, err := start(); err != nil || second == first {
		t.Errorf("after the file was removed: %q, %v, want a new password", second, err)
	}
	if _, err := local.ReadPassword(file + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
