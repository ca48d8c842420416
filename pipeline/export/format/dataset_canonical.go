package format

// datasetCanonical writes a run as it is in the history: every key in every record, null where the run has
// no value, so that all files of all exports have the same columns. Documents are spliced in as the
// producer wrote them. Times are RFC 3339, UTC, with milliseconds; latency_ms is ended_at - started_at;
// files and feedback.tags are [] and metadata is {} where there are none.
type datasetCanonical struct{ ids ids }

func newDatasetCanonical(map[string]any) (Formatter, error) {
	return &datasetCanonical{newIDs(ExportDataset, Canonical)}, nil
}

func (f *datasetCanonical) Append(dst []byte, row *Row) (out []byte, drop string, err error) {
	dst = append(dst, `{"id":`...)
	dst = f.ids.append(dst, row.WorkspaceID, row.RunID, nil)
	dst = append(dst, `,"run_id":`...)
	dst = appendText(dst, row.RunID)
	dst = append(dst, `,"request_id":`...)
	dst = appendText(dst, row.RequestID)
	dst = append(dst, `,"source":`...)
	dst = appendText(dst, row.Source)
	dst = append(dst, `,"app_id":`...)
	dst = appendText(dst, row.AppID)
	dst = append(dst, `,"app_name":`...)
	dst = appendText(dst, row.AppName)
	dst = append(dst, `,"app_version":`...)
	dst = appendText(dst, row.AppVersion)
	dst = append(dst, `,"session_id":`...)
	dst = appendText(dst, row.SessionID)
	dst = append(dst, `,"user_id":`...)
	dst = appendText(dst, row.UserID)
	dst = append(dst, `,"trigger":`...)
	dst = appendText(dst, row.Trigger)
	dst = append(dst, `,"status":`...)
	dst = appendText(dst, row.Status)

	dst = append(dst, `,"started_at":`...)
	dst = appendTime(dst, row.StartedAt)
	var latency Null[int64]
	dst = append(dst, `,"ended_at":`...)
	if row.EndedAt.Valid {
		dst = appendTime(dst, row.EndedAt.Value)
		latency = Null[int64]{row.EndedAt.Value - row.StartedAt, true}
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"updated_at":`...)
	dst = appendTime(dst, row.UpdatedAt)
	dst = append(dst, `,"latency_ms":`...)
	dst = appendInt(dst, latency)

	dst = append(dst, `,"question":`...)
	dst = appendText(dst, row.Question)
	dst = append(dst, `,"inputs":`...)
	dst = appendDoc(dst, row.Inputs)
	dst = append(dst, `,"system_inputs":`...)
	dst = appendDoc(dst, row.SystemInputs)
	dst = append(dst, `,"messages":`...)
	dst = appendDoc(dst, row.Messages)
	dst = append(dst, `,"tools":`...)
	dst = appendDoc(dst, row.Tools)
	dst = append(dst, `,"answer":`...)
	dst = appendText(dst, row.Answer)
	dst = append(dst, `,"outputs":`...)
	dst = appendDoc(dst, row.Outputs)
	dst = append(dst, `,"reference":`...)
	dst = appendText(dst, row.Reference)

	dst = append(dst, `,"error":`...)
	dst = appendError(dst, row)
	dst = append(dst, `,"files":`...)
	dst = appendFiles(dst, row.Files)
	dst = append(dst, `,"feedback":`...)
	dst = appendFeedback(dst, row)
	dst = append(dst, `,"model":`...)
	dst = appendText(dst, row.Model)
	dst = append(dst, `,"usage":`...)
	dst = appendUsage(dst, row)
	dst = append(dst, `,"cost_usd":`...)
	dst = appendFloat(dst, row.CostUSD)
	dst = append(dst, `,"metadata":`...)
	dst = appendPairs(dst, row.Metadata)
	dst = append(dst, `,"trace_id":`...)
	dst = appendText(dst, row.TraceID)
	return append(dst, '}'), "", nil
}

func appendError(dst []byte, row *Row) []byte {
	if len(row.ErrorType) == 0 && len(row.ErrorMessage) == 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"type":`...)
	dst = appendText(dst, row.ErrorType)
	dst = append(dst, `,"message":`...)
	dst = appendText(dst, row.ErrorMessage)
	return append(dst, '}')
}

func appendFiles(dst []byte, files []File) []byte {
	dst = append(dst, '[')
	for i := range files {
		f := &files[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"file_id":`...)
		dst = appendText(dst, f.FileID)
		dst = append(dst, `,"name":`...)
		dst = appendText(dst, f.Name)
		dst = append(dst, `,"uri":`...)
		dst = appendText(dst, f.URI)
		dst = append(dst, `,"content_type":`...)
		dst = appendText(dst, f.ContentType)
		dst = append(dst, `,"size_bytes":`...)
		dst = appendInt(dst, f.SizeBytes)
		dst = append(dst, `,"direction":`...)
		dst = appendText(dst, f.Direction)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func appendFeedback(dst []byte, row *Row) []byte {
	if !row.HasFeedback {
		return append(dst, "null"...)
	}
	f := &row.Feedback
	dst = append(dst, `{"rating":`...)
	dst = appendText(dst, f.Rating)
	dst = append(dst, `,"score":`...)
	dst = appendFloat(dst, f.Score)
	dst = append(dst, `,"comment":`...)
	dst = appendText(dst, f.Comment)
	dst = append(dst, `,"tags":[`...)
	for i, tag := range f.Tags {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, tag)
	}
	dst = append(dst, `],"corrected_answer":`...)
	dst = appendText(dst, f.CorrectedAnswer)
	return append(dst, '}')
}

func appendUsage(dst []byte, row *Row) []byte {
	if !row.InputTokens.Valid && !row.OutputTokens.Valid {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"input_tokens":`...)
	dst = appendInt(dst, row.InputTokens)
	dst = append(dst, `,"output_tokens":`...)
	dst = appendInt(dst, row.OutputTokens)
	return append(dst, '}')
}

func appendPairs(dst []byte, pairs []Pair) []byte {
	dst = append(dst, '{')
	for i, p := range pairs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, p.Key)
		dst = append(dst, ':')
		dst = appendString(dst, p.Value)
	}
	return append(dst, '}')
}
