package compose_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/local/localtest"
)

const root = "../../../.."

// What containers use. The password is that of .env.
const (
	clickhouseURL  = "http://clickhouse:8123/?database=millrace"
	clickhouseUser = "millrace:millrace-clickhouse"
	prometheusURL  = "http://prometheus:9090/api/v1/"
)

// stack is docker-compose.yml, started with stand-ins in a Docker daemon of its own.
type stack struct {
	t      *testing.T
	env    []string
	daemon int // process whose namespaces have the daemon
}

// start starts the daemon, builds the images and starts all services.
func start(t *testing.T) *stack {
	t.Helper()
	if os.Getenv("MILLRACE_TEST_COMPOSE") == "" {
		t.Skip("it needs a Docker daemon of its own: run make test-compose")
	}
	s := &stack{t: t}
	java, jars := s.find()
	dir, err := os.MkdirTemp("", "millrace-compose-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// The engine is its user's alone, and the user of a container is another.
	engine := filepath.Join(dir, "libchdb", "libchdb.so")
	s.must(exec.Command("install", "-D", "-m", "0755", localtest.Config(t).Library, engine))
	s.env = append(os.Environ(), "DOCKER_HOST=unix://"+filepath.Join(dir, "docker", "docker.sock"),
		"MILLRACE_IMAGE=millrace:test", "STANDIN_JAVA="+java, "STANDIN_KAFKA="+jars,
		"STANDIN_LIBCHDB="+filepath.Dir(engine))
	s.startDaemon(dir)
	began := time.Now()
	s.must(exec.Command("standin/images", filepath.Join(dir, "images")))
	t.Logf("the images were built in %s", time.Since(began).Round(time.Second))
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := s.output(s.compose("logs", "--no-color", "--tail=15"))
			t.Logf("the ends of the logs:\n%s", out)
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

// find returns the folders of Java's configuration and of Kafka's jars, if all is there that the stack needs.
func (s *stack) find() (java, jars string) {
	s.t.Helper()
	if os.Getuid() != 0 {
		s.unavailable("only root may make namespaces for a Docker daemon")
	}
	if out, err := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "true").CombinedOutput(); err != nil {
		s.unavailable("this machine gives no namespaces: %v: %s", err, out)
	}
	for _, program := range []string{
		"dockerd", "docker", "buildah", "runc", "iptables", "ip", "prometheus", "prometheus-alertmanager", "kcat", "java",
		"python3", "wget", "curl",
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
	one(root + "/bin/docker-compose-v*")
	one(root + "/bin/versitygw-v*")
	return one("/etc/java-*-openjdk"), one(root + "/.ci/kafka/target/lib")
}

// startDaemon starts the daemon in a namespace of processes, so that all containers end with it.
func (s *stack) startDaemon(dir string) {
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
	s.daemon = daemon.Process.Pid
	s.t.Cleanup(func() {
		daemon.Process.Kill()
		daemon.Wait()
	})
	s.eventually(func() error {
		_, err := s.output(exec.Command("docker", "version"))
		if err != nil {
			text, _ := os.ReadFile(log.Name())
			err = fmt.Errorf("%w\n%s", err, text)
		}
		return err
	})
}

// compose is a command of Docker Compose.
func (s *stack) compose(args ...string) *exec.Cmd {
	binaries, _ := filepath.Glob(root + "/bin/docker-compose-v*") // find has looked
	return exec.Command(binaries[len(binaries)-1], append([]string{
		"--project-directory", root, "--file", root + "/docker-compose.yml", "--file", "standin/docker-compose.override.yml",
		"--profile", "sample", "--progress", "quiet",
	}, args...)...)
}

// up starts what is not running, and waits until it is healthy.
func (s *stack) up() {
	s.t.Helper()
	s.must(s.compose("up", "--no-build", "--detach", "--wait", "--wait-timeout", strconv.Itoa(int(patience.Seconds()))))
}

// container is a container of the project. pid is 0 if it does not run.
type container struct {
	service string
	pid     int
	state   string // what is wrong with it; empty = nothing
}

// containers returns the containers of these services, or of all.
func (s *stack) containers(services ...string) (list []container) {
	s.t.Helper()
	ids := strings.Fields(s.must(exec.Command("docker", "ps", "--all", "--quiet")))
	out := s.must(exec.Command("docker", append([]string{"inspect", "--format",
		`{{index .Config.Labels "com.docker.compose.service"}} {{.State.Pid}} {{.HostConfig.RestartPolicy.Name}} ` +
			`{{.State.Status}} {{.State.ExitCode}} {{with .State.Health}}{{.Status}}{{end}}`}, ids...)...))
	for line := range strings.Lines(out) {
		service, more, _ := strings.Cut(strings.TrimSpace(line), " ")
		pid, state, _ := strings.Cut(more, " ")
		c := container{service: service, state: state}
		c.pid, _ = strconv.Atoi(pid)
		switch state {
		case "no exited 0", "no running 0", "unless-stopped running 0", "unless-stopped running 0 healthy":
			c.state = ""
		}
		if len(services) == 0 || slices.Contains(services, service) {
			list = append(list, c)
		}
	}
	return list
}

// healthy waits until none of these processes is left, and every service runs and is healthy.
func (s *stack) healthy(ended map[int]bool) {
	s.t.Helper()
	s.eventually(func() error {
		var all []error
		for _, c := range s.containers() {
			if c.state != "" || ended[c.pid] {
				all = append(all, fmt.Errorf("%s is not healthy: process %d, %s", c.service, c.pid, c.state))
			}
		}
		return errors.Join(all...)
	})
}

// kill kills the processes of services, as the kernel does when memory is short. Docker starts them again, which it
// does not do after `docker kill`.
func (s *stack) kill(services []string) {
	s.t.Helper()
	command := "kill -KILL"
	for _, c := range s.containers(services...) {
		command += " " + strconv.Itoa(c.pid)
	}
	s.must(exec.Command("nsenter", fmt.Sprintf("--pid=/proc/%d/ns/pid_for_children", s.daemon), "sh", "-c", command))
}

// onMachine is a command on the machine of the daemon, which has a network of its own.
func (s *stack) onMachine(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{fmt.Sprintf("--net=/proc/%d/ns/net", s.daemon)}, args...)...)
}

// name is the first container of a service.
func name(service string) string { return "millrace-" + service + "-1" }

// exec runs a command in the first container of a service, and returns what it prints.
func (s *stack) exec(service string, args ...string) (string, error) {
	return s.output(exec.Command("docker", append([]string{"exec", name(service)}, args...)...))
}

// curl sends a request from another container.
func (s *stack) curl(args ...string) (string, error) {
	return s.exec("outside", append([]string{"curl", "-sS", "--max-time", "20"}, args...)...)
}

// query asks ClickHouse from another container.
func (s *stack) query(sql string) (string, error) {
	return s.curl("--fail-with-body", "-u", clickhouseUser, clickhouseURL, "--data-binary", sql)
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

// patience is how long a condition may take. On a machine that does nothing else none takes longer than a minute.
const patience = 4 * time.Minute

// eventually waits until f returns no error.
func (s *stack) eventually(f func() error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatal(errors.Join(err, fmt.Errorf("gave up after %s", patience)))
		case <-tick.C:
		}
	}
}
