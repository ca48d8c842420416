// Package export holds what an export is made of: the request and its rules, the plan, windows and
// their results, the manifest, and the events that tell how far it is and how it ended. It is pure: it
// knows neither Kafka nor ClickHouse nor the bucket; those are in its stages.
//
//	request.go     Request: what is asked for, normalised, and its hash
//	parse.go       a request from JSON, with all its mistakes at once
//	fields.go      its typed fields
//	rules.go       limits and defaults of requests; purposes and targets are those of package format
//	plan.go        Plan, Window, Result, WindowManifest: what the stages tell each other
//	manifest.go    Manifest: the commit point of every outcome
//	deletion.go    Deletion: that somebody deleted its files
//	state.go       State: how far an export is, or how it ended
//	events.go      Progress, Completion, Cancel: what everybody else is told
//	keys.go        where an export's objects are in the bucket
//
// The stages are plan, extract, seal and track; package flow tests them together. They share message, the
// Kafka records, and folder, the documents in the bucket. Package format writes the records of data sets,
// and package card what describes their files.
package export

import (
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// CloudEvents types of exports.
const (
	TypeRequested  = "dev.millrace.export.requested.v1"
	TypeCancelled  = "dev.millrace.export.cancelled.v1"
	TypeProgressed = "dev.millrace.export.progressed.v1"
	TypeCompleted  = "dev.millrace.export.completed.v1"
)

// Types of the messages between the stages. They are Millrace's own and may change with any release.
const (
	TypeWindow = "dev.millrace.internal.export.window"
	TypeResult = "dev.millrace.internal.export.result"
)

// Names of the stages of exports, which are also their consumer groups.
const (
	StagePlan    = "plan"
	StageExtract = "extract"
	StageSeal    = "seal"
	StageTrack   = "track"
)

// EventSource is the CloudEvents source of the events about exports.
const EventSource = "/millrace/export"

// ID names an export: the pair is its identity.
type ID struct {
	WorkspaceID string `json:"workspace_id" ch:"workspace_id" event:""`
	ExportID    string `json:"export_id" ch:"export_id" event:""`
}

func (id ID) String() string { return id.WorkspaceID + "/" + id.ExportID }

// Key is the key of the export's records in Kafka.
func (id ID) Key() []byte { return []byte(id.String()) }

// WindowKey is the key of a window's record in Kafka, so that the windows of one export spread over the
// partitions.
func (id ID) WindowKey(window int) []byte { return []byte(id.String() + "/" + strconv.Itoa(window)) }

// namespace is that of all UUIDs that Millrace derives, b0759858-e76b-5bf2-83cd-2b119a052fbf.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/millrace/millrace"))

// CompletionID is the id of the export's completion event: UUIDv5(namespace, workspace/export). No
// record's id can be the same, since their names have more parts.
func (id ID) CompletionID() string { return uuid.NewSHA1(namespace, []byte(id.String())).String() }

// Mistake is one thing that is wrong with a request.
type Mistake struct {
	Code    string `json:"code"`
	Pointer string `json:"pointer"` // RFC 6901, into the request
	Message string `json:"message"` // what to change
}

// Codes of mistakes beside those of package strictjson.
const (
	UnknownField = "unknown_field"
	NotPossible  = "not_possible" // fields that do not go together
)

// Mistakes are all that is wrong with a request.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, one := range m {
		lines[i] = one.String()
	}
	return strings.Join(lines, "; ")
}

func (m Mistake) String() string {
	if m.Pointer == "" {
		return m.Message
	}
	return m.Pointer + ": " + m.Message
}

// Error is why an export failed.
type Error struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"` // whether the same request under a new export_id may succeed
	Pointer   string `json:"pointer,omitempty"`
	// Mistakes are all mistakes of a request that has more than one; Code and Pointer are the first's.
	Mistakes []Mistake `json:"errors,omitempty"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Refusal returns the mistakes as the error of the export that they refuse.
func (m Mistakes) Refusal() *Error {
	e := &Error{Code: m[0].Code, Pointer: m[0].Pointer, Message: m.Error()}
	if len(m) == 1 {
		e.Message = m[0].Message
	} else {
		e.Mistakes = m
	}
	return e
}
