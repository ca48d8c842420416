package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// tryLock locks the file at path. It returns false if another process, or another part of this
// process, has locked it. The lock is released when the returned file is closed, or when the
// process is killed.
func tryLock(path string) (*os.File, bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, err
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case err == nil:
		return f, true, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		f.Close()
		return nil, false, nil
	default:
		f.Close()
		return nil, false, fmt.Errorf("lock %s: %w", path, err)
	}
}

// waitLock locks the file at path as soon as the file is free. It calls waiting once if the file is
// not free at first.
func waitLock(ctx context.Context, path string, waiting func()) (*os.File, error) {
	for {
		f, ok, err := tryLock(path)
		if ok || err != nil {
			return f, err
		}
		waiting()
		waiting = func() {}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// lockDir creates dir and locks it, so that no other process runs a server on the same data.
func lockDir(dir, service string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the embedded %s: %w", service, err)
	}
	path := filepath.Join(dir, "lock")
	f, ok, err := tryLock(path)
	if err != nil {
		return nil, err
	}
	if !ok {
		owner := "another process"
		if pid, err := os.ReadFile(path); err == nil && len(pid) > 0 {
			owner = "process " + strings.TrimSpace(string(pid))
		}
		return nil, fmt.Errorf("the folder %s of the embedded %s is in use by %s: stop that one, or choose another folder",
			dir, service, owner)
	}
	// The process id in the file is only a hint for the message above.
	if f.Truncate(0) == nil {
		fmt.Fprintln(f, os.Getpid())
	}
	return f, nil
}
