package format

import (
	"strconv"

	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Source is what a record of a group remembers of a row that it is made of.
type Source struct {
	startedAt  int64
	inputGroup []byte
	lineage    []byte
}

// Remember remembers what has to be known of a row, in the memory of the row before. Lineage makes the ids of records that
// have one, or is nil.
func (s *Source) Remember(row *record.Row, lineage *record.IDs) {
	s.startedAt, s.inputGroup, s.lineage = row.Subject().StartedAt, append(s.inputGroup[:0], row.InputGroup...), s.lineage[:0]
	if lineage != nil {
		s.lineage = appendLineage(s.lineage, row, lineage)
	}
}

// AppendLineage appends a line of the lineage: of is what a [Record] says of a row, file the name of the fragment that
// the record is in, and line its number there, from 1.
func AppendLineage(dst []byte, file string, line int64, of []byte) []byte {
	dst = append(dst, `{"file":`...)
	dst = jsonscan.AppendString(dst, []byte(file))
	dst = append(dst, `,"line":`...)
	dst = strconv.AppendInt(dst, line, 10)
	return append(append(dst, ','), of...)
}

// appendLineage appends where a record comes from, as the end of an object. Before it come the keys that say where the
// record is.
func appendLineage(dst []byte, row *record.Row, ids *record.IDs) []byte {
	e := row.Subject()
	dst = append(dst, `"id":`...)
	dst = ids.Append(dst, row)
	dst = append(dst, `,"run_id":`...)
	dst = record.AppendText(dst, row.RunID)
	dst = append(dst, `,"node_run_id":`...)
	dst = record.AppendText(dst, row.NodeRunID())
	dst = append(dst, `,"app_version":`...)
	dst = record.AppendText(dst, e.AppVersion)
	var score record.Null[float64]
	var rating []byte
	if row.HasFeedback {
		score, rating = row.Feedback.Score, row.Feedback.Rating
	}
	dst = append(dst, `,"score":`...)
	dst = record.AppendFloat(dst, score)
	dst = append(dst, `,"rating":`...)
	dst = record.AppendText(dst, rating)
	dst = append(dst, `,"started_at":`...)
	dst = jsonscan.AppendTime(dst, e.StartedAt)
	dst = append(dst, `,"metadata":`...)
	dst = record.AppendPairs(dst, e.Metadata, jsonscan.AppendString)
	return append(dst, '}')
}
