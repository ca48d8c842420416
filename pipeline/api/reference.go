package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// reference writes an OpenAPI document as Markdown for people.
type reference struct {
	strings.Builder
	document map[string]any    // as JSON: schemas of events are known in it only
	tables   map[string]string // the fields of a body, and the route that has it
}

// schema is what the reference shows of a JSON schema.
type schema struct {
	Ref         string            `json:"$ref"`
	Type        any               `json:"type"` // a text, or a list of them
	Format      string            `json:"format"`
	Description string            `json:"description"`
	Enum        []any             `json:"enum"`
	Items       *schema           `json:"items"`
	Properties  map[string]schema `json:"properties"`
	Required    []string          `json:"required"`
	OneOf       []schema          `json:"oneOf"`
	AnyOf       []schema          `json:"anyOf"`
	AllOf       []schema          `json:"allOf"`
}

// maxAnswerDepth is maxFieldDepth for answers, which are to be read rather than written.
const maxAnswerDepth = 3

// maxFieldDepth is how many lists, choices and objects a field that is listed is in: some are in themselves.
const maxFieldDepth = 6

// referenceOf returns the routes of a document as Markdown: a part for each tag, with the parameters, the body and the
// answers of each route.
func referenceOf(o *huma.OpenAPI) string {
	r := &reference{tables: map[string]string{}}
	convert(o, &r.document)
	r.WriteString("# API reference\n\nEvery route of the HTTP API, made from its OpenAPI document, which tools read as " +
		"[JSON](/openapi.json) or [YAML](/openapi.yaml). [HTTP API](/docs/api) explains tokens, workspaces and errors.\n")
	byTag := map[string][]*huma.Operation{}
	for path, item := range o.Paths {
		for method, op := range map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post,
			http.MethodDelete: item.Delete, http.MethodPut: item.Put, http.MethodHead: item.Head} {
			if op == nil {
				continue
			}
			shown := *op
			shown.Method, shown.Path = method, path
			tag := append(slices.Clone(op.Tags), "Other")[0]
			byTag[tag] = append(byTag[tag], &shown)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(byTag)) {
		fmt.Fprintf(r, "\n## %s\n", tag)
		slices.SortFunc(byTag[tag], func(a, b *huma.Operation) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
		})
		for _, op := range byTag[tag] {
			r.operation(op)
		}
	}
	return r.String()
}

func (r *reference) operation(op *huma.Operation) {
	fmt.Fprintf(r, "\n### %s `%s`\n\n%s\n", op.Method, op.Path, cmp.Or(op.Description, op.Summary+"."))
	for _, needed := range op.Security {
		for _, scopes := range needed {
			if len(scopes) > 0 {
				fmt.Fprintf(r, "\nThe token needs the scope `%s`.\n", strings.Join(scopes, "` and `"))
			}
		}
	}
	if len(op.Parameters) > 0 {
		r.WriteString("\n| parameter | in | type | |\n|---|---|---|---|\n")
		for _, p := range op.Parameters {
			fmt.Fprintf(r, "| `%s`%s | %s | %s | %s |\n", p.Name, star(p.Required), p.In, r.typeOf(schemaOf(p.Schema)),
				cell(cmp.Or(p.Description, r.resolve(schemaOf(p.Schema)).Description)))
		}
	}
	if op.RequestBody != nil {
		r.content(op, "Body", op.RequestBody.Content, maxFieldDepth)
	}
	r.answers(op.Responses)
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if status < "300" {
			r.content(op, "Answer "+status, op.Responses[status].Content, maxAnswerDepth)
		}
	}
}

// answers writes which answers there are. All errors are problems.
func (r *reference) answers(all map[string]*huma.Response) {
	r.WriteString("\nAnswers:\n\n")
	var problems []string
	for _, status := range slices.Sorted(maps.Keys(all)) {
		answer := all[status]
		if answer.Content["application/problem+json"] != nil {
			problems = append(problems, status+" "+answer.Description)
			continue
		}
		kinds := slices.Sorted(maps.Keys(answer.Content))
		fmt.Fprintf(r, "- %s %s\n", status, strings.Join(append([]string{answer.Description}, kinds...), ", "))
	}
	if len(problems) > 0 {
		fmt.Fprintf(r, "- a problem as `application/problem+json`: %s\n", strings.Join(problems, ", "))
	}
}

// content writes the fields, as deep as this, and the example of a body. Fields that another body has too are listed
// once.
func (r *reference) content(op *huma.Operation, title string, content map[string]*huma.MediaType, depth int) {
	for _, kind := range slices.Sorted(maps.Keys(content)) {
		media := content[kind]
		fields := &reference{document: r.document}
		fields.fields("", schemaOf(media.Schema), maxFieldDepth-depth)
		if fields.Len() == 0 && media.Example == nil {
			continue
		}
		fmt.Fprintf(r, "\n%s, `%s`: ", title, kind)
		if as := r.tables[fields.String()]; as != "" {
			fmt.Fprintf(r, "the same fields as that of %s\n", as)
		} else if fields.Len() > 0 {
			r.tables[fields.String()] = "`" + op.Method + " " + op.Path + "`"
			r.WriteString("\n\n| field | type | |\n|---|---|---|\n" + fields.String())
		}
		if media.Example != nil {
			if text, err := json.MarshalIndent(media.Example, "", "  "); err == nil {
				fmt.Fprintf(r, "\n```json\n%s\n```\n", text)
			}
		}
	}
}

// fields writes rows of a table, one for each field of a schema and of the objects in it.
func (r *reference) fields(prefix string, of schema, depth int) {
	if depth >= maxFieldDepth {
		return
	}
	of = r.resolve(of)
	if of.Items != nil {
		r.fields(prefix+"[]", *of.Items, depth+1)
	}
	choices := slices.Concat(of.OneOf, of.AnyOf, of.AllOf)
	for _, choice := range choices {
		if prefix == "" && choice.Items != nil && len(choices) > 1 {
			continue // a list of what another choice is one of
		}
		r.fields(prefix, choice, depth+1)
	}
	for _, name := range slices.Sorted(maps.Keys(of.Properties)) {
		field := of.Properties[name]
		path := strings.TrimPrefix(prefix+"."+name, ".")
		row := fmt.Sprintf("| `%s`%s | %s | %s |\n", path, star(slices.Contains(of.Required, name)), r.typeOf(field),
			cell(cmp.Or(field.Description, r.resolve(field).Description)))
		if strings.Contains(r.String(), row) { // another choice has it too
			continue
		}
		r.WriteString(row)
		r.fields(path, field, depth+1)
	}
}

// schemaOf returns what the reference shows of a schema.
func schemaOf(s *huma.Schema) (of schema) {
	convert(s, &of)
	return of
}

// convert reads into to what from is as JSON.
func convert(from, to any) {
	text, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		panic(err) // the types are plain
	}
}

// resolve returns the schema that a reference names.
func (r *reference) resolve(of schema) schema {
	for of.Ref != "" {
		var place any = r.document
		for _, key := range strings.Split(of.Ref, "/")[1:] { // "#/components/schemas/..."
			object, _ := place.(map[string]any)
			place = object[key]
		}
		description := of.Description
		of = schema{}
		convert(place, &of)
		of.Description = cmp.Or(description, of.Description)
	}
	return of
}

// typeOf names a type in a few words.
func (r *reference) typeOf(of schema) string {
	of = r.resolve(of)
	if len(of.Enum) > 0 {
		words := make([]string, len(of.Enum))
		for i, word := range of.Enum {
			words[i] = fmt.Sprintf("`%v`", word)
		}
		return strings.Join(words, ", ")
	}
	kind := "any"
	switch t := of.Type.(type) {
	case string:
		kind = t
	case []any:
		words := make([]string, len(t))
		for i, word := range t {
			words[i] = fmt.Sprint(word)
		}
		kind = strings.Join(words, " or ")
	}
	switch {
	case of.Items != nil:
		return "list of " + r.typeOf(*of.Items)
	case of.Format != "":
		return kind + ", " + of.Format
	}
	return kind
}

// star marks what is required.
func star(required bool) string {
	if required {
		return " (required)"
	}
	return ""
}

// cell returns a text for a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}
