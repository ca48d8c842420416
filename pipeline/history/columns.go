package history

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/clickhouse"
	"github.com/millrace/millrace/pipeline/columns"
)

// target is a column of a query and the place that its value is scanned into.
type target struct {
	column string
	place  any
}

// targets are the columns of a query, in its order.
type targets []target

// selectList returns the SELECT list of the targets. It panics where the table lacks a column: the
// targets are constant, and tests read all of them.
func selectList[R any](table []columns.Column[R], all targets) string {
	names := make([]string, len(all))
	for i, t := range all {
		columns.TypeOf(table, t.column)
		names[i] = t.column
	}
	return strings.Join(names, ", ")
}

// places returns where the values are scanned into.
func (all targets) places() []any {
	places := make([]any, len(all))
	for i, t := range all {
		places[i] = t.place
	}
	return places
}

// targets are the columns that both a list and a detail have of a run.
func (run *Run) targets(e *Error, u *Usage) targets {
	return targets{
		{"workspace_id", &run.WorkspaceID}, {"run_id", &run.RunID}, {"request_id", &run.RequestID},
		{"source", &run.Source}, {"app_id", &run.AppID}, {"app_name", &run.AppName},
		{"app_version", &run.AppVersion}, {"session_id", &run.SessionID}, {"user_id", &run.UserID},
		{"model", &run.Model}, {"trace_id", &run.TraceID}, {"trigger", &run.Trigger}, {"status", &run.Status},
		{"started_at", &run.StartedAt}, {"ended_at", &run.EndedAt}, {"error_type", &e.Type},
		{"usage_input_tokens", &u.InputTokens}, {"usage_output_tokens", &u.OutputTokens}, {"cost_usd", &run.CostUSD},
	}
}

// orNil returns p, or nil where all fields of p are absent.
func orNil[T Usage | Error](p *T) *T {
	var none T
	if *p == none {
		return nil
	}
	return p
}

// files are the columns of an array of files.
type files struct {
	ids, names, uris, contentTypes []string
	sizes                          []*int64
	directions                     []string
}

func (f *files) targets() targets {
	return targets{
		{"file_id", &f.ids}, {"name", &f.names}, {"uri", &f.uris}, {"content_type", &f.contentTypes},
		{"size_bytes", &f.sizes}, {"direction", &f.directions},
	}
}

// elements returns a SELECT list of an array of tuples: one array for each element. Format is the
// format of each expression.
func elements[E any](array string, tuple []columns.Column[E], all targets, format string) string {
	list := make([]string, len(all))
	for i, t := range all {
		columns.TypeOf(tuple, t.column)
		list[i] = fmt.Sprintf(format, array+"."+t.column)
	}
	return strings.Join(list, ", ")
}

func (f *files) list() []File {
	list := make([]File, len(f.ids))
	for i := range list {
		list[i] = File{f.ids[i], f.names[i], f.uris[i], f.contentTypes[i], f.sizes[i], f.directions[i]}
	}
	return list
}

// listed returns the expressions of a run's files in a list: the files, or only their number where
// they are over 64 KiB.
func (f *files) listed() string {
	return elements("files", columns.Files, f.targets(), "if(byteSize(files) > 65536, [], %s)") +
		", if(byteSize(files) > 65536, toInt64(length(files)), 0)"
}

// page reads the runs that a condition on their key selects.
func (r *reading) page(ctx context.Context, condition string, found map[key]*Run) error {
	sql := "SELECT " + selectList(columns.Runs, new(Run).targets(&Error{}, &Usage{})) +
		", substringUTF8(error_message, 1, " + longText + "), " + cut("question") + ", " + cut("answer") + ", " +
		new(files).listed() +
		"\nFROM " + latest("runs", inWorkspace+" AND "+condition)
	return r.each(ctx, sql, func(rows driver.Rows) error {
		var run Run
		var e Error
		var u Usage
		var f files
		to := append(run.targets(&e, &u).places(),
			&e.Message, &run.Question, &run.QuestionTruncated, &run.Answer, &run.AnswerTruncated)
		to = append(append(to, f.targets().places()...), &run.FilesOmitted)
		if err := rows.Scan(to...); err != nil {
			return err
		}
		run.Error, run.Usage, run.Files = orNil(&e), orNil(&u), f.list()
		found[key{run.StartedAt.UnixMilli(), run.RunID, run.Source, run.AppID}] = &run
		return nil
	})
}

// documents are JSON documents as their columns have them: "" is absent.
type documents []string

func (d documents) json(i int) json.RawMessage {
	if d[i] == "" {
		return nil
	}
	return json.RawMessage(d[i])
}

// allTargets are all columns of a run but its files.
func (d *Detail) allTargets(e *Error, u *Usage, docs documents) targets {
	return append(d.targets(e, u),
		target{"error_message", &e.Message}, target{"question", &d.Question}, target{"answer", &d.Answer},
		target{"reference", &d.Reference}, target{"inputs", &docs[0]}, target{"system_inputs", &docs[1]},
		target{"outputs", &docs[2]}, target{"messages", &docs[3]}, target{"tools", &docs[4]},
		target{"metadata", &d.Metadata}, target{"updated_at", &d.UpdatedAt})
}

// newestOfRun ends the queries of a run's row. While ingest stores a snapshot with another sort key, there
// may be two rows.
var newestOfRun = "\nFROM " + latest("runs", ofRun) + "\nORDER BY version DESC, started_at DESC LIMIT 1"

// detail reads the run without its node runs and feedback; nil where there is none.
func (r *reading) detail(ctx context.Context, more ...ch.Setting) (detail *Detail, err error) {
	sql := "SELECT " + selectList(columns.Runs, new(Detail).allTargets(&Error{}, &Usage{}, make(documents, 5))) + ", " +
		elements("files", columns.Files, new(files).targets(), "%s") + newestOfRun
	err = r.each(ctx, sql, func(rows driver.Rows) error {
		var d Detail
		var e Error
		var u Usage
		var f files
		documents := make(documents, 5)
		to := append(d.allTargets(&e, &u, documents).places(), f.targets().places()...)
		if err := rows.Scan(to...); err != nil {
			return err
		}
		d.Error, d.Usage, d.Files = orNil(&e), orNil(&u), f.list()
		d.Inputs, d.SystemInputs, d.Outputs = documents.json(0), documents.json(1), documents.json(2)
		d.Messages, d.Tools = documents.json(3), documents.json(4)
		detail = &d
		return nil
	}, more...)
	return detail, err
}

// smallDetail reads the run as detail does, but only if it has at most maxSmall bytes.
func (r *reading) smallDetail(ctx context.Context) (detail *Detail, large bool, err error) {
	detail, err = r.detail(ctx, ch.SettingInt("max_result_bytes", maxSmall))
	if clickhouse.Code(err) == proto.ErrTooManyRowsOrBytes {
		return nil, true, nil
	}
	return detail, false, err
}

// detailSize returns the bytes of the run's documents and texts.
func (r *reading) detailSize(ctx context.Context) (size int64, err error) {
	sql := "SELECT toInt64(length(question) + length(answer) + length(reference) + length(inputs) + " +
		"length(system_inputs) + length(outputs) + length(messages) + length(tools) + length(error_message) + " +
		"byteSize(metadata))" + newestOfRun
	err = r.each(ctx, sql, func(rows driver.Rows) error { return rows.Scan(&size) })
	return size, err
}

// size returns roughly the bytes that the documents and texts of a run take in an answer.
func (d *Detail) size() int64 {
	return int64(len(d.Question) + len(d.Answer) + len(d.Reference) +
		len(d.Inputs) + len(d.SystemInputs) + len(d.Outputs) + len(d.Messages) + len(d.Tools))
}
