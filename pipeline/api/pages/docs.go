package pages

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"sync"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	goldmarktext "github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/millrace/millrace"
)

// documentPage is a document of the repository, or the list of all of them.
type documentPage struct {
	All  []millrace.Document
	Name string        // of the document; "" = the list
	Body template.HTML // of the document, without its title
}

// registerDocuments adds /docs. The documents hold no data of a workspace, so that they are shown
// to people who have not signed in.
func (p *Pages) registerDocuments(handle func(pattern string, handler func(http.ResponseWriter, *http.Request))) {
	handle("GET /docs", func(w http.ResponseWriter, r *http.Request) {
		p.showDocument(w, r, view{title: "Documents", data: documentPage{All: millrace.Documents}})
	})
	bodies := map[string]func() template.HTML{}
	for _, d := range millrace.Documents {
		bodies[d.Name] = sync.OnceValue(func() template.HTML {
			return renderTrusted(d.Name, d.Text(), d.Address, d.PictureAddress)
		})
	}
	handle("GET /docs/pictures/{path...}", func(w http.ResponseWriter, r *http.Request) {
		content, ok := millrace.Picture(r.PathValue("path"))
		if !ok {
			p.notFoundPage(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=3600")
		http.ServeContent(w, r, r.PathValue("path"), time.Time{}, bytes.NewReader(content))
	})
	reference := sync.OnceValue(func() template.HTML {
		return renderTrusted("reference", p.reference(), unchanged, unchanged)
	})
	handle("GET /docs/reference", func(w http.ResponseWriter, r *http.Request) {
		p.showDocument(w, r, view{title: "API reference",
			data: documentPage{All: millrace.Documents, Name: "reference", Body: reference()}})
	})
	handle("GET /docs/{name}", func(w http.ResponseWriter, r *http.Request) {
		d, ok := millrace.FindDocument(r.PathValue("name"))
		if !ok {
			p.notFoundPage(w, r)
			return
		}
		p.showDocument(w, r, view{title: d.Title,
			data: documentPage{All: millrace.Documents, Name: d.Name, Body: bodies[d.Name]()}})
	})
}

func (p *Pages) showDocument(w http.ResponseWriter, r *http.Request, v view) {
	v.template, v.section, v.kept = "docs.html", "docs", true
	if err := p.render(w, r, v); err != nil {
		p.Fail(w, r, err)
	}
}

// renderTrusted returns Markdown that is our own as HTML, without its title, with the addresses of links and
// pictures as renderMarkdown maps them.
func renderTrusted(name, text string, address, picture func(string) string) template.HTML {
	html, err := renderMarkdown([]byte(text), address, picture, true)
	if err != nil {
		panic(fmt.Errorf("render document %s: %w", name, err)) // it is in the binary, and a test renders each
	}
	return template.HTML(html) //nolint:gosec // of our own documents
}

// renderMarkdown returns Markdown as HTML, without its title, which the page has. Address maps the addresses of
// links, and picture those of pictures. Headings get ids if anchors is set.
func renderMarkdown(source []byte, address, picture func(string) string, anchors bool) ([]byte, error) {
	var parsers []parser.Option
	if anchors {
		parsers = append(parsers, parser.WithAutoHeadingID())
	}
	md := goldmark.New(
		goldmark.WithExtensions(extension.Strikethrough, extension.Linkify,
			// The content security policy forbids style attributes.
			extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute))),
		goldmark.WithParserOptions(parsers...),
		goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(codeRenderer{}, 1))),
	)
	root := md.Parser().Parse(goldmarktext.NewReader(source))
	if title, ok := root.FirstChild().(*ast.Heading); ok && title.Level == 1 {
		root.RemoveChild(root, title) // the page has it already
	}
	var b bytes.Buffer
	err := ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Link:
			if entering {
				n.Destination = []byte(address(string(n.Destination)))
			}
		case *ast.Image:
			if entering {
				n.Destination = []byte(picture(string(n.Destination)))
			}
		}
		return ast.WalkContinue, nil
	})
	if err == nil {
		err = md.Renderer().Render(&b, source, root)
	}
	if err != nil {
		return nil, err
	}
	// A table that is wider than the window scrolls by itself, also with the keyboard.
	html := bytes.ReplaceAll(b.Bytes(), []byte("<table>"),
		[]byte(`<div class="wide" tabindex="0" role="group" aria-label="Table"><table>`))
	return bytes.ReplaceAll(html, []byte("</table>"), []byte("</table></div>")), nil
}

// codeRenderer renders blocks of code with a button that copies them, as the templates do.
type codeRenderer struct{}

func (codeRenderer) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(ast.KindFencedCodeBlock, func(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus,
		error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		code := string(n.Lines().Value(source))
		if n.(*ast.FencedCodeBlock).Language(source) == nil { // a picture
			fmt.Fprintf(w, `<pre class="picture" tabindex="0" role="group" aria-label="Picture">%s</pre>`,
				template.HTMLEscapeString(code))
			return ast.WalkSkipChildren, nil
		}
		fmt.Fprintf(w, `<div class="copy"><pre tabindex="0" role="group" aria-label="Code"><code>%s</code></pre>`+
			`<button type="button" class="button small" data-copy aria-label="Copy the code">Copy</button></div>`,
			template.HTMLEscapeString(code))
		return ast.WalkSkipChildren, nil
	})
}
