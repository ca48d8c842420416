//go:build !linux

package extract

// yieldProcessor does nothing where threads have no priorities of their own.
func yieldProcessor() {}
