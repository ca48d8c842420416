package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// ClickHouseConfig says how the embedded ClickHouse runs.
type ClickHouseConfig struct {
	// Library is the engine, as [FindLibrary] returns it.
	Library string

	// Dir keeps the data, the configuration and the log (clickhouse.log).
	// With Ephemeral it is only where a fresh folder is made (empty: the
	// system's temporary folder).
	Dir string

	// NativePort and HTTPPort are the public ports on 127.0.0.1; 0 picks a
	// free one.
	NativePort, HTTPPort int

	// Ephemeral removes the data when the server ends, also when this
	// process is killed.
	Ephemeral bool

	// Command starts the child: an executable and first arguments that lead
	// to [ChildMain]. Empty: this executable with [ChildCommand].
	Command []string

	// Log is told when the server is up, and when its process dies. Nil:
	// slog's default.
	Log *slog.Logger
}

// ClickHouse is one embedded ClickHouse server: two public ports and a child
// process behind them.
type ClickHouse struct {
	cfg    ClickHouseConfig
	lock   *os.File
	native *relay
	http   *relay

	mu       sync.Mutex
	ready    chan struct{} // closed while the server answers
	pid      int           // of the child, 0 between two
	starts   int
	ended    chan struct{} // closed when Run returns
	endError error         // valid then
}

// NewClickHouse takes the folder and the two public ports, so that the
// addresses are known; Run starts the server. An error names what to change:
// a port in use, or a folder that another process uses. Run must be called, if
// only with a context that is done, to give them back.
func NewClickHouse(cfg ClickHouseConfig) (_ *ClickHouse, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if len(cfg.Command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this executable, which is also the ClickHouse child's: %w", err)
		}
		cfg.Command = []string{self, ChildCommand}
	}
	if cfg.Ephemeral {
		// A folder of its own, since it will be removed with all it holds.
		if cfg.Dir != "" {
			if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
				return nil, fmt.Errorf("make a folder for the embedded ClickHouse: %w", err)
			}
		}
		if cfg.Dir, err = os.MkdirTemp(cfg.Dir, "millrace-clickhouse-"); err != nil {
			return nil, fmt.Errorf("make a folder for the embedded ClickHouse: %w", err)
		}
	} else if cfg.Dir == "" {
		return nil, errors.New("the embedded ClickHouse needs a folder, or to be ephemeral")
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, err
	}

	c := &ClickHouse{cfg: cfg, ready: make(chan struct{}), ended: make(chan struct{})}
	if c.lock, err = lockDir(cfg.Dir, "ClickHouse"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.release()
		}
	}()
	native, err := listen(cfg.NativePort, "ClickHouse's native protocol", "MILLRACE_LOCAL_CLICKHOUSE_PORT")
	if err != nil {
		return nil, err
	}
	http, err := listen(cfg.HTTPPort, "ClickHouse's HTTP", "MILLRACE_LOCAL_CLICKHOUSE_HTTP_PORT")
	if err != nil {
		native.Close()
		return nil, err
	}
	c.native, c.http = newRelay(native, cfg.Log), newRelay(http, cfg.Log)
	c.native.admit = doorkeeper{&c.http.server}.admit
	return c, nil
}

// listen binds a public port on loopback.
func listen(port int, what, variable string) (*net.TCPListener, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("port %d for the embedded %s is in use: stop what uses it, or set %s to another (0 picks a "+
			"free one): %w", port, what, variable, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for the embedded %s (%s): %w", what, variable, err)
	}
	return l, nil
}

// NativeAddr is the host:port of the native protocol; it never changes.
func (c *ClickHouse) NativeAddr() string { return c.native.listener.Addr().String() }

// HTTPAddr is the host:port of the HTTP interface; it never changes.
func (c *ClickHouse) HTTPAddr() string { return c.http.listener.Addr().String() }

// Dir is the folder in use: with Ephemeral, the one that was made.
func (c *ClickHouse) Dir() string { return c.cfg.Dir }

// Ready returns a channel that is closed once the server answers. After the
// child has died it is another one.
func (c *ClickHouse) Ready() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready
}

// WaitReady returns when the server answers, with Run's error if Run ended
// first, or with ctx's.
func (c *ClickHouse) WaitReady(ctx context.Context) error {
	select {
	case <-c.Ready():
		return nil
	case <-c.ended:
		if c.endError == nil {
			return errors.New("the embedded ClickHouse was stopped")
		}
		return c.endError
	case <-ctx.Done():
		return fmt.Errorf("the embedded ClickHouse is not ready: %w", ctx.Err())
	}
}

// Pid is the process id of the child, 0 while there is none.
func (c *ClickHouse) Pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

// Restarts counts the children started after the first.
func (c *ClickHouse) Restarts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.starts-1)
}

// Run keeps a server up until ctx is done, then hangs up on its clients, ends
// the child in order and returns nil. A child that dies is started again; Run
// fails only if the server cannot be had: its library does not load, or
// [maxFailures] children in a row died before they answered.
func (c *ClickHouse) Run(ctx context.Context) (err error) {
	defer func() {
		c.release()
		c.endError = err
		close(c.ended)
	}()

	accepting, stopAccepting := context.WithCancel(ctx)
	var relays sync.WaitGroup
	for _, r := range []*relay{c.native, c.http} {
		relays.Go(func() {
			if err := r.Run(accepting); err != nil {
				c.cfg.Log.Error("embedded clickhouse: relay", "error", err)
			}
		})
	}
	defer func() {
		stopAccepting()
		relays.Wait()
		c.native.wait()
		c.http.wait()
	}()
	return c.supervise(ctx)
}

// release gives back what NewClickHouse took, apart from the ports.
func (c *ClickHouse) release() {
	if c.cfg.Ephemeral {
		// The child does this too, but may have been killed.
		os.RemoveAll(c.cfg.Dir)
		os.RemoveAll(c.cfg.Dir + ".gone")
	}
	c.lock.Close()
}

// up opens the doors to a child that answers; down closes them.
func (c *ClickHouse) up(native, http *net.TCPAddr) {
	c.http.server.Store(http) // before native: its doorkeeper asks over HTTP
	c.native.server.Store(native)
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.ready)
}

func (c *ClickHouse) down() {
	wasUp := c.native.server.Swap(nil) != nil
	c.http.server.Store(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pid = 0
	if wasUp {
		c.ready = make(chan struct{})
	}
}

const (
	// maxFailures is how many children in a row may die before they answer.
	maxFailures = 5

	// startTime is how long a child may take to answer. Loading the library
	// from a cold disk takes seconds; attaching many parts, more.
	startTime = 2 * time.Minute

	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second

	// steadyTime is how long a server must have answered for the delays to
	// begin anew when it dies: one that dies again and again is not hurried.
	steadyTime = 10 * time.Second
)

func (c *ClickHouse) supervise(ctx context.Context) error {
	log := c.cfg.Log
	failures, backoff := 0, firstBackoff
	for ctx.Err() == nil {
		answered, err := c.runChild(ctx)
		if ctx.Err() != nil {
			break
		}
		tail := logTail(c.logPath(), 20)
		if answered > 0 {
			failures = 0
		} else {
			failures++
		}
		if answered > steadyTime {
			backoff = firstBackoff
		}
		var exit *exitError
		if errors.As(err, &exit) && exit.code == exitUnusable || failures >= maxFailures {
			return fmt.Errorf("the embedded ClickHouse cannot be started: %w; the end of its log, %s:\n%s", err, c.logPath(),
				tail)
		}
		log.Warn("embedded clickhouse died; starting it again", "error", err, "answered", answered.Round(time.Millisecond),
			"delay", backoff, "log", c.logPath())
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, lastBackoff)
	}
	return nil
}

func (c *ClickHouse) logPath() string { return filepath.Join(c.cfg.Dir, "clickhouse.log") }
