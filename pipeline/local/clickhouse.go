package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// ClickHouseConfig is the configuration of the embedded ClickHouse.
type ClickHouseConfig struct {
	// Library is the engine, as [FindLibrary] returns it.
	Library string

	// Dir is the folder of the data, the configuration and the log (clickhouse.log). With
	// Ephemeral, a new folder is made inside Dir, or inside the system's temporary folder if Dir is
	// empty.
	Dir string

	// NativePort and HTTPPort are the public ports on 127.0.0.1; 0 picks a
	// free one.
	NativePort, HTTPPort int

	// PasswordFile is the file of the password of [User]. If there is no such file, one is made with
	// a new password. Empty: the password is new, and only [ClickHouse.Password] tells it.
	PasswordFile string

	// NoPassword also lets everybody in who reaches the ports, as user default: other users of this
	// machine too. It is for data that may be lost and known.
	NoPassword bool

	// Ephemeral removes the data when the server ends, even when this process is killed.
	Ephemeral bool

	// Command is the executable of the child, and the first arguments that make it call
	// [ChildMain]. Empty: this executable with [ChildCommand].
	Command []string

	// Log reports when the server is up, and when its process dies. Nil: slog's default.
	Log *slog.Logger
}

// ClickHouse is one embedded ClickHouse server: two public ports and a child
// process behind them.
type ClickHouse struct {
	cfg      ClickHouseConfig
	password string
	lock     *os.File
	native   *relay
	http     *httpRelay

	mu       sync.Mutex
	ready    chan struct{} // closed while the server answers
	pid      int           // of the child; 0 while there is none
	starts   int
	ended    chan struct{} // closed when Run returns
	endError error         // Run's error, once ended is closed
}

// NewClickHouse locks the folder and binds the two public ports, so that the addresses are known.
// Run starts the server. The error is a *PortError if a port is in use, and names the folder if
// another process uses it. Run must be called to release them; its context may already be done.
func NewClickHouse(cfg ClickHouseConfig) (_ *ClickHouse, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if len(cfg.Command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this executable, which is also the ClickHouse child: %w", err)
		}
		cfg.Command = []string{self, ChildCommand}
	}
	if cfg.Ephemeral {
		// The server gets a new folder, since the folder will be removed with its contents.
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
	if c.password, err = readOrMakePassword(cfg.PasswordFile); err != nil {
		return nil, err
	}
	native, err := listen(cfg.NativePort, NativeListener)
	if err != nil {
		return nil, err
	}
	http, err := listen(cfg.HTTPPort, HTTPListener)
	if err != nil {
		native.Close()
		return nil, err
	}
	c.native, c.http = newRelay(native, cfg.Log), newHTTPRelay(http, cfg.Log)
	c.native.admit = doorkeeper{c.password, cfg.NoPassword, &c.http.server}.admit
	return c, nil
}

// Names of the public ports in a [PortError].
const (
	KafkaListener  = "Kafka"
	NativeListener = "ClickHouse's native protocol"
	HTTPListener   = "ClickHouse's HTTP"
)

// PortError reports that a public port cannot be listened on.
type PortError struct {
	Listener string // KafkaListener, NativeListener or HTTPListener
	Port     int
	Err      error
}

func (e *PortError) Error() string {
	if errors.Is(e.Err, syscall.EADDRINUSE) {
		return fmt.Sprintf("port %d for the embedded %s is in use: stop the process that uses it, or choose another port "+
			"(0 picks a free one): %v", e.Port, e.Listener, e.Err)
	}
	return fmt.Sprintf("listen on port %d for the embedded %s: %v", e.Port, e.Listener, e.Err)
}

// Unwrap returns the error of the system.
func (e *PortError) Unwrap() error { return e.Err }

// listen binds a public port on loopback. Its error is a *PortError.
func listen(port int, listener string) (*net.TCPListener, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return nil, &PortError{Listener: listener, Port: port, Err: err}
	}
	return l, nil
}

// NativeAddr returns the host:port of the native protocol. It never changes.
func (c *ClickHouse) NativeAddr() string { return c.native.listener.Addr().String() }

// HTTPAddr returns the host:port of the HTTP interface. It never changes.
func (c *ClickHouse) HTTPAddr() string { return c.http.listener.Addr().String() }

// Password returns the password of [User].
func (c *ClickHouse) Password() string { return c.password }

// DSN returns the data source name of a database, with user and password, for the native protocol.
func (c *ClickHouse) DSN(database string) string {
	u := url.URL{Scheme: "clickhouse", User: url.UserPassword(User, c.password), Host: c.NativeAddr(),
		Path: "/" + database}
	return u.String()
}

// HTTPURL returns the URL of the HTTP interface, with user and password and without a path.
func (c *ClickHouse) HTTPURL() string {
	return (&url.URL{Scheme: "http", User: url.UserPassword(User, c.password), Host: c.HTTPAddr()}).String()
}

// ServerHTTPURL is like HTTPURL, for the server itself, past the proxy of the public port, which takes as
// long as the server does to hand on a large answer. It changes when the server starts again. It is empty
// while there is no server.
func (c *ClickHouse) ServerHTTPURL() string {
	addr := c.http.server.Load()
	if addr == nil {
		return ""
	}
	return (&url.URL{Scheme: "http", User: url.UserPassword(User, c.password), Host: addr.String()}).String()
}

// Dir returns the folder in use. With Ephemeral, that is the new folder.
func (c *ClickHouse) Dir() string { return c.cfg.Dir }

// Ready returns a channel that is closed while the server answers. After the child has died, Ready
// returns a new channel.
func (c *ClickHouse) Ready() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready
}

// WaitReady waits until the server answers. It returns Run's error if Run ended first, or the error
// of ctx.
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

// Pid returns the process id of the child, or 0 while there is none.
func (c *ClickHouse) Pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

// Restarts returns the number of children that were started after the first.
func (c *ClickHouse) Restarts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.starts-1)
}

// Run keeps a server running until ctx is done. Then it disconnects the clients, stops the child in
// order and returns nil. Run starts a child again when it dies. It returns an error only if the
// library does not load, or if [maxFailures] children in a row died before they answered.
func (c *ClickHouse) Run(ctx context.Context) (err error) {
	defer func() {
		c.release()
		c.endError = err
		close(c.ended)
	}()

	accepting, stopAccepting := context.WithCancel(ctx)
	var relays sync.WaitGroup
	for _, r := range []interface{ Run(context.Context) error }{c.native, c.http} {
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
		c.http.hangUp()
	}()
	if reason := unconfined(); reason != "" {
		c.cfg.Log.Warn("embedded clickhouse is not confined: its queries can read and write every file of this user",
			"reason", reason)
	}
	return c.supervise(ctx)
}

// release releases the lock and the ephemeral folder. The relays release the ports.
func (c *ClickHouse) release() {
	if c.cfg.Ephemeral {
		os.RemoveAll(c.cfg.Dir) // the child does so too, unless it was killed
	}
	c.lock.Close()
}

// up lets clients connect to a child that answers. down refuses connections again.
func (c *ClickHouse) up(native, http *net.TCPAddr) {
	c.http.server.Store(http) // before native, because the doorkeeper of the native port asks over HTTP
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

	// steadyTime is how long a server must have answered before it died for the delays between
	// starts to begin anew. So a server that dies again and again is started again ever more
	// slowly.
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
