package local

import (
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
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

// ChildCommand is the hidden first argument that makes an executable the ClickHouse child. A main
// function that gets it must call ChildMain(os.Args[2:]) before anything else, and exit with the
// result.
const ChildCommand = "__clickhouse"

// Exit codes of the child. A child that is killed by a signal has no exit code.
const (
	exitOrderly  = 0 // the parent stopped the child, or is gone
	exitEngine   = 1 // the engine returned or could not start: try again
	exitUnusable = 3 // the child would fail in the same way again: give up
)

const (
	// lifelineFd is the read end of a pipe. Only the parent has the write end, and it never writes.
	// So a read ends when the parent ends, for whatever reason.
	lifelineFd = 3

	// engineEnd is how long the engine may take to end by itself. The engine waits five seconds for
	// running queries and then cancels them.
	engineEnd = 15 * time.Second
)

// childConfig is the child's command line.
type childConfig struct {
	library    string
	dir        string
	native     int
	http       int
	noPassword bool
	ephemeral  bool
	confined   bool
}

// childSecrets are what every user of the machine could read on the command line. The parent writes
// them to the child's standard input, as the first line.
type childSecrets struct {
	token        string
	passwordHash string
}

func (s childSecrets) write(w io.Writer) error {
	_, err := fmt.Fprintln(w, s.token, s.passwordHash)
	return err
}

// readSecrets reads the first line of standard input, and not a byte more: the rest is the engine's.
func readSecrets(stdin io.Reader) (s childSecrets, err error) {
	var line []byte
	for b := make([]byte, 1); ; line = append(line, b[0]) {
		if _, err := io.ReadFull(stdin, b); err != nil {
			return s, fmt.Errorf("read the secrets of this server: %w", err)
		}
		if b[0] == '\n' {
			break
		}
	}
	_, err = fmt.Sscan(string(line), &s.token, &s.passwordHash)
	return s, err
}

func (c childConfig) args() []string {
	return []string{
		"-library", c.library,
		"-dir", c.dir,
		"-native", fmt.Sprint(c.native),
		"-http", fmt.Sprint(c.http),
		fmt.Sprintf("-no-password=%t", c.noPassword),
		fmt.Sprintf("-ephemeral=%t", c.ephemeral),
	}
}

// ChildMain runs the ClickHouse engine in this process until the parent is gone, and returns the
// process's exit code. The parent is a [ClickHouse]: it holds the write ends of standard input,
// which keeps the engine up, and of file descriptor 3, which ends this process even if the engine
// hangs. The child cannot be started by hand.
func ChildMain(args []string) int {
	var c childConfig
	flags := flag.NewFlagSet(ChildCommand, flag.ContinueOnError)
	flags.StringVar(&c.library, "library", "", "libchdb.so")
	flags.StringVar(&c.dir, "dir", "", "folder for the data and the configuration")
	flags.IntVar(&c.native, "native", 0, "port of the native protocol")
	flags.IntVar(&c.http, "http", 0, "port of HTTP")
	flags.BoolVar(&c.noPassword, "no-password", false, "let user default in without a password")
	flags.BoolVar(&c.confined, "confined", false, "this process is confined")
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
		return fmt.Errorf("%w by hand: millrace starts this process", errUnusable)
	}
	if !c.confined && unconfined() == "" {
		return fmt.Errorf("%w: confine it to its folder: %w", errUnusable, c.confine(append(os.Args, "-confined")))
	}
	parentGone := make(chan struct{})
	go func() {
		// This read blocks on a descriptor that Go's poller does not know. Only the end of the
		// parent can wake it.
		var b [1]byte
		for {
			if _, err := syscall.Read(lifelineFd, b[:]); !errors.Is(err, syscall.EINTR) {
				close(parentGone)
				return
			}
		}
	}()

	// Ctrl-C and a service manager's stop are meant for the parent, which then stops this process
	// in order.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// What the engine writes is for this user alone.
	syscall.Umask(0o077)
	// An engine that aborts would otherwise leave a core file of gigabytes.
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})

	// A child whose parent was killed may still use this folder while it ends.
	ctx, cancel := context.WithTimeout(context.Background(), engineEnd)
	defer cancel()
	lock, err := waitLock(ctx, filepath.Join(c.dir, "engine.lock"), func() {})
	if err != nil {
		return fmt.Errorf("wait for the previous server of folder %s: %w", c.dir, err)
	}
	defer runtime.KeepAlive(lock) // never closed: the end of the process releases the lock

	secrets, err := readSecrets(os.Stdin)
	if err != nil {
		return err
	}
	if err := os.WriteFile(configName, []byte(c.config(secrets.token)), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(usersName, []byte(c.users(secrets.passwordHash)), 0o600); err != nil {
		return err
	}
	engine, err := loadEngine(c.library)
	if err != nil {
		return fmt.Errorf("%w with %s: %w", errUnusable, c.library, err)
	}
	engineDone := make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the engine changes the state of the thread
		engine(c.engineArgs())
		close(engineDone)
	}()

	select {
	case <-engineDone:
		// The engine ends by itself only when standard input ends, and then the lifeline ends too.
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

// remove deletes the folder while the engine may still write to it. It renames the data first, so
// that the engine creates few files meanwhile. It does not wait for the engine: when the parent was
// killed, its relay has reset the connections, so the engine may abort, which takes seconds. Of the
// folder around, this process may only remove empty folders, which os.RemoveAll cannot work with.
func (c childConfig) remove() (err error) {
	_ = os.Rename(dataName, "gone")
	for range 100 {
		entries, readErr := os.ReadDir(c.dir)
		err = readErr
		for _, e := range entries {
			err = errors.Join(err, os.RemoveAll(filepath.Join(c.dir, e.Name())))
		}
		if err == nil {
			err = os.Remove(c.dir)
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// loadEngine opens the library and returns its function `clickhouse local`. The function returns
// when its queries have ended.
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
		argv := make([]*byte, len(args)+1) // the last element is NULL
		var pin runtime.Pinner
		defer pin.Unpin()
		for i, arg := range args {
			s := append([]byte(arg), 0)
			argv[i] = &s[0]
			pin.Pin(argv[i])
		}
		pin.Pin(&argv[0])
		// The end of the process frees the result.
		cmdline(int32(len(args)), unsafe.Pointer(&argv[0]))
	}, nil
}

// Names in the child's folder, in which the child runs: the engine does not take the path of every
// folder (spaces, quotes and backslashes).
const (
	configName = "config.xml"
	usersName  = "users.xml"
	dataName   = "data"
)

// engineArgs is the command line of `clickhouse local`. Its first statements make it a server. Its
// last statement reads standard input, which the parent keeps open, so the server keeps running.
func (c childConfig) engineArgs() []string {
	return []string{
		"clickhouse",
		"--config-file=" + configName,
		"--path=" + dataName,
		fmt.Sprintf("--tcp_port=%d", c.native),
		fmt.Sprintf("--http_port=%d", c.http),
		"--listen_host=127.0.0.1",
		// The engine logs to standard error only if both of these are set.
		"--logger.console=1",
		"--log-level=warning",
		"--input-format=LineAsString",
		"--structure=line String",
		"--query=SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; SELECT count() FROM table",
	}
}

// tokenMacro is the macro that holds the child's token. By the token the parent tells its own child
// from another process that may answer on the port.
const tokenMacro = "millrace_child"

// config returns the server's configuration: it behaves like a real server but uses little memory.
func (c childConfig) config(token string) string {
	return `<clickhouse>
  <macros><` + tokenMacro + `>` + escapeXML(token) + `</` + tokenMacro + `></macros>
  <timezone>UTC</timezone>
  <users_config>` + usersName + `</users_config>

  <!-- The parent holds the ports. -->
  <listen_reuse_port>1</listen_reuse_port>

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

// users returns the server's users. The engine runs its own statements as user default, which can
// have no password: it opens its session before the ports, so with one session at most nobody else
// becomes default.
func (c childConfig) users(passwordHash string) string {
	sessions := 1
	if c.noPassword {
		sessions = 0 // no limit
	}
	return `<clickhouse>
  <users>
    <` + User + `>
      <password_sha256_hex>` + escapeXML(passwordHash) + `</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </` + User + `>
    <default>
      <no_password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>engine</profile>
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
    <engine>
      <profile>default</profile>
      <max_sessions_for_user>` + fmt.Sprint(sessions) + `</max_sessions_for_user>
    </engine>
  </profiles>
</clickhouse>
`
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
