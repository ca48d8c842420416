//go:build !linux

package local

import (
	"errors"
	"runtime"
)

// unconfined returns why this machine cannot confine the child.
func unconfined() string { return "Millrace cannot confine a process on " + runtime.GOOS }

func (childConfig) confine([]string) error { return errors.New(unconfined()) }
