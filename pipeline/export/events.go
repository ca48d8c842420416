package export

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Progress is the event that tells how far an export is.
type Progress struct{ State }

// Completion is the event that tells how an export ended. A read_committed consumer sees exactly
// one for each export (invariant 7).
type Completion struct{ State }

// NewProgress returns the progress of an export whose finished windows sum up to t.
func NewProgress(p *Plan, status Status, t *Tally, updatedAt time.Time) *Progress {
	s := newState(p, status, updatedAt)
	s.RowsDone, s.RowsPlanned, s.Records, s.Fragments, s.Bytes = t.Rows, p.Rows, t.Records, t.Fragments, t.Bytes
	s.WindowsDone, s.WindowsPlanned = int64(t.Windows), int64(len(p.Windows))
	maps.Copy(s.Dropped, t.Dropped)
	if s.WindowsDone == s.WindowsPlanned { // the rows that were read replace the estimate
		s.RowsPlanned = t.Rows
	}
	switch {
	case s.WindowsDone == s.WindowsPlanned && t.Windows > 0:
		s.PercentDone = 100
	case s.RowsPlanned > 0:
		s.PercentDone = min(100, float64(s.RowsDone)*100/float64(s.RowsPlanned))
	}
	return &Progress{s}
}

// NewCompletion returns the completion of an export whose plan and manifest are in the bucket. It
// is a pure function of the two, so that a completion that is sent again is the same. Manifest is
// the text of manifest.json, and uri is its address for users. LoadWith is the function LoadWith of
// package card.
func NewCompletion(p *Plan, manifest []byte, uri string,
	loadWith func(m *Manifest, folder string) string) (*Completion, error) {
	var m Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, err
	}
	s := newState(p, m.Status, m.CreatedAt)
	s.RowsPlanned, s.RowsUsed, s.Vanished = m.Totals.RowsPlanned, m.Totals.RowsUsed, m.Totals.Vanished
	s.Dropped = m.Dropped
	s.Records, s.Fragments, s.Bytes = m.Totals.Records, m.Totals.Files, m.Totals.Bytes
	s.ManifestURI, s.ManifestSHA256, s.Warnings = uri, HashText(manifest), m.Warnings
	s.Watermark, s.AcceptedAt, s.CompletedAt = optional(m.Watermark), optional(p.AcceptedAt), &m.CreatedAt
	s.setFailure(m.Error)
	if m.Status == StatusSucceeded {
		s.LoadWith = loadWith(&m, strings.TrimSuffix(uri, ManifestName))
	}
	s.complete()
	return &Completion{s}, nil
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

var (
	progressedFields = eventFields("progressed")
	completedFields  = eventFields("completed")
)

// MarshalJSON writes the data of the event.
func (p Progress) MarshalJSON() ([]byte, error) { return p.marshal(progressedFields) }

// UnmarshalJSON reads the data of the event.
func (p *Progress) UnmarshalJSON(text []byte) error {
	if err := p.unmarshal(text, progressedFields); err != nil {
		return err
	}
	var counts struct {
		PercentDone *float64 `json:"percent_done"`
	}
	if err := json.Unmarshal(text, &counts); err != nil {
		return err
	}
	p.Partial = counts.PercentDone == nil
	if p.Retrying != nil {
		p.Retrying.At = p.UpdatedAt
	}
	return nil
}

// MarshalJSON writes the data of the event.
func (c Completion) MarshalJSON() ([]byte, error) {
	text, err := c.marshal(completedFields)
	if err != nil {
		return nil, err
	}
	failure, err := json.Marshal(c.Failure())
	if err != nil {
		return nil, err
	}
	return slices.Concat(text[:len(text)-1], []byte(`,"error":`), failure, []byte{'}'}), nil
}

// UnmarshalJSON reads the data of the event.
func (c *Completion) UnmarshalJSON(text []byte) error {
	if err := c.unmarshal(text, completedFields); err != nil {
		return err
	}
	var doc struct {
		Error *Error `json:"error"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return err
	}
	c.setFailure(doc.Error)
	return nil
}

// eventField is a field of State in the data of an event.
type eventField struct {
	name      string
	index     []int // of reflect.Value.FieldByIndex
	omitEmpty bool
}

// eventFields returns the fields of an event, progressed or completed.
func eventFields(event string) (fields []eventField) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[State]()) {
		tag, ok := f.Tag.Lookup("event")
		if !ok {
			continue
		}
		parts := strings.Split(tag, ",")
		name, options := parts[0], parts[1:]
		if name == "" {
			name = f.Tag.Get("json")
		}
		both := !slices.Contains(options, "progressed") && !slices.Contains(options, "completed")
		if both || slices.Contains(options, event) {
			fields = append(fields, eventField{name, f.Index, slices.Contains(options, "omitempty")})
		}
	}
	return fields
}

// marshal writes the fields as an object.
func (s *State) marshal(fields []eventField) ([]byte, error) {
	doc := []byte{'{'}
	for _, f := range fields {
		value := reflect.ValueOf(s).Elem().FieldByIndex(f.index)
		if (f.omitEmpty || s.Partial) && (value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0) {
			continue
		}
		text, err := json.Marshal(value.Interface())
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", f.name, err)
		}
		if len(doc) > 1 {
			doc = append(doc, ',')
		}
		doc = append(append(append(doc, '"'), f.name...), `":`...)
		doc = append(doc, text...)
	}
	return append(doc, '}'), nil
}

// unmarshal reads the fields of an object, and ignores its other ones.
func (s *State) unmarshal(text []byte, fields []eventField) error {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(text, &doc); err != nil {
		return err
	}
	for _, f := range fields {
		if value, ok := doc[f.name]; ok {
			if err := json.Unmarshal(value, reflect.ValueOf(s).Elem().FieldByIndex(f.index).Addr().Interface()); err != nil {
				return fmt.Errorf("read %s: %w", f.name, err)
			}
		}
	}
	s.complete()
	return nil
}
