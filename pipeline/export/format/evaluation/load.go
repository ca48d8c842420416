package evaluation

import (
	"embed"
	"strings"
)

// scripts load a file into a reader, a statement a line. {file} is the path of the file.
//
//go:embed load/*.py
var scripts embed.FS

// pythonCommand returns the shell command that runs a script. It panics where there is no such
// script: the names are constant.
func pythonCommand(name string) string {
	script, err := scripts.ReadFile("load/" + name + ".py")
	if err != nil {
		panic(err)
	}
	statements := strings.Split(strings.TrimSpace(string(script)), "\n")
	return `python3 -c "` + strings.Join(statements, "; ") + `"`
}
