// Package audit is the trail: who did what, to which export or run, from where, and with which
// outcome. It never has contents of runs or exports.
//
//	audit.go    Entry, and its event
//	trail.go    Trail: writing entries to Kafka
//	refused.go  Refusals: which refused calls are written
//	stored.go   Stored: what ClickHouse has
//
// Servers, plan and seal write topic audit, and stage track copies the topic to table audit.
package audit

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/strictjson"
)

// EventType is the CloudEvents type of entries.
const EventType = "dev.millrace.audit.v1"

// Actions.
const (
	Filed      = "filed"
	Cancelled  = "cancelled"
	Deleted    = "deleted"
	Ended      = "ended"
	Viewed     = "viewed"
	Downloaded = "downloaded"
	SignedIn   = "signed_in"
	SignedOut  = "signed_out"
	Refused    = "refused"
)

// Actions are all actions.
var Actions = []string{Filed, Cancelled, Deleted, Ended, Viewed, Downloaded, SignedIn, SignedOut, Refused}

// Outcomes that are no status and no code of an error.
const (
	OK        = "ok"
	SignedURL = "signed_url" // a URL was handed out that needs no token
)

// Entry is an entry of the trail. The tags json are the fields of its event, and ch the columns of
// table audit.
type Entry struct {
	At          time.Time `json:"at" ch:"at"`
	WorkspaceID string    `json:"workspace_id" ch:"workspace_id" doc:"Empty for a call whose caller is not known."`
	Subject     string    `json:"subject" ch:"subject" doc:"Who: the subject of the token, or the name that a request gave; empty if not known."`
	OnBehalfOf  string    `json:"on_behalf_of,omitempty" ch:"on_behalf_of" doc:"For whom, as the request said; nobody verified it."`
	Action      string    `json:"action" ch:"action" enum:"filed,cancelled,deleted,ended,viewed,downloaded,signed_in,signed_out,refused"`
	Outcome     string    `json:"outcome" ch:"outcome" doc:"ok, or how else it went: a status, an error code, signed_url."`
	ExportID    string    `json:"export_id,omitempty" ch:"export_id"`
	RunID       string    `json:"run_id,omitempty" ch:"run_id"`
	File        string    `json:"file,omitempty" ch:"file" doc:"The file of the export, by its key."`
	Operation   string    `json:"operation,omitempty" ch:"operation" doc:"The operation of the HTTP API, or the page."`
	Address     string    `json:"address,omitempty" ch:"address" doc:"From where: an address of the network, or topic/partition/offset."`
	Via         string    `json:"via" ch:"via" enum:"serve,plan,seal" doc:"Who tells."`
	Count       uint64    `json:"count" ch:"count" doc:"How often it happened; refusals of one address are told once a minute."`

	ID string `json:"-" ch:"id"` // of the event; Record makes one where it is empty
}

// maxText bounds the texts of an entry, in bytes: names in requests may be long.
const maxText = 256

// Record returns the record of the entry. Source is the CloudEvents source.
func (e Entry) Record(topicPrefix, source string) *kgo.Record {
	e.At = e.At.UTC().Truncate(time.Microsecond)
	e.Count = max(1, e.Count)
	for _, text := range []*string{&e.Subject, &e.OnBehalfOf, &e.Address} {
		*text = cut(*text, maxText)
	}
	e.File = cut(e.File, 4*maxText) // the longest key of an object
	data, err := json.Marshal(e)
	if err != nil {
		panic(err) // the types are plain
	}
	return event.Event{ID: cmp.Or(e.ID, uuid.NewString()), Source: source, Type: EventType, Time: e.At, Data: data}.
		Record(topicPrefix+event.TopicAudit, []byte(e.WorkspaceID+"/"+e.Subject))
}

// Decode returns the entry of an event whose data is valid JSON. The error is a *strictjson.Refusal.
func Decode(e *event.Event) (*Entry, error) {
	if e.Type != EventType {
		return nil, &strictjson.Refusal{Code: strictjson.UnknownType, Pointer: "/type", Rule: "must be " + EventType}
	}
	entry := &Entry{ID: e.ID, At: e.Time, Count: 1}
	if json.Unmarshal(e.Data, entry) != nil {
		return nil, &strictjson.Refusal{Code: strictjson.WrongType, Rule: "is not the data of " + EventType}
	}
	if !slices.Contains(Actions, entry.Action) {
		return nil, &strictjson.Refusal{Code: strictjson.WrongType, Pointer: "/action",
			Rule: "must be one of " + strings.Join(Actions, ", ")}
	}
	return entry, nil
}

// cut returns the first n bytes of a text, without half a letter.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
