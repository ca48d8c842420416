package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/client"
)

// completeCommand is the command that the scripts of the shells call with the words of a command
// line, of which the last is to be completed.
const completeCommand = "__complete"

// filesCandidate is a line of the answer that stands for the names of files.
const filesCandidate = ":files"

// scripts are the scripts of completion, by shell.
var scripts = map[string]string{
	"bash": `_millrace() {
  local line file
  COMPREPLY=()
  while IFS= read -r line; do
    if [ "$line" = ` + filesCandidate + ` ]; then
      compopt -o filenames
      while IFS= read -r file; do COMPREPLY+=("$file"); done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
    else
      COMPREPLY+=("${line%%$'\t'*}")
    fi
  done < <("${COMP_WORDS[0]}" ` + completeCommand + ` "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _millrace millrace
`,
	"zsh": `#compdef millrace
_millrace() {
  local line files=0
  local -a found
  while IFS= read -r line; do
    if [[ $line == ` + filesCandidate + ` ]]; then
      files=1
    else
      found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    fi
  done < <("${words[1]}" ` + completeCommand + ` "${(@)words[2,CURRENT]}" 2>/dev/null)
  (( ${#found} )) && _describe millrace found
  (( files )) && _files
}
if [ "$funcstack[1]" = "_millrace" ]; then _millrace "$@"; else compdef _millrace millrace; fi
`,
	"fish": `function __millrace_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  for line in ($words[1] ` + completeCommand + ` $words[2..-1] "$current" 2>/dev/null)
    if test "$line" = ` + filesCandidate + `
      __fish_complete_path "$current"
    else
      echo $line
    end
  end
end
complete -c millrace -f -a '(__millrace_complete)'
`,
}

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help explains how to use the scripts.
func (completionCommand) Help() string {
	return `For good, in the file that the shell reads when it starts:

  bash  ~/.bashrc                   source <(millrace completion bash)
  zsh   ~/.zshrc, after compinit    source <(millrace completion zsh)
  fish  ~/.config/fish/config.fish  millrace completion fish | source`
}

// Run prints the script of a shell.
func (c completionCommand) Run(a *app.App) error {
	_, err := fmt.Fprint(a.Stdout, scripts[c.Shell])
	return err
}

// printCandidates prints the candidates for the last word, one a line: the word and, after a tab,
// what it is.
func printCandidates(w io.Writer, root *kong.Node, words []string) error {
	for _, c := range candidates(root, words) {
		if _, err := fmt.Fprintln(w, c); err != nil {
			return err
		}
	}
	return nil
}

// line is a command line that is being read.
type line struct {
	node   *kong.Node
	flag   *kong.Flag        // that the next word is the value of
	values map[string]string // of flags and positional arguments, by name
	places int               // positional arguments so far
}

// candidates returns what the last word may become.
func candidates(root *kong.Node, words []string) (list []string) {
	// bash makes a word of each equals sign.
	last, assigned := "", len(words) > 0 && words[len(words)-1] == "="
	words = slices.DeleteFunc(slices.Clone(words), func(word string) bool { return word == "=" })
	if len(words) > 0 && !assigned {
		words, last = words[:len(words)-1], words[len(words)-1]
	}
	l := &line{node: root, values: map[string]string{}}
	for _, word := range words {
		l.read(word)
	}
	name, value, assigned := strings.Cut(last, "=")
	flag := l.find(name)
	var all []string
	switch {
	case l.flag != nil:
		all = l.valuesOf(l.flag.Value)
	case assigned && flag != nil:
		for _, v := range l.valuesOf(flag.Value) {
			if strings.HasPrefix(v, value) && v != filesCandidate {
				list = append(list, name+"="+v)
			}
		}
		return list
	case strings.HasPrefix(last, "-"):
		all = l.flags()
	case len(l.node.Children) > 0:
		for _, child := range l.node.Children {
			if !child.Hidden {
				all = append(all, child.Name+"\t"+child.Help)
			}
		}
	default:
		if positional := l.node.Positional; len(positional) > 0 {
			all = l.valuesOf(positional[min(l.places, len(positional)-1)])
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(c string) bool {
		return c != filesCandidate && !strings.HasPrefix(c, last)
	})
}

// read takes a word that is complete.
func (l *line) read(word string) {
	if l.flag != nil {
		l.values[l.flag.Name] = word
		l.flag = nil
		return
	}
	name, value, assigned := strings.Cut(word, "=")
	if flag := l.find(name); flag != nil {
		switch {
		case assigned:
			l.values[flag.Name] = value
		case !flag.IsBool():
			l.flag = flag
		}
		return
	}
	for _, child := range l.node.Children {
		if child.Name == word {
			l.node = child
			return
		}
	}
	if l.places < len(l.node.Positional) {
		l.values[l.node.Positional[l.places].Name] = word
	}
	l.places++
}

// find returns the flag of a word such as --name or -n, or nil.
func (l *line) find(word string) *kong.Flag {
	for _, flags := range l.node.AllFlags(true) {
		for _, flag := range flags {
			if word == "--"+flag.Name || flag.Short != 0 && word == "-"+string(flag.Short) {
				return flag
			}
		}
	}
	return nil
}

func (l *line) flags() (list []string) {
	for _, flags := range l.node.AllFlags(true) {
		for _, flag := range flags {
			list = append(list, "--"+flag.Name+"\t"+flag.Help)
		}
	}
	return list
}

// valuesOf returns the values that a flag or positional argument may have, as far as they are known.
func (l *line) valuesOf(v *kong.Value) (list []string) {
	if v.Enum != "" {
		return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return s == "" })
	}
	if v.Name == "topic" {
		return topics()
	}
	if known := client.ValuesOf(v.Name, l.values["purpose"]); known != nil {
		return known
	}
	switch {
	case v.Name == "id" && v.Flag == nil && (l.node.Parent.Name == "exports" || l.node.Parent.Name == "runs"):
		return []string{"latest"}
	case v.Tag.Type == "path", slices.Contains([]string{"file", "key", "generate"}, v.Name):
		return []string{filesCandidate}
	}
	return nil
}
