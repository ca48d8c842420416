package client

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/pipeline/export/files"
)

// writeLoader writes beside the files of a download how to load them: load.py if the command is
// Python, and load.sh otherwise. It returns the path of the script, or "" if there is no command.
func writeLoader(d *files.Dataset, dir string, o files.DownloadOptions) (string, error) {
	command, err := d.LoadDownloaded(o.Fragments)
	if err != nil || command == "" {
		return "", err
	}
	name, text := loader(command)
	path := filepath.Join(dir, name)
	if old, err := os.ReadFile(path); err == nil && string(old) != text && !o.Force {
		return "", fmt.Errorf("%s: %w", path, files.ErrExists)
	}
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// loader returns the name and the text of the script that runs a command in the script's folder.
func loader(command string) (name, text string) {
	if code, ok := pythonCode(command); ok {
		return "load.py", "# This script loads the files beside it.\nimport os\nos.chdir(os.path.dirname(os.path.abspath(" +
			"__file__)))\n" + code + "\n"
	}
	return "load.sh", "# This script loads the files beside it: sh load.sh\nset -eu\ncd \"$(dirname \"$0\")\"\n" +
		command + "\n"
}

// pythonCode returns the code of a command that only runs Python code, and whether it is such a
// command.
func pythonCode(command string) (code string, ok bool) {
	for _, quote := range []string{`"`, `'`} {
		rest, found := strings.CutPrefix(command, "python3 -c "+quote)
		code, closed := strings.CutSuffix(rest, quote)
		if found && closed && !strings.ContainsAny(code, quote+"$`\\") {
			return code, true
		}
	}
	return "", false
}
