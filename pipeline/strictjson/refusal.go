package strictjson

import (
	"strconv"
	"strings"
)

// Code says why a record was refused: the value of the millrace_error header.
type Code string

// The codes of the event contract.
const (
	InvalidJSON      Code = "invalid_json"
	InvalidUTF8      Code = "invalid_utf8"
	DuplicateKey     Code = "duplicate_key"
	UnknownType      Code = "unknown_type"
	MissingField     Code = "missing_field"
	WrongType        Code = "wrong_type"
	OutOfRange       Code = "out_of_range"
	BadID            Code = "bad_id"
	TooLarge         Code = "too_large"
	TooDeep          Code = "too_deep"
	NulCharacter     Code = "nul_character"
	ClockSkew        Code = "clock_skew"
	RowRefused       Code = "row_refused"
	ExportIDConflict Code = "export_id_conflict"
	UnknownExport    Code = "unknown_export"
)

// Codes are all codes.
var Codes = []Code{
	InvalidJSON, InvalidUTF8, DuplicateKey, UnknownType, MissingField, WrongType, OutOfRange, BadID, TooLarge, TooDeep,
	NulCharacter, ClockSkew, RowRefused, ExportIDConflict, UnknownExport,
}

// Refusal says why a document is refused. It contains no value of the document, only the pointer,
// which is made of the document's keys, and the rule of the contract.
type Refusal struct {
	Code    Code
	Pointer string // RFC 6901, "" is the whole document
	Rule    string // what to change
}

func (e *Refusal) Error() string { return string(e.Code) + ": " + e.Detail() }

// Detail returns the pointer and the rule: the value of the millrace_error_detail header.
func (e *Refusal) Detail() string {
	if e.Pointer == "" {
		return e.Rule
	}
	return e.Pointer + ": " + e.Rule
}

// maxPointer bounds the pointer of a refusal, in bytes: the keys of a document may have any length.
const maxPointer = 512

// Refuse returns a refusal of the value at the cursor.
func (r *Reader) Refuse(code Code, rule string) error {
	return &Refusal{Code: code, Pointer: r.Pointer(), Rule: rule}
}

// RefuseField returns a refusal of a field of the object at the cursor.
func (r *Reader) RefuseField(code Code, field, rule string) error {
	return &Refusal{Code: code, Pointer: r.Pointer() + "/" + escapePointer(field), Rule: rule}
}

// Pointer returns the JSON pointer (RFC 6901) of the value at the cursor. Control characters are
// replaced, and a long pointer is cut at 512 bytes.
func (r *Reader) Pointer() string {
	var p strings.Builder
	p.WriteString(r.prefix)
	for _, s := range r.path {
		p.WriteByte('/')
		if s.index >= 0 {
			p.WriteString(strconv.Itoa(s.index))
		} else {
			p.WriteString(escapePointer(s.key))
		}
		if p.Len() > maxPointer {
			return strings.ToValidUTF8(p.String()[:maxPointer], "") + "…"
		}
	}
	return p.String()
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func escapePointer(key string) string {
	if len(key) > maxPointer {
		key = key[:maxPointer]
	}
	key = strings.Map(func(c rune) rune {
		if c < 0x20 || c == 0x7f {
			return '\uFFFD'
		}
		return c
	}, key)
	return pointerEscapes.Replace(strings.ToValidUTF8(key, "\uFFFD"))
}

func (r *Reader) unexpected(got, want Kind) error {
	if got == Invalid {
		return r.syntax(want.String())
	}
	return r.WrongType("must be " + want.String() + ", not " + got.String())
}

// WrongType returns a refusal of the value at the cursor because of its type. If the value is not
// JSON, the refusal says so instead.
func (r *Reader) WrongType(rule string) error {
	depth := len(r.path)
	if err := r.Skip(); err != nil {
		return err
	}
	r.path = r.path[:depth]
	return r.Refuse(WrongType, rule)
}

func (r *Reader) syntax(want string) error {
	place := "at byte " + strconv.Itoa(r.i)
	if r.i >= len(r.b) {
		place = "at the end of the document"
	}
	return r.Refuse(InvalidJSON, "not JSON (RFC 8259): expected "+want+" "+place)
}
