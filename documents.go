// Package millrace holds the documents of this repository, for `millrace help` and for the pages
// under /docs. It has no other code: the program is in cmd/millrace, and pipeline/doc.go is the map
// of the packages.
package millrace

import (
	"embed"
	"path"
	"regexp"
	"strings"
)

// Document is a Markdown file that stands beside what it is about.
type Document struct {
	Name  string // the topic of `millrace help`, and the last part of its address under /docs
	Title string
	About string // one line
	Path  string // in this repository
}

// Documents are all documents, in reading order. The README lists the same.
var Documents = []Document{
	{"overview", "Millrace", "what it is, quick start, one screen for each kind of user", "README.md"},
	{"events", "Events", "what producers send, every field and rule, dead letters", "schemas/events/README.md"},
	{"exports", "Exports", "requests, selections, files, completions, incremental exports", "pipeline/export/README.md"},
	{"targets", "Targets", "the tools that exports are made for", "pipeline/export/format/README.md"},
	{"pages", "Pages", "Copilots, Recipes, History and Dataset Exports in the browser", "dashboards/web/README.md"},
	{"api", "HTTP API", "routes, tokens, signed URLs", "pipeline/api/README.md"},
	{"queries", "Queries", "views of ClickHouse and example queries", "schemas/clickhouse/README.md"},
	{"commands", "Commands and configuration", "roles, commands, environment variables", "cmd/millrace/README.md"},
	{"measurements", "Measurements", "disk space, ingest, formatting, exports, the server",
		"cmd/millrace/bench/README.md"},
	{"operations", "Operations", "deployment, runbooks, sizing, upgrades, backup, retention", "dashboards/README.md"},
	{"dashboards", "Grafana dashboards", "what they answer, how to import and to change them",
		"dashboards/grafana/README.md"},
	{"metrics", "Metrics", "what each role counts and measures, for Prometheus", "dashboards/METRICS.md"},
	{"security", "Security", "what is protected, and what is left to you", "SECURITY.md"},
	{"development", "Development", "building, testing, where everything is", "CONTRIBUTING.md"},
	{"changes", "Changelog", "what is new", "CHANGELOG.md"},
}

//go:embed README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md
//go:embed schemas/events/README.md schemas/clickhouse/README.md
//go:embed pipeline/api/README.md pipeline/export/README.md pipeline/export/format/README.md
//go:embed dashboards/README.md dashboards/METRICS.md dashboards/web/README.md dashboards/grafana/README.md
//go:embed cmd/millrace/README.md cmd/millrace/bench/README.md
var files embed.FS

//go:embed cmd/millrace/bench/growth.svg dashboards/web/screenshots
var pictures embed.FS

// Picture returns the picture of a path in this repository that a document shows, and whether there is one.
func Picture(path string) (content []byte, ok bool) {
	content, err := pictures.ReadFile(path)
	return content, err == nil
}

// PictureAddress returns where a picture of the document is when it is read in the pages.
func (d Document) PictureAddress(link string) string {
	return "/docs/pictures/" + path.Join(path.Dir(d.Path), link)
}

// FindDocument returns the document of a topic, and whether there is one.
func FindDocument(name string) (Document, bool) {
	for _, d := range Documents {
		if d.Name == name {
			return d, true
		}
	}
	return Document{}, false
}

// marks are the comments around generated tables.
var marks = regexp.MustCompile(`(?m)^<!-- .* -->\n`)

// Text returns the Markdown of a document, without comments.
func (d Document) Text() string {
	text, err := files.ReadFile(d.Path)
	if err != nil {
		panic(err) // Documents and the embedded files are compared by a test
	}
	return marks.ReplaceAllString(string(text), "")
}

// repository is where people read the files that are not documents.
const repository = "https://github.com/millrace/millrace/blob/main/"

// Address returns where a link of the document leads when it is read in the pages: to /docs for
// another document, and to the repository for any other file. Links to other sites and inside the
// document stay as they are.
func (d Document) Address(link string) string {
	file, anchor, found := strings.Cut(link, "#")
	if file == "" || strings.Contains(file, ":") {
		return link
	}
	if found {
		anchor = "#" + anchor
	}
	file = path.Join(path.Dir(d.Path), file)
	for _, other := range Documents {
		if other.Path == file {
			return "/docs/" + other.Name + anchor
		}
	}
	return repository + file + anchor
}
