package event

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/pipeline/strictjson"
)

// MaxValue is the size of the largest value of a record, in bytes, unless Limits lower it.
const MaxValue = 32 << 20

// MaxSkew is how far ahead of the present an updated_at may be, unless Limits say otherwise.
const MaxSkew = 24 * time.Hour

// Limits bound run events. Of each, 0 is the limit of the contract: MaxValue, [strictjson.MaxString]
// and MaxSkew.
type Limits struct {
	Value  int           // bytes of a record's value
	String int           // bytes of a string after its escapes are resolved
	Skew   time.Duration // of updated_at ahead of the clock
}

// Latest returns the latest updated_at that is accepted at a time.
func (l Limits) Latest(now time.Time) time.Time { return now.Add(cmp.Or(l.Skew, MaxSkew)) }

// MaxValue returns the size of the largest value of a record, in bytes.
func (l Limits) MaxValue() int { return cmp.Or(l.Value, MaxValue) }

// CheckValue returns a *[strictjson.Refusal] if a record's value of this size is too large.
func (l Limits) CheckValue(size int64) error {
	if size <= int64(l.MaxValue()) {
		return nil
	}
	return &strictjson.Refusal{
		Code: strictjson.TooLarge,
		Rule: fmt.Sprintf("a record's value may have %d bytes; this one has %d", l.MaxValue(), size),
	}
}

// ReadLine returns the next line with its line feed, and its size without. A line that is longer than
// an event may be is nil, and was passed over. ReadLine calls more, unless it is nil, before it reads
// on behind each part of the buffer's size. The error is that of the reader, io.EOF at the end, or of
// more.
func (l Limits) ReadLine(r *bufio.Reader, more func(size int64) error) (line []byte, size int64, err error) {
	for {
		part, err := r.ReadSlice('\n')
		size += int64(len(bytes.TrimSuffix(part, []byte("\n"))))
		if l.CheckValue(size) != nil {
			line = nil
		} else {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, size, err
		}
		if more == nil {
			continue
		}
		if err := more(size); err != nil {
			return nil, size, err
		}
	}
}

const (
	// maxMessage is the size of the largest batch of records in the topics of Millrace's own
	// messages and of requests.
	maxMessage = 8 << 20
	// letterRoom is what a dead letter has beside its record: why it was refused.
	letterRoom = 1 << 20
)

// MaxMessage returns the max.message.bytes that a topic needs: the size of its largest batch of
// records as sent, which is compressed as a rule. Name has no prefix.
func (l Limits) MaxMessage(name string) int {
	switch name {
	case TopicRuns:
		return l.MaxValue()
	case TopicDeadLetters:
		return max(l.MaxValue(), maxMessage) + letterRoom
	}
	return maxMessage
}
