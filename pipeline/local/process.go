package local

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is one process of the embedded server, with the two pipes that keep it running.
type child struct {
	cmd      *exec.Cmd
	stdin    io.Closer
	lifeline *os.File // the write end
	exited   chan struct{}
	err      error // valid once exited is closed
}

// exitError is the error of a child that ended without being stopped.
type exitError struct {
	code  int // -1: a signal
	state string
}

func (e *exitError) Error() string { return "its process ended: " + e.state }

// killAfter is how long a child may take to end after it was stopped. The child itself gives up
// earlier, after engineEnd.
const killAfter = engineEnd + 5*time.Second

// runChild runs one child until it dies or ctx is done. It returns how long the child answered.
func (c *ClickHouse) runChild(ctx context.Context) (answered time.Duration, err error) {
	ports, release, err := holdPorts(2)
	if err != nil {
		return 0, err
	}
	defer release()
	token := rand.Text()
	started := time.Now()
	p, err := c.startChild(childConfig{
		library: c.cfg.Library, dir: c.cfg.Dir, ephemeral: c.cfg.Ephemeral,
		native: ports[0], http: ports[1], noPassword: c.cfg.NoPassword,
	}, childSecrets{token: token, passwordHash: passwordHash(c.password)})
	if err != nil {
		return 0, err
	}
	defer c.down()
	// The relays disconnect their clients first, so that the engine has no query to wait for.
	defer func() {
		if ctx.Err() != nil {
			c.native.hangUp()
			c.http.hangUp()
		}
		p.stop()
	}()
	c.mu.Lock()
	c.pid = p.cmd.Process.Pid
	c.starts++
	c.mu.Unlock()

	if err := p.waitAnswer(ctx, loopback(ports[1]), c.password, token); err != nil {
		return 0, err
	}
	up := time.Now()
	c.up(loopback(ports[0]), loopback(ports[1]))
	c.cfg.Log.Info("embedded clickhouse is up", "native", c.NativeAddr(), "http", c.HTTPAddr(),
		"pid", p.cmd.Process.Pid, "took", up.Sub(started).Round(time.Millisecond))

	checkLog := time.NewTicker(10 * time.Second)
	defer checkLog.Stop()
	for {
		select {
		case <-p.exited:
			return time.Since(up), p.err
		case <-ctx.Done():
			return time.Since(up), ctx.Err()
		case <-checkLog.C:
			if err := boundLog(c.logPath(), maxLog); err != nil {
				c.cfg.Log.Warn("embedded clickhouse: the log could not be shortened", "error", err)
			}
		}
	}
}

func (c *ClickHouse) startChild(cfg childConfig, secrets childSecrets) (*child, error) {
	log, err := openLog(c.logPath())
	if err != nil {
		return nil, fmt.Errorf("open the log of the embedded ClickHouse: %w", err)
	}
	defer log.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()

	args := append(c.cfg.Command[1:len(c.cfg.Command):len(c.cfg.Command)], cfg.args()...)
	cmd := exec.Command(c.cfg.Command[0], args...)
	cmd.Dir = c.cfg.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{read} // lifelineFd
	// The child gets only these variables, because the engine would read credentials from the
	// environment.
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, "TZ=UTC")
	// The child leaves the terminal's process group, because Ctrl-C is meant for the parent.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		write.Close()
		return nil, fmt.Errorf("start the embedded ClickHouse: %w", err)
	}
	_ = secrets.write(stdin) // an error means that the child has ended, which Wait reports

	p := &child{cmd: cmd, stdin: stdin, lifeline: write, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		p.err = &exitError{code: cmd.ProcessState.ExitCode(), state: cmd.ProcessState.String()}
		close(p.exited)
	}()
	return p, nil
}

// stop stops the child in order, and kills it if it does not end in time. It closes the lifeline
// first: if the engine returned before that, it would count as failed.
func (p *child) stop() {
	p.lifeline.Close()
	p.stdin.Close()
	select {
	case <-p.exited:
	case <-time.After(killAfter):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// waitAnswer waits until this child answers on its HTTP port with its token. The native port
// listens by then, because the engine opens it first.
func (p *child) waitAnswer(ctx context.Context, addr *net.TCPAddr, password, token string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("it did not answer for %s", startTime))
	defer cancel()
	query := url.Values{"query": {"SELECT getMacro('" + tokenMacro + "')"}}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if answer, err := ask(ctx, addr, password, query); err == nil && answer == token {
			return nil
		}
		select {
		case <-p.exited:
			return p.err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// holdPorts returns free ports of 127.0.0.1, and keeps them for processes of this user until
// release is called: otherwise another user's process might take a port before the child does, and
// would get the password. SO_REUSEPORT lets the child listen on a port that this process has bound.
func holdPorts(n int) (ports []int, release func(), err error) {
	var held []int
	release = func() {
		for _, fd := range held {
			syscall.Close(fd)
		}
	}
	defer func() {
		if err != nil {
			release()
			err = fmt.Errorf("find a free port: %w", err)
		}
	}()
	for range n {
		syscall.ForkLock.RLock() // as in package net, where a socket cannot be opened with CLOEXEC at once
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err == nil {
			syscall.CloseOnExec(fd)
		}
		syscall.ForkLock.RUnlock()
		if err != nil {
			return nil, nil, err
		}
		held = append(held, fd)
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return nil, nil, err
		}
		if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return nil, nil, err
		}
		name, err := syscall.Getsockname(fd)
		if err != nil {
			return nil, nil, err
		}
		ports = append(ports, name.(*syscall.SockaddrInet4).Port)
	}
	return ports, release, nil
}

func loopback(port int) *net.TCPAddr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }
