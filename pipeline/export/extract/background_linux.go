package extract

import (
	"runtime"
	"syscall"
)

// yieldProcessor lets the operating system prefer other threads to that of the calling goroutine, by [niceness]. A
// process may not take that back. So the goroutine keeps the thread for itself, and must end soon: the runtime
// then ends the thread, or, if it is the first of the process, does not use it again. It is no error if the system
// does not allow it.
func yieldProcessor() {
	runtime.LockOSThread()
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), niceness)
}
