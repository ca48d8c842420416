package compose_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const root = "../../../.."

// stack is docker-compose.yml, started with stand-ins in a Docker daemon of its own.
type stack struct {
	t   *testing.T
	env []string
}

// start starts the daemon, builds the images and starts all services. The daemon lives in a
// namespace of processes, so that all containers end with it.
func start(t *testing.T) *stack {
	t.Helper()
	if os.Getenv("MILLRACE_TEST_COMPOSE") == "" {
		t.Skip("it needs a Docker daemon of its own: run make test-compose")
	}
	s := &stack{t: t}
	dir, err := os.MkdirTemp("", "millrace-compose-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	engines, java, jars := s.find()
	socket := "unix://" + filepath.Join(dir, "docker", "docker.sock")
	s.env = append(os.Environ(), "DOCKER_HOST="+socket, "MILLRACE_IMAGE=millrace:test",
		"STANDIN_LIBCHDB="+engines, "STANDIN_JAVA="+java, "STANDIN_KAFKA="+jars)
	s.daemon(dir)
	began := time.Now()
	s.must(exec.Command("standin/images", filepath.Join(dir, "images")))
	t.Logf("the images were built in %s", time.Since(began).Round(time.Second))
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := s.output(s.command("logs", "--no-color", "--tail=15"))
			t.Logf("the ends of the logs:\n%s", out)
		}
		if _, err := s.output(s.command("down", "--volumes", "--timeout=5")); err != nil {
			t.Error(err)
		}
	})
	began = time.Now()
	s.up()
	t.Logf("all services were healthy after %s", time.Since(began).Round(time.Second))
	return s
}

// unavailable skips the test, or fails it in CI.
func (s *stack) unavailable(format string, args ...any) {
	s.t.Helper()
	if os.Getenv("CI") == "true" {
		s.t.Fatalf(format, args...)
	}
	s.t.Skipf(format, args...)
}

// find returns the folders of the ClickHouse engine, of Java's configuration and of Kafka's jars.
func (s *stack) find() (engine, java, jars string) {
	s.t.Helper()
	if os.Getuid() != 0 {
		s.unavailable("only root may make namespaces for a Docker daemon")
	}
	if out, err := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "true").CombinedOutput(); err != nil {
		s.unavailable("this machine gives no namespaces: %v: %s", err, out)
	}
	for _, program := range []string{
		"dockerd", "docker", "buildah", "runc", "iptables", "prometheus", "prometheus-alertmanager", "kcat", "java", "wget", "curl",
	} {
		if _, err := exec.LookPath(program); err != nil {
			s.unavailable("%v: make test-compose installs it on Debian, as root", err)
		}
	}
	one := func(pattern string) string {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			s.unavailable("there is no %s: run make test-compose", pattern)
		}
		path, err := filepath.Abs(found[len(found)-1])
		if err != nil {
			s.t.Fatal(err)
		}
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		s.t.Fatal(err)
	}
	one(root + "/bin/docker-compose-v*")
	return filepath.Dir(one(filepath.Join(cache, "millrace/libchdb/*/libchdb.so"))), one("/etc/java-*-openjdk"),
		one(root + "/.ci/kafka/target/lib")
}

func (s *stack) daemon(dir string) {
	s.t.Helper()
	log, err := os.Create(filepath.Join(dir, "dockerd.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	daemon := exec.Command("standin/dockerd", filepath.Join(dir, "docker"))
	daemon.Stdout, daemon.Stderr = log, log
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := daemon.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		daemon.Process.Kill()
		daemon.Wait()
	})
	s.eventually(time.Minute, func() error {
		_, err := s.output(exec.Command("docker", "version"))
		if err != nil {
			text, _ := os.ReadFile(log.Name())
			err = fmt.Errorf("%w\n%s", err, text)
		}
		return err
	})
}

// command is a command of Docker Compose.
func (s *stack) command(args ...string) *exec.Cmd {
	binaries, _ := filepath.Glob(root + "/bin/docker-compose-v*") // find has looked
	return exec.Command(binaries[len(binaries)-1], append([]string{
		"--project-directory", root, "--file", root + "/docker-compose.yml", "--file", "standin/docker-compose.override.yml",
		"--profile", "sample", "--progress", "quiet",
	}, args...)...)
}

// up starts what is not running, and waits until it is healthy.
func (s *stack) up(services ...string) {
	s.t.Helper()
	s.must(s.command(append([]string{"up", "--no-build", "--detach", "--wait", "--wait-timeout", "180"}, services...)...))
}

// exec runs a command in a container, and returns what it prints.
func (s *stack) exec(service string, args ...string) (string, error) {
	return s.output(s.command(append([]string{"exec", "-T", service}, args...)...))
}

// query asks ClickHouse from another container.
func (s *stack) query(sql string) (string, error) {
	return s.exec("outside", "curl", "-sS", "--fail-with-body", "--max-time", "20", "-u", "millrace:millrace-clickhouse",
		"http://clickhouse:8123/?database=millrace", "--data-binary", sql)
}

func (s *stack) output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Env, cmd.Stderr = s.env, &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, out, stderr.String())
	}
	return strings.TrimSpace(string(out)), err
}

func (s *stack) must(cmd *exec.Cmd) string {
	s.t.Helper()
	out, err := s.output(cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// eventually waits until f returns no error.
func (s *stack) eventually(limit time.Duration, f func() error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatal(errors.Join(err, fmt.Errorf("gave up after %s", limit)))
		case <-tick.C:
		}
	}
}
