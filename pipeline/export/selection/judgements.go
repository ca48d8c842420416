package selection

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// judgements reads what [columns.Packed] has.
func judgements(expression string, to *[]record.Judgement) field {
	c := &judgementColumn{}
	return field{alias(expression), expression, c, func(i int) {
		from := 0
		if i > 0 {
			from = c.ends[i-1]
		}
		*to = c.judgements[from:c.ends[i]:c.ends[i]]
	}, []*textColumn{&c.textColumn}}
}

// judgementColumn is a column of packed judgements. They are views of its texts.
type judgementColumn struct {
	textColumn
	judgements []record.Judgement
	ends       []int // of the judgements of each row
}

// DecodeColumn implements [proto.ColResult].
func (c *judgementColumn) DecodeColumn(r *proto.Reader, rows int) (err error) {
	c.judgements, c.ends = c.judgements[:0], c.ends[:0]
	if err := c.textColumn.DecodeColumn(r, rows); err != nil {
		return err
	}
	for i := range rows {
		if c.judgements, err = unpack(c.judgements, view(&c.textColumn, i)); err != nil {
			return err
		}
		c.ends = append(c.ends, len(c.judgements))
	}
	return nil
}

// errPacked is the error of a text that this version did not write.
var errPacked = errors.New("a text of judgements is cut or has an unknown form: another version of Millrace wrote it")

// unpack appends the judgements of a packed text, as views of it.
func unpack(list []record.Judgement, packed []byte) ([]record.Judgement, error) {
	p := unpacker{rest: packed}
	for len(p.rest) > 0 {
		j := record.Judgement{FeedbackID: p.text(), Name: p.text(), Kind: p.text(), Rating: p.text()}
		if bits, ok := p.nullable(); ok {
			j.Score = record.Null[float64]{Value: math.Float64frombits(bits), Valid: true}
		}
		j.Comment = p.text()
		for range p.length() {
			j.Tags = append(j.Tags, p.text())
		}
		j.CorrectedAnswer, j.CreatedBy = p.text(), p.text()
		if milliseconds, ok := p.nullable(); ok {
			j.CreatedAt = record.Null[int64]{Value: int64(milliseconds), Valid: true} //nolint:gosec // it is signed
		}
		if p.broken {
			return list, errPacked
		}
		list = append(list, j)
	}
	return list, nil
}

// unpacker reads values of RowBinary. Once broken, all of them are empty.
type unpacker struct {
	rest   []byte
	broken bool
}

func (p *unpacker) take(n int) []byte {
	if n > len(p.rest) {
		p.rest, p.broken = nil, true
		return nil
	}
	taken := p.rest[:n:n]
	p.rest = p.rest[n:]
	return taken
}

// length returns the length of what follows: of a text in bytes, or of a list, each value of which
// takes at least a byte.
func (p *unpacker) length() int {
	n, size := binary.Uvarint(p.rest)
	if size <= 0 || n > uint64(len(p.rest)-size) {
		p.rest, p.broken = nil, true
		return 0
	}
	p.rest = p.rest[size:]
	return int(n) //nolint:gosec // the length of a slice bounds it
}

func (p *unpacker) text() []byte { return p.take(p.length()) }

// nullable returns a value of 8 bytes, or not ok for NULL.
func (p *unpacker) nullable() (bits uint64, ok bool) {
	switch flag := p.take(1); {
	case flag == nil, flag[0] == 1:
		return 0, false
	case flag[0] != 0:
		p.rest, p.broken = nil, true
		return 0, false
	}
	value := p.take(8)
	if value == nil {
		return 0, false
	}
	return binary.LittleEndian.Uint64(value), true
}
