package local

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// User is the user of the embedded ClickHouse.
const User = "millrace"

// ReadPassword returns the password that a file holds, without white space around it. The error is
// fs.ErrNotExist if there is no such file. It is an error if the file is empty, or if other users
// of the machine may read it: they may know the password.
func ReadPassword(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("the password file %s may be read by others (mode %04o): remove it, and the next start makes "+
			"a new password", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	password := strings.TrimSpace(string(text))
	if password == "" {
		return "", fmt.Errorf("the password file %s is empty: remove it, and the next start makes a new password", path)
	}
	return password, nil
}

// readOrMakePassword returns the password in a file. If there is no such file, it makes one with a
// new password, which only the user of this process can read. An empty path is no file.
func readOrMakePassword(path string) (string, error) {
	if path == "" {
		return rand.Text(), nil
	}
	password, err := ReadPassword(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return password, err
	}
	// The file gets its name when it is complete, because a client may read it at any time. A new
	// temporary file has mode 0600.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return "", fmt.Errorf("write the password of the embedded ClickHouse: %w", err)
	}
	password = rand.Text()
	_, err = fmt.Fprintln(f, password)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("write the password of the embedded ClickHouse: %w", err)
	}
	return password, nil
}

// passwordHash returns what the engine's configuration holds instead of a password.
func passwordHash(password string) string {
	hash := sha256.Sum256([]byte(password))
	return hex.EncodeToString(hash[:])
}
