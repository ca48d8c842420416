package extract

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// inBackground counts the threads of this process that yield to others, but not the first, which the runtime keeps
// and does not use again.
func inBackground(t *testing.T) (n int) {
	t.Helper()
	threads, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil || len(threads) == 0 {
		t.Fatal("no threads: ", err)
	}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil || filepath.Base(filepath.Dir(name)) == fmt.Sprint(os.Getpid()) {
			continue // or the thread has ended
		}
		_, after, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(after); fields[16] == fmt.Sprint(niceness) {
			n++
		}
	}
	return n
}

func TestAWindowYieldsTheProcessorUntilItsGoroutineEnds(t *testing.T) {
	ended, during := make(chan struct{}), 0
	go func() {
		defer close(ended)
		fn := yielding(func(*record.Row) error {
			if priority, err := syscall.Getpriority(syscall.PRIO_PROCESS, syscall.Gettid()); err == nil &&
				priority == 20-niceness { // as the system call returns it
				during++
			}
			runtime.Gosched()
			return nil
		})
		for range 3 {
			if err := fn(&record.Row{}); err != nil {
				t.Error(err)
			}
		}
	}()
	<-ended
	if during != 3 {
		t.Errorf("%d of 3 rows were read in the background", during)
	}
	for deadline := time.Now().Add(10 * time.Second); inBackground(t) > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the thread of a window that has ended is still in the background")
		}
	}
}
