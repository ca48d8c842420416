package client

import (
	"errors"
	"slices"
	"strings"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/targets"
	"github.com/millrace/millrace/pipeline/suggest"
)

// pointerFlags are the flags of request that set a field, by the pointer to the field. A pointer to
// what is inside a field has the flag of the field.
var pointerFlags = map[string]string{
	"/app_id": "--app", "/nodes": "--node", "/selection": "--limit, --run-id, or --from and --to",
	"/selection/run_ids": "--run-id", "/selection/limit": "--limit", "/selection/limit_runs": "--limit-runs",
	"/selection/window": "--from and --to", "/selection/window/from": "--from", "/selection/window/to": "--to",
	"/selection/window/by": "--by", "/workspace_id": "--workspace", "/options": "--option",
	"/filters/app_versions": "--version", "/filters/statuses": "--status", "/filters/models": "--model",
	"/filters/triggers": "--trigger", "/filters/error_types": "--error-type", "/filters/tags": "--tag",
	"/filters/scores": "--score", "/filters/session_id": "--session", "/filters/user_id": "--user",
}

// flagOf returns the flag of request that sets the field of a pointer.
func flagOf(pointer string) string {
	for at := pointer; at != ""; at = at[:strings.LastIndexByte(at, '/')] {
		if flag, ok := pointerFlags[at]; ok {
			return flag
		}
		field := strings.TrimPrefix(at, "/")
		field = strings.TrimPrefix(field, "filters/")
		if !strings.Contains(field, "/") {
			return "--" + strings.ReplaceAll(field, "_", "-")
		}
	}
	return pointer
}

// explain returns the error about a request that is not valid. The mistakes of a request that was
// typed name its flags, and the value that may be meant. Those of a file keep their pointers.
func (c Request) explain(err error) error {
	var mistakes export.Mistakes
	if c.File != "" || !errors.As(err, &mistakes) {
		return app.Usage("the request is not valid:\n%w", err)
	}
	lines := make([]string, len(mistakes))
	for i, m := range mistakes {
		lines[i] = m.Message
		if m.Pointer != "" {
			flag := flagOf(m.Pointer)
			lines[i] = flag + ": " + m.Message + DidYouMean(c.given(flag))
		}
	}
	return app.Usage("the request is not valid:\n%s", strings.Join(lines, "\n"))
}

// given returns the value of a flag, and the values that the flag may have.
func (c Request) given(flag string) (value string, values []string) {
	values = ValuesOf(strings.TrimPrefix(flag, "--"), suggest.Nearest(c.Purpose, format.Purposes))
	for name, value := range map[string]string{"--source": c.Source, "--purpose": c.Purpose, "--target": c.Target,
		"--format": c.Format, "--compression": c.Compression, "--rating": c.Rating, "--by": c.By,
		"--status": strings.Join(c.Status, " ")} {
		if name == flag && !slices.Contains(values, value) {
			return value, values
		}
	}
	return "", nil
}

// ValuesOf returns the values of a flag or an argument that has few, or nil. Those of target are for
// a purpose; without one, they are those of all purposes.
func ValuesOf(name, purpose string) []string {
	switch name {
	case "source":
		return []string{"copilot", "recipe"}
	case "purpose":
		return format.Purposes
	case "target":
		return targetNames(purpose)
	case "format":
		return []string{export.JSONL, "json", export.CSV, export.Parquet}
	case "compression":
		return []string{"none", "gzip", "zstd"}
	case "status":
		return []string{"running", "succeeded", "failed", "cancelled"}
	case "rating":
		return []string{"thumbsUp", "thumbsDown", "none", "notThumbsDown"}
	case "by":
		return []string{"started_at", "ingested_at"}
	case "as":
		return []string{asOpenAIChat}
	}
	return nil
}

func targetNames(purpose string) (names []string) {
	purposes := []string{purpose}
	if !slices.Contains(format.Purposes, purpose) {
		purposes = format.Purposes
	}
	for _, p := range purposes {
		for _, t := range targets.Targets(p) {
			if !slices.Contains(names, t.Name) {
				names = append(names, t.Name)
			}
		}
	}
	return names
}
