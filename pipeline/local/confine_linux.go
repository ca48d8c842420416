package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// minLandlock is the first version of Landlock under which a file can be linked into another
// folder, as the engine does when it changes a part of a table.
const minLandlock = 2

// Rights of Landlock.
const (
	readFile  = unix.LANDLOCK_ACCESS_FS_READ_FILE
	readTree  = readFile | unix.LANDLOCK_ACCESS_FS_READ_DIR
	writeFile = unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	execute   = unix.LANDLOCK_ACCESS_FS_EXECUTE
	removeDir = unix.LANDLOCK_ACCESS_FS_REMOVE_DIR
	truncate  = unix.LANDLOCK_ACCESS_FS_TRUNCATE // since version 3

	// changeTree is everything but to execute files and to make devices.
	changeTree = readTree | writeFile | removeDir | truncate | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SYM |
		unix.LANDLOCK_ACCESS_FS_REFER

	everything = changeTree | execute | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK

	ofFiles = readFile | writeFile | execute | truncate
)

// systemPaths are what the engine reads of the system: what the machine is, and how to reach other
// machines. A path that does not exist is skipped.
var systemPaths = []string{
	"/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/vmstat",
	"/proc/diskstats", "/proc/cgroups", "/proc/pressure", "/proc/filesystems", "/proc/version", "/proc/sys", "/sys",
	"/dev/urandom", "/dev/random", "/usr/share/zoneinfo", "/etc/localtime", "/etc/timezone", "/etc/ld.so.cache",
	"/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/services", "/etc/gai.conf",
	"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/ca-trust", "/usr/share/ca-certificates",
}

func landlockVersion() (int, error) {
	const getVersion = unix.LANDLOCK_CREATE_RULESET_VERSION
	version, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, getVersion)
	if errno != 0 {
		return 0, errno
	}
	return int(version), nil
}

// unconfined returns why this machine cannot confine the child, or "" if it can.
func unconfined() string {
	version, err := landlockVersion()
	switch {
	case err != nil:
		return "the kernel does not offer Landlock: " + err.Error()
	case version < minLandlock:
		return fmt.Sprintf("the kernel has version %d of Landlock, and version %d is needed (Linux 5.19)", version,
			minLandlock)
	}
	return ""
}

// confine runs this program again, with the arguments args, in a process that reaches only the
// folder of its data, the engine and a few files of the system. It returns only if that fails.
//
// The kernel confines a thread and what the thread starts later. Go cannot confine the other threads
// of a process that purego is in (syscall.AllThreadsSyscall), so the confined thread executes the
// program anew, before the engine is loaded.
func (c childConfig) confine(args []string) error {
	runtime.LockOSThread() // never unlocked
	version, err := landlockVersion()
	if err != nil {
		return err
	}
	handled := uint64(everything)
	if version < 3 {
		handled &^= truncate
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: handled}
	// The size is that of the first version, whose only field is this one.
	ruleset, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)),
		unsafe.Sizeof(attr.Handled_access_fs), 0)
	if errno != 0 {
		return fmt.Errorf("create a ruleset of Landlock: %w", errno)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	rules, err := c.rules(self)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if err := r.add(int(ruleset), handled); err != nil {
			return fmt.Errorf("allow %s: %w", r.path, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	if _, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return fmt.Errorf("restrict this thread: %w", errno)
	}
	unix.CloseOnExec(int(ruleset))
	return fmt.Errorf("execute %s: %w", self, syscall.Exec(self, args, os.Environ()))
}

// rule allows rights on a file, or on a folder and all that is in it.
type rule struct {
	path   string
	rights uint64
}

func (c childConfig) rules(self string) ([]rule, error) {
	rules := []rule{
		{c.dir, changeTree}, {c.library, readFile}, {self, readFile | execute}, {"/dev/null", readFile | writeFile},
	}
	if c.ephemeral {
		rules = append(rules, rule{filepath.Dir(c.dir), removeDir}) // only empty ones: see remove
	}
	for _, path := range systemPaths {
		rules = append(rules, rule{path, readTree})
	}
	// The C library is in no fixed place, and the engine needs more of it than this program does.
	libraries, err := cLibraries()
	for _, path := range libraries {
		rules = append(rules, rule{path, readFile | execute}, rule{filepath.Dir(path), readTree})
	}
	return rules, err
}

// cLibraries returns the paths of the dynamic loader and the C library of this process.
func cLibraries() (paths []string, err error) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(maps)) {
		i := strings.IndexByte(line, '/')
		if i < 0 {
			continue
		}
		path := strings.TrimSuffix(line[i:], "\n")
		name := filepath.Base(path)
		if (strings.HasPrefix(name, "ld-") || strings.HasPrefix(name, "libc.so") || strings.HasPrefix(name, "libc-")) &&
			!slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

func (r rule) add(ruleset int, handled uint64) error {
	fd, err := unix.Open(r.path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	rights := r.rights & handled
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= ofFiles
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	if _, _, errno := syscall.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&attr)), 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
