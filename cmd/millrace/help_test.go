package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/cmd/millrace/terminal"
)

// try runs a command line in this process, and returns what it prints.
func try(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var b bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &b, &b)
	return code, b.String()
}

// Help and errors fit screens of 80 and 120 columns.
func TestGoldenHelp(t *testing.T) {
	for _, width := range []int{80, 120} {
		t.Setenv("COLUMNS", fmt.Sprint(width))
		var b strings.Builder
		for _, args := range [][]string{{}, {"help"}, {"exports", "--help"}, {"apps", "ls", "--help"}, {"help", "runs"},
			{"completion", "--help"}, {"exports"}, {"export-s"}, {"exports", "sho"}, {"runs", "ls", "--ap", "x"},
			{"runs", "ls", "--source", "recip"}, {"formats", "fine-tuning"}, {"formats", "fine_tuning", "openai"},
			{"help", "export"}} {
			code, out := try(t, args...)
			fmt.Fprintf(&b, "$ millrace %s\n%sexit code %d\n\n", strings.Join(args, " "), out, code)
			for line := range strings.Lines(out) {
				if n := terminal.Width(strings.TrimSpace(line)); n > width && code == 0 && !strings.Contains(line, "source <(") {
					t.Errorf("millrace %v on %d columns: a line of %d: %s", args, width, n, line)
				}
			}
		}
		path := filepath.Join("testdata", fmt.Sprintf("help_%d.txt", width))
		if flag.Lookup("update").Value.String() == "true" { // of package clickhousetest
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(path); err != nil || string(want) != b.String() {
			t.Errorf("%s is another one (%v): run `make golden`\n%s", path, err, b.String())
		}
	}
}

// Every command is in a group, and has an example that the command line accepts.
func TestEveryCommandHasAGroupAndAnExample(t *testing.T) {
	t.Parallel()
	parser, err := newParser(io.Discard, io.Discard, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Children {
		if !slices.ContainsFunc(groups, func(g struct{ key, title string }) bool { return g.key == command.Tag.Get("in") }) {
			t.Errorf("millrace %s is in no group", command.Name)
		}
	}
	for _, command := range parser.Model.Leaves(true) {
		example := strings.TrimSuffix(strings.TrimPrefix(command.Tag.Get("example"), "source <("), ")")
		args, found := strings.CutPrefix(example, "millrace ")
		if !found || !strings.HasPrefix(args+" ", command.Path()+" ") {
			t.Errorf("millrace %s has the example %q", command.Path(), example)
			continue
		}
		if _, err := parser.Parse(strings.Fields(args)); err != nil {
			t.Errorf("%s: %v", example, err)
		}
	}
}

func TestTheVersionIsACommandAndAFlag(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"--version", "version"} {
		if code, out := try(t, args); code != 0 || !strings.HasPrefix(out, "millrace "+version()+" (go") {
			t.Errorf("%s: exit code %d, %s", args, code, out)
		}
	}
}

func TestCompletionKnowsCommandsFlagsAndValues(t *testing.T) {
	t.Parallel()
	parser, err := newParser(io.Discard, io.Discard, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ words, want string }{ // the last word is after the last space
		{"", "local demo sample apps"}, {"ex", "exports export"}, {"exports ", "ls show view"}, {"exports sh", "show"},
		{"exports show ", "latest"}, {"exports ls --", "--help --workspace --n --json"}, {"exports ls --j", "--json"},
		{"request --purpose ", "export_dataset recipe_evaluation"}, {"request --purpose fi", "fine_tuning"},
		{"request --purpose fine_tuning --target ", "openai_chat together"},
		{"request --target op", "openai_evals openai_chat"},
		{"request --purpose=fine_tuning --target=openai_c", "--target=openai_chat"},
		{"request --purpose = fine_tuning --target = openai_c", "openai_chat"}, // as bash divides it
		{"request --source =", "copilot recipe"}, {"request --file ", ":files"}, {"replay ", ":files"},
		{"replay --rate ", ""},
		{"formats ", "export_dataset"}, {"formats fine_tuning open", "openai_chat openai_dpo"}, {"completion f", "fish"},
		{"help eve", "events"}, {"runs ls --rating ", "thumbsUp thumbsDown none"}, {"nonsense ", "local"}, {"serve ", ""},
	} {
		got := names(candidates(parser.Model.Node, strings.Split(c.words, " ")))
		if !strings.HasPrefix(got+" ", c.want+" ") && c.want != got {
			t.Errorf("%q: %s, want %s", c.words, got, c.want)
		}
		if c.want == "" && c.words != "" && got != "" {
			t.Errorf("%q: %s", c.words, got)
		}
	}
}

func names(candidates []string) string {
	for i, c := range candidates {
		candidates[i], _, _ = strings.Cut(c, "\t")
	}
	return strings.Join(candidates, " ")
}
