// Package export defines the documents of an export: the request and its rules, the plan, windows
// and their results, the manifest, and the events about progress and completion. The package is
// pure: only the stages use Kafka, ClickHouse and the bucket.
//
//	export.go      ID: the identity of an export; mistakes and errors
//	request.go     Request: normalised, and its hash
//	filters.go     Filters: the conditions on source rows
//	parse.go       ParseRequest, ParseCancel: JSON to requests, with all mistakes at once
//	fields.go      the typed fields of a request
//	rules.go       limits and defaults of requests; package format defines purposes and targets
//	plan.go        Plan, Window, Result, WindowManifest: messages and documents of the stages
//	manifest.go    Manifest: the commit point of every outcome
//	cancellation.go  Cancellation: the record that somebody asked to cancel
//	deletion.go    Deletion: the record that somebody deleted the files
//	state.go       State: how far an export is, or how it ended
//	notice.go      Retrying, and progress that tells of cancels and retries alone
//	events.go      Progress, Completion: State as the data of events
//	command.go     CommandLine: a request as a command
//	keys.go        names of an export's objects in the bucket
//
// The stages are plan, extract, seal and track; package flow tests them together. They share
// package message for Kafka records and package folder for documents in the bucket. Package format
// writes the records of data sets, and package card describes their files.
package export

import (
	"crypto/sha256"
	"fmt"
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

// Types of the messages between the stages. They are internal, and may change with any release.
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

// PlanLanes is the number of consumer groups of plan, each of which plans the requests of a part of the
// workspaces. A workspace delays those of its own lane alone, whatever it asks for.
const PlanLanes = 8

// LargeGroup is the consumer group of plan that plans large requests.
const LargeGroup = StagePlan + "-large"

// PlanGroups are the names of the consumer groups of plan, without the prefix: those of the lanes, in their order,
// and then LargeGroup, to which the lanes hand requests over.
func PlanGroups() []string {
	groups := []string{StagePlan}
	for lane := 1; lane < PlanLanes; lane++ {
		groups = append(groups, fmt.Sprintf("%s-%d", StagePlan, lane))
	}
	return append(groups, LargeGroup)
}

// PlanLane returns the lane of plan that plans the requests of a workspace.
func PlanLane(workspace string) int {
	sum := sha256.Sum256([]byte(workspace))
	return int(sum[0]) % PlanLanes
}

// EventSource is the CloudEvents source of the events about exports.
const EventSource = "/millrace/export"

// ID is the identity of an export.
type ID struct {
	WorkspaceID string `json:"workspace_id" ch:"workspace_id" event:""`
	ExportID    string `json:"export_id" ch:"export_id" event:""`
}

func (id ID) String() string { return id.WorkspaceID + "/" + id.ExportID }

// Key returns the key of the export's records in Kafka.
func (id ID) Key() []byte { return []byte(id.String()) }

// WindowKey returns the key of a window's record in Kafka. The windows of one export have different
// keys, so that they spread over the partitions of the workspace, see package message.
func (id ID) WindowKey(window int) []byte { return []byte(id.String() + "/" + strconv.Itoa(window)) }

// namespace is the namespace of all UUIDs that Millrace derives,
// b0759858-e76b-5bf2-83cd-2b119a052fbf.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/millrace/millrace"))

// CompletionID returns the id of the export's completion event: UUIDv5(namespace,
// workspace/export). Ids of records cannot collide with it, because their names have more parts.
func (id ID) CompletionID() string { return uuid.NewSHA1(namespace, []byte(id.String())).String() }

// Mistake is one thing that is wrong with a request.
type Mistake struct {
	Code    string `json:"code"`
	Pointer string `json:"pointer"` // RFC 6901, into the request
	Message string `json:"message"` // what to change
}

// Codes of mistakes, in addition to those of package strictjson.
const (
	UnknownField = "unknown_field"
	NotPossible  = "not_possible" // fields that exclude each other
)

// MaxMistakes is how many mistakes of a request are listed.
const MaxMistakes = 100

// Mistakes are the mistakes of a request, at most MaxMistakes.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, one := range m {
		lines[i] = one.String()
	}
	text := strings.Join(lines, "; ")
	if len(m) >= MaxMistakes {
		text += fmt.Sprintf("; no more than %d mistakes are listed", MaxMistakes)
	}
	return text
}

func (m Mistake) String() string {
	if m.Pointer == "" {
		return m.Message
	}
	return m.Pointer + ": " + m.Message
}

// Error is the reason why an export failed.
type Error struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"` // whether the same request under a new export_id may succeed
	Pointer   string `json:"pointer,omitempty"`
	// Mistakes lists the mistakes of a request that has more than one, at most MaxMistakes. Code and
	// Pointer are those of the first.
	Mistakes []Mistake `json:"errors,omitempty"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Refusal returns the mistakes as the error of the refused export.
func (m Mistakes) Refusal() *Error {
	e := &Error{Code: m[0].Code, Pointer: m[0].Pointer, Message: m.Error()}
	if len(m) == 1 {
		e.Message = m[0].Message
	} else {
		e.Mistakes = m
	}
	return e
}
