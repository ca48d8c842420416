package commands

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/cmd/millrace/e2e/e2etest"
)

// zshScript types a command and Tab into a shell that somebody uses, and prints what the shell shows.
const zshScript = `
zmodload zsh/zpty
shows() {
  local shown out
  repeat 300; do
    zpty -r -t z out && shown+=$out
    [[ $shown == *$1* ]] && return
    sleep 0.1
  done
  print -r -- "$1 is not in ${(V)shown}"
  exit 1
}
zpty z env TERM=xterm zsh -f -i
zpty -w z 'PS1=""; autoload -Uz compinit; compinit -D -u; source <(millrace completion zsh); print -r REA""DY'
shows READY
zpty -w -n z $'millrace exports dow\t'
shows nload
print -r -- done
`

// The scripts of completion work in the shells that they are for. bash is everywhere; the others are
// tried where they are installed.
func TestCompletionInShells(t *testing.T) {
	t.Parallel()
	millrace := e2etest.Environment{}.Command(t.Context()).Path
	for _, c := range []struct {
		shell string
		args  []string
		want  string
	}{
		{"bash", []string{"--norc", "-c", `source <(millrace completion bash)
try() { COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _millrace; echo "${COMPREPLY[*]}"; }
compopt() { :; }
try millrace exports dow
try millrace request --target = openai_c
try millrace replay events
complete -p millrace`}, "download\nopenai_chat\nevents.jsonl\ncomplete -F _millrace millrace\n"},
		{"zsh", []string{"-f", "-c", zshScript}, "done\n"},
		{"fish", []string{"--no-config", "-c", `millrace completion fish | source
complete -C "millrace exports dow"
complete -C "millrace request --target openai_c"
complete -C "millrace replay eve"`}, "download\tDownload the files of an export, one file a split.\nopenai_chat\nevents.jsonl\n"},
	} {
		t.Run(c.shell, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(c.shell); err != nil {
				if c.shell == "bash" {
					t.Fatal(err)
				}
				t.Skipf("%s is not installed", c.shell)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, c.shell, c.args...)
			cmd.Dir = t.TempDir()
			if err := os.WriteFile(filepath.Join(cmd.Dir, "events.jsonl"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			bin := filepath.Join(t.TempDir(), "bin")
			if err := os.Mkdir(bin, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(millrace, filepath.Join(bin, "millrace")); err != nil {
				t.Fatal(err)
			}
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+cmd.Dir)
			out, err := cmd.Output()
			if err != nil || !strings.HasSuffix(string(out), c.want) {
				t.Errorf("%v: %q, want %q", err, out, c.want)
			}
		})
	}
}
