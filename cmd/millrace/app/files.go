package app

import (
	"log/slog"
	"syscall"
)

// minOpenFiles is the limit of open files below which a role warns. An idle local stack has about 200
// open, and its ClickHouse 140; each connection of a client and each file of a query is one more.
const minOpenFiles = 4096

// CheckOpenFiles warns if this process may open so few files that connections will fail. Go has
// raised the limit to the hard limit by then.
func CheckOpenFiles(log *slog.Logger) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= minOpenFiles {
		return
	}
	log.Warn("this process may open few files, so connections may fail: raise the limit with ulimit -Hn, or "+
		"LimitNOFILE of systemd", "limit", limit.Cur, "recommended", minOpenFiles)
}
