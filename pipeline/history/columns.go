package history

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/millrace/millrace/pipeline/columns"
)

// target is a column of a query and the place that its value is scanned into.
type target struct {
	column string
	place  any
}

// targets are the columns of a query, in its order.
type targets []target

// selectList returns the SELECT list. It panics where the table has no column of a name: a test reads all.
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

// some is nil where all that p points at is absent.
func some[T Usage | Error](p *T) *T {
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

// elements are the expressions of the elements of an array of tuples: one array an element.
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

// listed returns the files of a run in a list, or their number where they are too large for it.
func (f *files) listed() string {
	return elements("files", columns.Files, f.targets(), "if(byteSize(files) > 65536, [], %s)") +
		", if(byteSize(files) > 65536, toInt64(length(files)), 0)"
}

// page reads the runs of a condition on their key.
func (r *reading) page(ctx context.Context, condition string, found map[key]*Run) error {
	sql := "SELECT " + selectList(columns.Runs, new(Run).targets(&Error{}, &Usage{})) + ", substringUTF8(error_message, 1, " + longText + "), " + cut("question") + ", " + cut("answer") + ", " + new(files).listed() +
		"\nFROM runs FINAL PREWHERE " + inWorkspace + " AND " + condition
	return r.each(ctx, sql, func(rows driver.Rows) error {
		var run Run
		var e Error
		var u Usage
		var f files
		to := append(run.targets(&e, &u).places(), &e.Message, &run.Question, &run.QuestionTruncated, &run.Answer, &run.AnswerTruncated)
		to = append(append(to, f.targets().places()...), &run.FilesOmitted)
		if err := rows.Scan(to...); err != nil {
			return err
		}
		run.Error, run.Usage, run.Files = some(&e), some(&u), f.list()
		found[key{run.StartedAt.UnixMilli(), run.RunID, run.Source, run.AppID}] = &run
		return nil
	})
}

// documents are the JSON documents of the columns, in which "" is absent.
type documents []string

func (d documents) at(i int) json.RawMessage {
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

// detail reads the run of r, less its node runs and feedback.
func (r *reading) detail(ctx context.Context) (detail *Detail, err error) {
	// By the contract there is one; of two that started at different times, the newer snapshot counts.
	sql := "SELECT " + selectList(columns.Runs, new(Detail).allTargets(&Error{}, &Usage{}, make(documents, 5))) + ", " +
		elements("files", columns.Files, new(files).targets(), "%s") +
		"\nFROM runs FINAL PREWHERE " + ofRun + "\nORDER BY version DESC, started_at DESC LIMIT 1"
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
		d.Error, d.Usage, d.Files = some(&e), some(&u), f.list()
		d.Inputs, d.SystemInputs, d.Outputs, d.Messages, d.Tools = documents.at(0), documents.at(1), documents.at(2), documents.at(3), documents.at(4)
		detail = &d
		return nil
	})
	return detail, err
}

// size is what the documents and texts of a run take in an answer, about.
func (d *Detail) size() (n int64) {
	for _, s := range [...]string{d.Question, d.Answer, d.Reference, string(d.Inputs), string(d.SystemInputs), string(d.Outputs), string(d.Messages), string(d.Tools)} {
		n += int64(len(s))
	}
	return n
}
