package local

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
)

// maxLog is the size in bytes at which the child's log becomes the previous log. At most two logs
// of about this size are kept.
const maxLog = 4 << 20

// openLog opens the child's log for appending. The child writes to the file itself, so its last
// lines are kept even if this process ends first.
func openLog(path string) (*os.File, error) {
	if err := boundLog(path, maxLog); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// boundLog copies a log that is larger than limit to path.1, and empties the log. The child
// continues to append to the same file. A line that it writes in between may be lost.
func boundLog(path string, limit int64) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() <= limit {
		return nil
	}
	if err != nil {
		return err
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := from.Seek(-limit, io.SeekEnd); err != nil {
		return err
	}
	to, err := os.OpenFile(path+".1", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return os.Truncate(path, 0)
}

// logTail returns the last lines of the log, or the error that prevents reading it.
func logTail(path string, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const window = 16 << 10
	if info, err := f.Stat(); err == nil && info.Size() > window {
		_, _ = f.Seek(-window, io.SeekEnd)
	}
	body, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return "(its log is empty)"
	}
	return lastLines(string(body), lines)
}
