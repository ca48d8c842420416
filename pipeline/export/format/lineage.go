package format

import (
	"strconv"

	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
)

// Source is what a GroupFormatter remembers of a row for the records that the row is part of.
type Source struct {
	runID      []byte
	startedAt  int64
	inputGroup []byte
	lineage    []byte
}

// Remember copies what a record needs of a row. It reuses the memory of the row before. Lineage
// makes the ids of the records; it is nil if records have no lineage.
func (s *Source) Remember(row *record.Row, lineage *record.IDs) {
	s.runID, s.startedAt = append(s.runID[:0], row.RunID...), row.Subject().StartedAt
	s.inputGroup, s.lineage = append(s.inputGroup[:0], row.InputGroup...), s.lineage[:0]
	if lineage != nil {
		s.lineage = appendLineage(s.lineage, row, lineage)
	}
}

// AppendLineage appends a line of the lineage file. Of is an element of [Record.Lineage], file is
// the name of the fragment that has the record, and line is the line of the record there, from 1.
func AppendLineage(dst []byte, file string, line int64, of []byte) []byte {
	dst = append(dst, `{"file":`...)
	dst = jsonscan.AppendString(dst, []byte(file))
	dst = append(dst, `,"line":`...)
	dst = strconv.AppendInt(dst, line, 10)
	return append(append(dst, ','), of...)
}

// appendLineage appends the row that a record is made of, as a JSON object without its opening
// brace. AppendLineage adds the brace and the place of the record.
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
