// Package buckettest gives tests a real S3 server: versitygw, which serves a folder over the S3
// API.
package buckettest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The credentials of the server, which listens on loopback only.
const (
	accessKey = "millrace-tests"
	secretKey = "millrace-tests-secret"
)

// S3 returns the URL of a new, empty bucket, and the environment (NAME=value) with which another
// process can use it. S3 also adds the credentials to the environment of this process. It looks for
// versitygw in bin/ of the repository, where make test builds it, and in PATH. Without versitygw
// the test is skipped, or fails if CI=true.
func S3(t testing.TB) (url string, env []string) {
	t.Helper()
	s, err := server()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	bucket := "test-" + strings.ToLower(rand.Text())
	if err := os.Mkdir(filepath.Join(s.dir, bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	return "s3://" + bucket + "?endpoint=http://" + s.addr, environment
}

// environment hides the developer's own configuration of S3.
var environment = []string{
	"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_SESSION_TOKEN=", "AWS_PROFILE=",
	"AWS_REGION=",
	"AWS_DEFAULT_REGION=", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
	"AWS_EC2_METADATA_DISABLED=true",
}

type gateway struct {
	addr, dir string
	stdin     io.Closer // kept, since the garbage collector would close it
}

// server starts the server of this process, once. The server ends with the process.
var server = sync.OnceValues(func() (*gateway, error) {
	binary, err := find()
	if err != nil {
		return nil, err
	}
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	for range 5 { // another process may take the port before the server does
		var s *gateway
		if s, err = start(binary); err == nil {
			return s, nil
		}
	}
	return nil, err
})

// untilEOF runs a command until its standard input closes, and then removes the folder. The input
// closes when the process at the other end is gone, whatever ended it.
const untilEOF = `trap "" INT; dir=$1; shift; "$@" </dev/null & server=$!
cat >/dev/null; kill $server; wait $server; rm -rf "$dir"`

func start(binary string) (*gateway, error) {
	dir, err := os.MkdirTemp("", "millrace-s3-")
	if err != nil {
		return nil, err
	}
	mark := "mark-" + strings.ToLower(rand.Text())
	if err := os.Mkdir(filepath.Join(dir, mark), 0o700); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := listener.Addr().String()
	listener.Close()
	cmd := exec.Command("sh", "-c", untilEOF, "sh", dir, binary, "--quiet", "--keep-alive", "--port", addr, "posix", dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := answers("http://" + addr + "/" + mark); err != nil {
		stdin.Close()
		return nil, err
	}
	return &gateway{addr, dir, stdin}, nil
}

// answers waits until the server answers. A server of another process has no such bucket.
func answers(url string) error {
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusForbidden {
				return nil
			}
			err = errors.New(resp.Status)
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("versitygw does not answer at %s: %w", url, err)
		}
	}
}

// find returns the newest versitygw in bin/ of the repository, or else the one in PATH.
func find() (string, error) {
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			return "", errors.New("this test does not run inside of the repository")
		}
	}
	built, err := filepath.Glob(filepath.Join(root, "bin", "versitygw-v*"))
	if err != nil {
		return "", err
	}
	if len(built) > 0 {
		return slices.Max(built), nil
	}
	if path, err := exec.LookPath("versitygw"); err == nil {
		return path, nil
	}
	return "", errors.New("no S3 server: make test builds versitygw into bin/")
}
