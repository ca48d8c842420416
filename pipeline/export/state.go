package export

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// State is how far an export is, or how it ended. Its tags derive every form of it:
//
//	json   the field in answers of the API
//	ch     the column of export_events
//	event  the field in the data of events: a name where it is not that of json, the event that has it where
//	       only one of progressed and completed does, and omitempty
//
// Every list and map is there, though it may be empty; Warnings is nil before the end.
type State struct {
	ID
	Name           string     `json:"name" ch:"name" event:",omitempty" doc:"Name for people."`
	Purpose        string     `json:"purpose" ch:"purpose" event:",omitempty"`
	Source         string     `json:"source" ch:"source" event:",omitempty"`
	AppID          string     `json:"app_id" ch:"app_id" event:",omitempty"`
	Nodes          []string   `json:"nodes" ch:"nodes" event:",omitempty"`
	Target         string     `json:"target" ch:"target" event:",omitempty"`
	Format         string     `json:"format" ch:"format" event:",omitempty"`
	RequestedBy    string     `json:"requested_by" ch:"requested_by" event:",omitempty"`
	OnBehalfOf     string     `json:"on_behalf_of" ch:"on_behalf_of" event:",omitempty" doc:"For whom requested_by asked; nobody verified it."`
	RequestedAt    time.Time  `json:"requested_at" ch:"requested_at" event:""`
	Status         Status     `json:"status" ch:"status" event:"" enum:"accepted,running,succeeded,failed,cancelled"`
	PercentDone    float64    `json:"percent_done" ch:"percent_done" event:",progressed" doc:"0 to 100, never falling."`
	RowsDone       int64      `json:"rows_done" ch:"rows_done" event:",progressed"`
	RowsPlanned    int64      `json:"rows_planned" ch:"rows_planned" event:""`
	RowsUsed       int64      `json:"rows_used" ch:"rows_used" event:",completed"`
	Vanished       int64      `json:"vanished" ch:"vanished" event:",completed,omitempty"`
	Records        int64      `json:"records" ch:"records" event:""`
	WindowsDone    int64      `json:"windows_done" ch:"windows_done" event:",progressed"`
	WindowsPlanned int64      `json:"windows_planned" ch:"windows_planned" event:",progressed"`
	Fragments      int64      `json:"fragments" ch:"fragments" event:""`
	Bytes          int64      `json:"bytes" ch:"bytes" event:""`
	Dropped        Counts     `json:"dropped" ch:"dropped" event:"" doc:"Source rows left out so far, by reason."`
	ManifestURI    string     `json:"manifest_uri" ch:"manifest_uri" event:",completed"`
	ManifestSHA256 string     `json:"manifest_sha256" ch:"manifest_sha256" event:",completed"`
	Watermark      *time.Time `json:"watermark" ch:"watermark" event:",completed,omitempty" doc:"The from of the next incremental export."`
	LoadWith       string     `json:"load_with" ch:"load_with" event:",completed,omitempty"`
	Warnings       Warnings   `json:"warnings" ch:"warnings" event:",completed"`
	ErrorCode      string     `json:"error_code" ch:"error_code"`
	ErrorMessage   string     `json:"error_message" ch:"error_message"`
	ErrorRetryable bool       `json:"error_retryable" ch:"error_retryable"`
	ErrorPointer   string     `json:"error_pointer" ch:"error_pointer"`
	// Mistakes are those of a refused request that has more than one. Only events have them.
	Mistakes    []Mistake  `json:"-"`
	AcceptedAt  *time.Time `json:"accepted_at" ch:"accepted_at" event:",completed,omitempty"`
	CompletedAt *time.Time `json:"completed_at" ch:"completed_at" event:",completed"`
	UpdatedAt   time.Time  `json:"updated_at" ch:"at" event:"at,progressed"`
	// Cancelling and Retrying are of exports that have not ended. Table export_notices has them.
	Cancelling bool      `json:"cancelling" event:"cancelling,progressed,omitempty" doc:"Somebody asked to cancel it, and it has not ended yet."`
	Retrying   *Retrying `json:"retrying,omitempty" event:"retrying,progressed,omitempty" doc:"What is tried again, while something is."`
	// Partial means that the state tells nothing but its identity, Cancelling and Retrying: readers
	// keep what they know of the other fields.
	Partial bool `json:"-"`
}

// newState returns the state of a planned export of which nothing is done.
func newState(p *Plan, status Status, updatedAt time.Time) State {
	r := p.Request
	s := State{
		ID: p.ID, Name: r.Name, Purpose: r.Purpose, Source: r.Source, AppID: r.AppID.String(),
		Nodes: r.Nodes, Target: r.Target,
		Format: r.Format, RequestedBy: r.RequestedBy, OnBehalfOf: r.OnBehalfOf, RequestedAt: p.RequestedAt, Status: status,
		UpdatedAt: updatedAt,
	}
	s.complete()
	return s
}

// complete sets what follows from the other fields, where an event does not have it.
func (s *State) complete() {
	if s.Nodes == nil {
		s.Nodes = []string{}
	}
	if s.Dropped == nil {
		s.Dropped = Counts{}
	}
	if s.CompletedAt != nil {
		s.UpdatedAt = *s.CompletedAt
	}
	if s.Status == StatusSucceeded {
		s.PercentDone, s.RowsDone = 100, s.RowsPlanned
	}
}

// Failure returns why the export failed; nil where it did not.
func (s *State) Failure() *Error {
	if s.ErrorCode == "" {
		return nil
	}
	return &Error{
		Code: s.ErrorCode, Message: s.ErrorMessage, Retryable: s.ErrorRetryable, Pointer: s.ErrorPointer,
		Mistakes: s.Mistakes,
	}
}

func (s *State) setFailure(e *Error) {
	if e != nil {
		s.ErrorCode, s.ErrorMessage, s.ErrorRetryable, s.ErrorPointer = e.Code, e.Message, e.Retryable, e.Pointer
		s.Mistakes = e.Mistakes
	}
}

// StateColumns are the columns of export_events that State has, in the order of its fields.
var StateColumns = stateColumns(reflect.TypeFor[State]())

// StateColumn is a column of export_events. Counts of rows, records and bytes are UInt64 there and
// int64 in State.
type StateColumn struct {
	Name string
	Kind reflect.Kind // of the field
}

func stateColumns(t reflect.Type) (columns []StateColumn) {
	for _, f := range reflect.VisibleFields(t) {
		if name := f.Tag.Get("ch"); name != "" {
			columns = append(columns, StateColumn{name, f.Type.Kind()})
		}
	}
	return columns
}

// Counts are numbers of source rows by reason; a Map(String, UInt64) in ClickHouse.
type Counts map[string]int64

// Value returns what ClickHouse stores.
func (c Counts) Value() (driver.Value, error) {
	stored := make(map[string]uint64, len(c))
	for reason, n := range c {
		stored[reason] = uint64(n)
	}
	return stored, nil
}

// Scan reads what ClickHouse stores.
func (c *Counts) Scan(stored any) error {
	counts, ok := stored.(map[string]uint64)
	if !ok {
		return fmt.Errorf("scan counts: a %T is no map of numbers", stored)
	}
	*c = make(Counts, len(counts))
	for reason, n := range counts {
		(*c)[reason] = int64(n)
	}
	return nil
}

// Warnings are what the reader of the data set should know. They are [] in JSON where they are nil.
// ClickHouse stores the JSON, and an empty text for nil.
type Warnings []Warning

// MarshalJSON never writes null.
func (w Warnings) MarshalJSON() ([]byte, error) {
	if w == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]Warning(w))
}

// Value returns what ClickHouse stores.
func (w Warnings) Value() (driver.Value, error) {
	if w == nil {
		return "", nil
	}
	text, err := json.Marshal([]Warning(w))
	return string(text), err
}

// Scan reads what ClickHouse stores.
func (w *Warnings) Scan(stored any) error {
	*w = nil
	text, ok := stored.(string)
	if !ok {
		return fmt.Errorf("scan warnings: a %T is no text", stored)
	}
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), (*[]Warning)(w)); err != nil {
		return fmt.Errorf("scan warnings: %w", err)
	}
	return nil
}

// Value returns what ClickHouse stores.
func (s Status) Value() (driver.Value, error) { return string(s), nil }

// Scan reads what ClickHouse stores.
func (s *Status) Scan(stored any) error {
	text, ok := stored.(string)
	if !ok {
		return fmt.Errorf("scan a status: a %T is no text", stored)
	}
	*s = Status(text)
	return nil
}
