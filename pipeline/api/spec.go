package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/live"
	"github.com/millrace/millrace/pipeline/history"
	"github.com/millrace/millrace/pipeline/runs"
	"github.com/millrace/millrace/schemas/events"
)

// spec returns the OpenAPI document without operations.
func (a *API) spec() huma.Config {
	c := huma.DefaultConfig("Millrace", a.cfg.Version)
	c.CreateHooks = nil // no $schema in answers
	c.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	c.AllowAdditionalPropertiesByDefault = true // fields may be added
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", ""
	c.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	c.Info.Description = "Runs of LLM applications in, data sets out. Every caller is confined to one workspace: that " +
		"of the token, or, where no keys are " +
		"configured, that of the header `" + auth.WorkspaceHeader +
		"`, else the default one. Errors are `application/problem+json` (RFC 9457); times are UTC."
	c.Info.License = &huma.License{Name: "MIT License", Identifier: "MIT"}
	c.Servers = []*huma.Server{{URL: "/"}}
	if a.cfg.PublicURL != "" {
		c.Servers[0].URL = a.cfg.PublicURL
	}
	c.Tags = []*huma.Tag{
		{Name: "Exports", Description: "Data sets: file, watch, download."},
		{Name: "Runs", Description: "The runs that the History view shows, and publishing them."},
		{Name: "Answer Insights", Description: "The analytics export of Answer Insights, for its existing clients."},
	}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		bearerScheme: {Type: "http", Scheme: "bearer", BearerFormat: "JWT",
			Description: "Claims `workspace` and `scope`; `millrace token` mints one to try. Not needed where no keys are " +
				"configured."},
		insightsScheme: {Type: "apiKey", In: "header", Name: auth.InsightsHeader,
			Description: "The same token, for the Answer Insights routes."},
	}
	return c
}

// schemaNames are the schema names of types whose own name says too little without the name of the
// package.
var schemaNames = map[reflect.Type]string{
	reflect.TypeFor[live.Page]():      "ExportPage",
	reflect.TypeFor[export.Warning](): "ExportWarning",
	reflect.TypeFor[history.Page]():   "RunPage",
	reflect.TypeFor[history.Error]():  "RunError",
	reflect.TypeFor[history.File]():   "RunFile",
	reflect.TypeFor[history.Detail](): "RunDetail",
}

func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if name := schemaNames[t]; name != "" {
		return name
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// schemaOf adds the JSON Schema of an event to the document. Its $defs stay inside the schema.
func (a *API) schemaOf(name, eventType string, change func(map[string]any)) *huma.Schema {
	text, _ := events.Schema(eventType)
	place := "#/components/schemas/" + name
	var schema map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), `"#/$defs/`, `"`+place+`/$defs/`)),
		&schema); err != nil {
		panic(err) // it is embedded
	}
	delete(schema, "$id")
	delete(schema, "$schema")
	if change != nil {
		change(schema)
	}
	a.api.OpenAPI().Components.Schemas.Map()[name] = &huma.Schema{Extensions: schema}
	return &huma.Schema{Ref: place}
}

// describeRequest describes the body of a route that takes an export request.
func (a *API) describeRequest(path string) {
	schema := a.schemaOf("ExportRequest", export.TypeRequested, func(s map[string]any) {
		s["title"], s["required"] = "Export request", []string{"purpose", "source", "app_id", "selection"}
		s["description"] = "What to export, for which purpose, for which tool. All mistakes come back at once, each with a " +
			"JSON pointer. Unknown fields are refused."
	})
	a.api.OpenAPI().Paths[path].Post.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: schema, Example: map[string]any{
			"name": "October math tutor", "purpose": export.RecipeEvaluation, "source": "recipe", "app_id": "math-tutor",
			"selection": map[string]any{"limit": 1000},
		}},
	}}
}

// describeEvents describes the body of a route that takes run events.
func (a *API) describeEvents(path string) {
	one := &huma.Schema{Title: "Run event",
		Description: "A CloudEvent in structured mode, or its data with `type` beside the keys."}
	for _, e := range []struct{ name, eventType string }{{"Run", runs.TypeRun}, {"NodeRun", runs.TypeNode},
		{"Feedback", runs.TypeFeedback}} {
		one.AnyOf = append(one.AnyOf, a.schemaOf(e.name+"Event", e.eventType, nil))
	}
	one.AnyOf = append(one.AnyOf, &huma.Schema{
		Type: "object", Title: "CloudEvent", Required: []string{"specversion", "type", "data"}, AdditionalProperties: true,
		Properties: map[string]*huma.Schema{"specversion": {Type: "string"}, "type": {Type: "string"},
			"data": {Type: "object", AdditionalProperties: true}},
	})
	a.api.OpenAPI().Components.Schemas.Map()["RunEvent"] = one
	ref := &huma.Schema{Ref: "#/components/schemas/RunEvent"}
	a.api.OpenAPI().Paths[path].Post.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json":             {Schema: &huma.Schema{OneOf: []*huma.Schema{ref, {Type: "array", Items: ref}}}},
		"application/cloudevents+json": {Schema: ref},
		"application/x-ndjson":         {Schema: &huma.Schema{Type: "string", Description: "One event a line."}},
	}}
}

// describeRefusals adds the 400 of a bad workspace header and the 429 of a workspace that asks for too
// much to every operation that needs a scope.
func (a *API) describeRefusals() {
	for _, item := range a.api.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Delete} {
			if op == nil || len(op.Security) == 0 {
				continue
			}
			for _, status := range []int{http.StatusBadRequest, http.StatusTooManyRequests} {
				if code := strconv.Itoa(status); op.Responses[code] == nil {
					refused := *op.Responses["401"]
					refused.Description = http.StatusText(status)
					op.Responses[code] = &refused
				}
			}
		}
	}
}

// finishSpec serves the document as it is now.
func (a *API) finishSpec() {
	paths := a.api.OpenAPI().Paths
	for path, item := range paths { // OpenAPI has no notation for the rest of a path
		if plain := strings.ReplaceAll(path, "...}", "}"); plain != path {
			delete(paths, path)
			paths[plain] = item
		}
	}
	a.describeRefusals()
	document, err := json.Marshal(a.api.OpenAPI())
	if err != nil {
		panic(err) // the types are plain
	}
	yaml, err := a.api.OpenAPI().YAML()
	if err != nil {
		panic(err)
	}
	serve := func(pattern, contentType string, body []byte) {
		a.mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Cache-Control", "no-cache")
			w.Write(body) //nolint:errcheck // the client is gone
		})
	}
	serve("GET /openapi.json", "application/json", document)
	serve("GET /openapi.yaml", "application/yaml", yaml)
}
