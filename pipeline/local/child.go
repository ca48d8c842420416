package local

import (
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

// ChildCommand is the hidden first argument that makes an executable the
// ClickHouse child: a main function that sees it returns
// ChildMain(os.Args[2:]) before it does anything else.
const ChildCommand = "__clickhouse"

// Exit codes of the child, apart from those of its death by a signal.
const (
	exitOrderly  = 0 // the parent ended it, or itself
	exitEngine   = 1 // the engine returned or could not start: try again
	exitUnusable = 3 // it will fail the same way again: give up
)

const (
	// lifelineFd is the read end of a pipe whose write end only the parent
	// has, and never writes to: it ends when the parent does, however.
	lifelineFd = 3

	// engineEnd is how long the engine may take to end by itself. It waits
	// five seconds for running queries, and then cuts them.
	engineEnd = 15 * time.Second
)

// childConfig is the child's command line.
type childConfig struct {
	library   string
	dir       string
	native    int
	http      int
	token     string
	ephemeral bool
}

func (c childConfig) args() []string {
	return []string{
		"-library", c.library,
		"-dir", c.dir,
		"-native", fmt.Sprint(c.native),
		"-http", fmt.Sprint(c.http),
		"-token", c.token,
		fmt.Sprintf("-ephemeral=%t", c.ephemeral),
	}
}

// ChildMain runs the ClickHouse engine in this process until the parent is
// gone, and returns the process's exit code. The parent is a [ClickHouse]: it
// holds the write ends of standard input, which keeps the engine up, and of
// file descriptor 3, which ends this process even if the engine hangs.
// Nothing but a parent can start it.
func ChildMain(args []string) int {
	var c childConfig
	flags := flag.NewFlagSet(ChildCommand, flag.ContinueOnError)
	flags.StringVar(&c.library, "library", "", "libchdb.so")
	flags.StringVar(&c.dir, "dir", "", "folder for the data and the configuration")
	flags.IntVar(&c.native, "native", 0, "port of the native protocol")
	flags.IntVar(&c.http, "http", 0, "port of HTTP")
	flags.StringVar(&c.token, "token", "", "what getMacro('"+tokenMacro+"') answers")
	flags.BoolVar(&c.ephemeral, "ephemeral", false, "remove the folder when the parent is gone")
	if err := flags.Parse(args); err != nil {
		return exitUnusable
	}
	if err := c.run(); err != nil {
		fmt.Fprintln(os.Stderr, "clickhouse child:", err)
		if errors.Is(err, errUnusable) {
			return exitUnusable
		}
		return exitEngine
	}
	return exitOrderly
}

var errUnusable = errors.New("cannot be run")

func (c childConfig) run() error {
	var stat syscall.Stat_t
	if err := syscall.Fstat(lifelineFd, &stat); err != nil || stat.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return fmt.Errorf("%w by hand: millrace starts it", errUnusable)
	}
	parentGone := make(chan struct{})
	go func() {
		// A blocking read of a descriptor that Go's poller does not know,
		// so that nothing but the parent's end can wake it.
		var b [1]byte
		for {
			if _, err := syscall.Read(lifelineFd, b[:]); !errors.Is(err, syscall.EINTR) {
				close(parentGone)
				return
			}
		}
	}()

	// A Ctrl-C or a service manager's stop is for the parent, which then ends
	// this process in order.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// An engine that aborts would leave a core of gigabytes.
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})

	// A child whose parent was killed may still be ending over this folder.
	ctx, cancel := context.WithTimeout(context.Background(), engineEnd)
	defer cancel()
	lock, err := waitLock(ctx, filepath.Join(c.dir, "engine.lock"), func() {})
	if err != nil {
		return fmt.Errorf("wait for the folder's last server: %w", err)
	}
	defer runtime.KeepAlive(lock) // not closed: the process's end frees it

	if err := os.WriteFile(c.configPath(), []byte(c.config()), 0o600); err != nil {
		return err
	}
	engine, err := loadEngine(c.library)
	if err != nil {
		return fmt.Errorf("%w with %s: %w", errUnusable, c.library, err)
	}
	engineDone := make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the engine leaves its marks on the thread
		engine(c.engineArgs())
		close(engineDone)
	}()

	select {
	case <-engineDone:
		// It ends by itself only because standard input did, together with
		// the lifeline.
		select {
		case <-parentGone:
		case <-time.After(time.Second):
			return errors.New("the engine stopped: see the lines above")
		}
	case <-parentGone:
	}
	if c.ephemeral {
		return c.remove()
	}
	select {
	case <-engineDone:
	case <-time.After(engineEnd):
	}
	return nil
}

// remove takes the folder away from an engine that may still be writing: by
// its name first, so that nothing is put into it while it is emptied. It does
// not wait for the engine: a killed parent's relay resets the connections, so
// the engine may be about to abort, which takes it seconds to do.
func (c childConfig) remove() error {
	gone := c.dir + ".gone"
	if err := os.Rename(c.dir, gone); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

// loadEngine opens the library and returns its `clickhouse local`, which runs
// until its queries have.
func loadEngine(library string) (func(args []string), error) {
	handle, err := purego.Dlopen(library, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, err
	}
	// chdb_result * chdb_query_cmdline(int argc, char ** argv), chdb.h
	symbol, err := purego.Dlsym(handle, "chdb_query_cmdline")
	if err != nil {
		return nil, err
	}
	var cmdline func(argc int32, argv unsafe.Pointer) uintptr
	purego.RegisterFunc(&cmdline, symbol)
	return func(args []string) {
		argv := make([]*byte, len(args)+1) // NULL at the end
		var pin runtime.Pinner
		defer pin.Unpin()
		for i, arg := range args {
			s := append([]byte(arg), 0)
			argv[i] = &s[0]
			pin.Pin(argv[i])
		}
		pin.Pin(&argv[0])
		// The result is freed by the end of the process.
		cmdline(int32(len(args)), unsafe.Pointer(&argv[0]))
	}, nil
}

func (c childConfig) configPath() string { return filepath.Join(c.dir, "config.xml") }

// engineArgs is the command line of `clickhouse local`. It becomes a server by
// its first statements; the last one reads standard input, which the parent
// holds open, and so keeps it up.
func (c childConfig) engineArgs() []string {
	return []string{
		"clickhouse",
		"--config-file=" + c.configPath(),
		"--path=" + filepath.Join(c.dir, "data"),
		fmt.Sprintf("--tcp_port=%d", c.native),
		fmt.Sprintf("--http_port=%d", c.http),
		"--listen_host=127.0.0.1",
		// It logs to standard error, and only with both of these.
		"--logger.console=1",
		"--log-level=warning",
		"--input-format=LineAsString",
		"--structure=line String",
		"--query=SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; SELECT count() FROM table",
	}
}

// tokenMacro is the macro by which the parent knows its own child from
// whatever else may answer on the port.
const tokenMacro = "millrace_child"

// config is the server's configuration: a real server's behaviour with a
// laptop's footprint.
func (c childConfig) config() string {
	var token strings.Builder
	_ = xml.EscapeText(&token, []byte(c.token))
	return `<clickhouse>
  <macros><` + tokenMacro + `>` + token.String() + `</` + tokenMacro + `></macros>
  <timezone>UTC</timezone>

  <users>
    <default>
      <password></password>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </default>
  </users>
  <quotas><default/></quotas>
  <profiles>
    <default>
      <!-- What the library sets otherwise than a server does. -->
      <implicit_select>0</implicit_select>
      <allow_introspection_functions>0</allow_introspection_functions>
      <storage_file_read_method>pread</storage_file_read_method>
      <!-- The profiler works by signals, which the Go runtime around the engine need not see. -->
      <query_profiler_real_time_period_ns>0</query_profiler_real_time_period_ns>
      <query_profiler_cpu_time_period_ns>0</query_profiler_cpu_time_period_ns>
    </default>
  </profiles>

  <!-- Upper bounds, not reservations; a server's are 5 GiB each. -->
  <mark_cache_size>268435456</mark_cache_size>
  <primary_index_cache_size>268435456</primary_index_cache_size>
  <index_mark_cache_size>67108864</index_mark_cache_size>
  <max_server_memory_usage_to_ram_ratio>0.7</max_server_memory_usage_to_ram_ratio>

  <background_pool_size>4</background_pool_size>
  <background_schedule_pool_size>8</background_schedule_pool_size>
  <asynchronous_metrics_update_period_s>30</asynchronous_metrics_update_period_s>
</clickhouse>
`
}
