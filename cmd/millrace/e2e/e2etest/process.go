package e2etest

import (
	"bufio"
	"bytes"
	"context"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a role that runs, or a command that takes its time.
type Process struct {
	Cmd  *exec.Cmd
	name string
	Done chan struct{} // closed when the process has ended

	mu     sync.Mutex
	stdout []string
	stderr bytes.Buffer
	line   chan struct{} // closed and replaced at each line of stdout
}

// Start starts a role. It is killed when the test ends.
func (e Environment) Start(t *testing.T, args ...string) *Process {
	t.Helper()
	p := &Process{Cmd: e.Command(context.Background(), args...), name: "millrace " + strings.Join(args, " "),
		Done: make(chan struct{}), line: make(chan struct{})}
	out, err := p.Cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Cmd.Stderr = writer(func(b []byte) { p.mu.Lock(); p.stderr.Write(b); p.mu.Unlock() })
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.Done)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.mu.Lock()
			p.stdout = append(p.stdout, s.Text())
			close(p.line)
			p.line = make(chan struct{})
			p.mu.Unlock()
		}
		p.Cmd.Wait() //nolint:errcheck // tests read the exit code
	}()
	t.Cleanup(func() {
		p.Cmd.Process.Kill() //nolint:errcheck // it may have ended
		<-p.Done
		if t.Failed() {
			t.Logf("%s:\n%s", p.name, p.Log())
		}
	})
	return p
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

// Log returns the end of what the process has written to stderr.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.stderr.String()
	return text[max(0, len(text)-8000):]
}

// Alarms returns the lines of the process's log that are above info.
func (p *Process) Alarms() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Alarms(p.stderr.String())
}

// Alarms returns the lines of a log that are above info.
func Alarms(log string) (alarms string) {
	for line := range strings.Lines(log) {
		if !strings.Contains(line, " level=INFO ") && !strings.Contains(line, " level=DEBUG ") {
			alarms += line
		}
	}
	return alarms
}

// Stdout returns what the process has printed to stdout, as lines.
func (p *Process) Stdout() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.stdout, "\n")
}

// Field waits for a line of stdout that begins with a name and returns the word after it.
func (p *Process) Field(t *testing.T, name string) string {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		p.mu.Lock()
		for _, l := range p.stdout {
			if f := strings.Fields(l); len(f) > 1 && f[0] == name {
				p.mu.Unlock()
				return f[1]
			}
		}
		next := p.line
		p.mu.Unlock()
		select {
		case <-next:
		case <-p.Done:
			t.Fatalf("%s ended before it printed %q\n%s", p.name, name, p.Log())
		case <-timeout:
			t.Fatalf("%s did not print %q in time\n%s", p.name, name, p.Log())
		}
	}
}

// Kill ends the process as a power cut would.
func (p *Process) Kill() {
	p.Cmd.Process.Kill() //nolint:errcheck // it may have ended
	<-p.Done
}

// Stop asks the process to end with SIGTERM, and returns its exit code and how long it took.
func (p *Process) Stop(t *testing.T) (int, time.Duration) {
	t.Helper()
	began := time.Now()
	p.Cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended; the exit code says how
	select {
	case <-p.Done:
	case <-time.After(time.Minute):
		t.Fatalf("%s did not end on SIGTERM\n%s", p.name, p.Log())
	}
	return p.Cmd.ProcessState.ExitCode(), time.Since(began)
}
