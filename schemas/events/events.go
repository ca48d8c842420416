// Package events holds the contract of Millrace's events: a JSON Schema 2020-12 and an example of
// the data of each event type, and an AsyncAPI document of the topics that carry them.
package events

import (
	"embed"
	"io/fs"
	"strings"
)

// FS holds, for each event type, <type>.schema.json and <type>.example.json, and asyncapi.yaml.
//
//go:embed *.json asyncapi.yaml
var FS embed.FS

const schemaSuffix = ".schema.json"

// Types returns the CloudEvents types that have a schema, in alphabetical order.
func Types() []string {
	names, _ := fs.Glob(FS, "*"+schemaSuffix) // the pattern is a constant, and valid
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, schemaSuffix)
	}
	return names
}

// Schema returns the JSON Schema of the data of an event type, and whether the type is one of
// [Types]. The $id of the schema is urn:millrace:schema:<type>.
func Schema(eventType string) ([]byte, bool) {
	schema, err := FS.ReadFile(eventType + schemaSuffix)
	return schema, err == nil
}
