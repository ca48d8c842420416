// Server is the ClickHouse child for tests. A test binary that is built with -race cannot load the
// engine's library, and other test binaries would need a TestMain. So localtest builds this command
// for them.
package main

import (
	"os"

	"github.com/millrace/millrace/pipeline/local"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == local.ChildCommand {
		os.Exit(local.ChildMain(os.Args[2:]))
	}
	os.Stderr.WriteString("usage: server " + local.ChildCommand + " …, started by localtest\n")
	os.Exit(2)
}
