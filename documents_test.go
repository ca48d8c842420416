package millrace

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// repositoryFiles returns the text of the files of this repository with one of these extensions.
// Golden files and what tools have fetched are left out.
func repositoryFiles(t *testing.T, extensions string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || d.Name() == "bin" ||
			strings.HasPrefix(d.Name(), ".") && name != "."):
			return fs.SkipDir
		case !d.IsDir() && strings.Contains(extensions, path.Ext(name)) && path.Ext(name) != "":
			text, err := os.ReadFile(name)
			all[filepath.ToSlash(name)] = text
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// parsed is a Markdown file: its links, and the anchors of its headings.
type parsed struct {
	links   []string
	anchors map[string]bool
	title   string
}

func parseMarkdown(source []byte) parsed {
	p := parsed{anchors: map[string]bool{}}
	md := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	root := md.Parser().Parse(text.NewReader(source))
	ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			p.links = append(p.links, string(n.Destination))
		case *ast.Image:
			p.links = append(p.links, string(n.Destination))
		case *ast.Heading:
			if id, ok := n.AttributeString("id"); ok {
				p.anchors[string(id.([]byte))] = true
			}
			if n.Level == 1 && p.title == "" {
				p.title = string(n.Lines().Value(source))
			}
		}
		return ast.WalkContinue, nil
	})
	return p
}

func TestEveryLinkBetweenFilesLeadsToAFileAndItsHeading(t *testing.T) {
	files := map[string]parsed{}
	for name, source := range repositoryFiles(t, ".md") {
		files[name] = parseMarkdown(source)
	}
	links := 0
	for name, p := range files {
		for _, link := range p.links {
			file, anchor, _ := strings.Cut(link, "#")
			if strings.Contains(file, ":") {
				continue
			}
			links++
			to := name
			if file != "" {
				to = path.Join(path.Dir(name), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: link to %s: %v", name, link, err)
			}
			if anchor != "" && !files[to].anchors[anchor] {
				t.Errorf("%s: link to %s: %s has no such heading", name, link, to)
			}
		}
	}
	if links < 30 {
		t.Errorf("only %d links were found", links)
	}
}

func TestEveryDocumentHasItsTitleAndTheREADMEListsIt(t *testing.T) {
	readme := Documents[0].Text()
	files := repositoryFiles(t, ".md")
	linked := map[string]bool{}
	for _, d := range Documents {
		p := parseMarkdown(files[d.Path])
		if p.title != d.Title {
			t.Errorf("%s has the title %q, want %q", d.Path, p.title, d.Title)
		}
		row := fmt.Sprintf("| [%s](%s) | %s |\n", d.Title, d.Path, d.About)
		if d.Path != "README.md" && !strings.Contains(readme, row) {
			t.Errorf("README.md has no row\n%s", row)
		}
		linked[d.Path] = true
		for _, link := range p.links {
			linked[path.Join(path.Dir(d.Path), link)] = true
		}
	}
	for name := range files {
		if !linked[name] {
			t.Errorf("no document links to %s", name)
		}
	}
}

func TestTheREADMEIsShort(t *testing.T) {
	if size := len(Documents[0].Text()); size > 10_000 {
		t.Errorf("README.md has %d bytes: move a part to the document that it is about", size)
	}
}

func TestLinksOfServedDocumentsStayInThePages(t *testing.T) {
	d, _ := FindDocument("exports")
	for link, want := range map[string]string{
		"format/README.md":                  "/docs/targets",
		"../api/README.md#tokens":           "/docs/api#tokens",
		"../../README.md":                   "/docs/overview",
		"#commands":                         "#commands",
		"https://duckdb.org":                "https://duckdb.org",
		"../../schemas/events/events.go#L1": "https://github.com/millrace/millrace/blob/main/schemas/events/events.go#L1",
	} {
		if got := d.Address(link); got != want {
			t.Errorf("%s leads to %s, want %s", link, got, want)
		}
	}
}

// A reader of this repository has no other document at hand.
func TestNothingCitesADocumentOutsideTheRepository(t *testing.T) {
	names := map[string]bool{}
	for name := range repositoryFiles(t, ".md") {
		names[path.Base(name)] = true
	}
	names["card.md"] = true // a golden file
	cited := regexp.MustCompile(`[\w./:-]+\.md\b`)
	for name, source := range repositoryFiles(t, ".go .md .yml .yaml .json .sql .js .css .html") {
		for _, file := range cited.FindAll(source, -1) {
			if !bytes.Contains(file, []byte("://")) && !names[path.Base(string(file))] {
				t.Errorf("%s cites %s, which is not in the repository", name, file)
			}
		}
	}
}

func TestLinksToPackagesLeadToPackages(t *testing.T) {
	for name, source := range repositoryFiles(t, ".go .md") {
		for _, m := range regexp.MustCompile(`pkg\.go\.dev/github\.com/millrace/millrace/([\w/]+)`).FindAllSubmatch(source,
			-1) {
			if _, err := os.Stat(string(m[1])); err != nil {
				t.Errorf("%s: link to package %s: %v", name, m[1], err)
			}
		}
	}
}

// The table of CONTRIBUTING.md is what people look for before they read the Makefile.
func TestCONTRIBUTINGListsTheTargetsOfTheMakefile(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	d, _ := FindDocument("development")
	phony := regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindSubmatch(makefile)
	if phony == nil {
		t.Fatal("the Makefile has no .PHONY line")
	}
	for _, target := range strings.Fields(string(phony[1])) {
		if !strings.Contains(d.Text(), "| `make "+target+"` |") {
			t.Errorf("CONTRIBUTING.md does not list `make %s`", target)
		}
	}
}

// pipeline/doc.go is where people learn what is where.
func TestTheMapNamesEveryPackage(t *testing.T) {
	doc, err := os.ReadFile("pipeline/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := bytes.Cut(doc, []byte("// # Packages\n"))
	packages, _, _ := bytes.Cut(after, []byte("../schemas/"))
	mapped := map[string]bool{}
	for _, m := range regexp.MustCompile(`([\w./]+)/\s`).FindAllSubmatch(packages, -1) {
		mapped[path.Base(string(m[1]))] = true
	}
	for _, m := range regexp.MustCompile(`(?m)\.\./(sinks/\w+)`).FindAllSubmatch(packages, -1) {
		mapped[path.Base(string(m[1]))] = true
	}
	exist := map[string]bool{}
	for name := range repositoryFiles(t, ".go") {
		folder := path.Dir(name)
		exist[path.Base(folder)] = true
		inMap := strings.HasPrefix(folder, "pipeline/") || strings.HasPrefix(folder, "sinks/")
		if inMap && !strings.HasSuffix(folder, "test") && path.Base(folder) != "server" && !mapped[path.Base(folder)] {
			t.Errorf("pipeline/doc.go does not name %s", folder)
		}
	}
	for name := range mapped {
		if _, err := os.Stat(name); err != nil && !exist[name] {
			t.Errorf("pipeline/doc.go names %s/, which does not exist", name)
		}
	}
}
