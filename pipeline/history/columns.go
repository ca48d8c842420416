package history

import (
	"context"
	"encoding/json"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// most of what a list and a detail have of a run. Arrays of tuples are read as one array a field.
const runColumns = `workspace_id, run_id, request_id, source, app_id, app_name, app_version, session_id, user_id, model, trace_id,
    trigger, status, started_at, ended_at, error_type, usage_input_tokens, usage_output_tokens, cost_usd`

// to are the places of runColumns.
func (run *Run) to(e *Error, u *Usage) []any {
	return []any{
		&run.WorkspaceID, &run.RunID, &run.RequestID, &run.Source, &run.AppID, &run.AppName, &run.AppVersion, &run.SessionID, &run.UserID, &run.Model, &run.TraceID,
		&run.Trigger, &run.Status, &run.StartedAt, &run.EndedAt, &e.Type, &u.InputTokens, &u.OutputTokens, &run.CostUSD,
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

const fileColumns = "files.file_id, files.name, files.uri, files.content_type, files.size_bytes, files.direction"

func (f *files) to() []any {
	return []any{&f.ids, &f.names, &f.uris, &f.contentTypes, &f.sizes, &f.directions}
}

func (f *files) list() []File {
	list := make([]File, len(f.ids))
	for i := range list {
		list[i] = File{f.ids[i], f.names[i], f.uris[i], f.contentTypes[i], f.sizes[i], f.directions[i]}
	}
	return list
}

// listedFiles are the files of a run in a list, or their number where they are too large for it.
const listedFiles = `if(byteSize(files) > 65536, [], files.file_id), if(byteSize(files) > 65536, [], files.name), if(byteSize(files) > 65536, [], files.uri),
    if(byteSize(files) > 65536, [], files.content_type), if(byteSize(files) > 65536, [], files.size_bytes), if(byteSize(files) > 65536, [], files.direction),
    if(byteSize(files) > 65536, toInt64(length(files)), 0)`

// page reads the runs of a condition on their key.
func (r *reading) page(ctx context.Context, condition string, found map[key]*Run) error {
	sql := "SELECT " + runColumns + ", substringUTF8(error_message, 1, " + longText + "), " + cut("question") + ", " + cut("answer") + ", " + listedFiles +
		"\nFROM runs FINAL PREWHERE " + inWorkspace + " AND " + condition
	return r.each(ctx, sql, func(rows driver.Rows) error {
		var run Run
		var e Error
		var u Usage
		var f files
		to := append(run.to(&e, &u), &e.Message, &run.Question, &run.QuestionTruncated, &run.Answer, &run.AnswerTruncated)
		to = append(append(to, f.to()...), &run.FilesOmitted)
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

func (d documents) to() []any {
	places := make([]any, len(d))
	for i := range d {
		places[i] = &d[i]
	}
	return places
}

func (d documents) at(i int) json.RawMessage {
	if d[i] == "" {
		return nil
	}
	return json.RawMessage(d[i])
}

// detail reads the run of r, less its node runs and feedback.
func (r *reading) detail(ctx context.Context) (detail *Detail, err error) {
	// By the contract there is one; of two that started at different times, the newer snapshot counts.
	sql := "SELECT " + runColumns + ", error_message, question, answer, " + fileColumns +
		", reference, inputs, system_inputs, outputs, messages, tools, metadata, updated_at" +
		"\nFROM runs FINAL PREWHERE " + ofRun + "\nORDER BY version DESC, started_at DESC LIMIT 1"
	err = r.each(ctx, sql, func(rows driver.Rows) error {
		var d Detail
		var e Error
		var u Usage
		var f files
		documents := make(documents, 5)
		to := append(d.to(&e, &u), &e.Message, &d.Question, &d.Answer)
		to = append(append(to, f.to()...), &d.Reference)
		to = append(append(to, documents.to()...), &d.Metadata, &d.UpdatedAt)
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
