package record

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/sinks/fragment"
)

// Fields that records of several purposes share. Fields of an execution describe the subject of the
// row.
var (
	RunIDField = TextField(Column{Name: "run_id", Required: true, Bloom: true},
		func(r *Row) []byte { return r.RunID })
	RequestIDField      = TextField(Column{Name: "request_id"}, func(r *Row) []byte { return r.RequestID })
	SessionIDField      = TextField(Column{Name: "session_id"}, func(r *Row) []byte { return r.SessionID })
	TraceIDField        = TextField(Column{Name: "trace_id"}, func(r *Row) []byte { return r.TraceID })
	ReferenceField      = TextField(Column{Name: "reference", Long: true}, func(r *Row) []byte { return r.Reference })
	SystemInputsField   = DocumentField("system_inputs", func(r *Row) []byte { return r.SystemInputs })
	NodeRunIDField      = TextField(Column{Name: "node_run_id", Required: true, Bloom: true}, (*Row).NodeRunID)
	PromptTemplateField = TextField(Column{Name: "prompt_template", Dictionary: true, Long: true},
		func(r *Row) []byte { return r.Node.PromptTemplate })
	VariablesField = DocumentField("variables", func(r *Row) []byte { return r.Node.PromptVariables })

	AppVersionField = TextField(Column{Name: "app_version", Dictionary: true},
		func(r *Row) []byte { return r.Subject().AppVersion })
	StatusField = TextField(Column{Name: "status", Required: true, Dictionary: true},
		func(r *Row) []byte { return r.Subject().Status })
	StartedAtField = TimeField("started_at", func(r *Row) int64 { return r.Subject().StartedAt })
	UpdatedAtField = TimeField("updated_at", func(r *Row) int64 { return r.Subject().UpdatedAt })
	EndedAtField   = PlainField(Column{Name: "ended_at", Type: fragment.Time},
		func(dst []byte, r *Row) []byte { return appendMoment(dst, r.Subject().EndedAt) })
	LatencyField  = IntegerField("latency_ms", func(r *Row) Null[int64] { return r.Subject().Latency() })
	InputsField   = DocumentField("inputs", func(r *Row) []byte { return r.Subject().Inputs })
	OutputsField  = DocumentField("outputs", func(r *Row) []byte { return r.Subject().Outputs })
	MessagesField = DocumentField("messages", func(r *Row) []byte { return r.Subject().Messages })
	ToolsField    = DocumentField("tools", func(r *Row) []byte { return r.Subject().Tools })
	ModelField    = TextField(Column{Name: "model", Dictionary: true}, func(r *Row) []byte { return r.Subject().Model })
	CostField     = FloatField("cost_usd", func(r *Row) Null[float64] { return r.Subject().CostUSD })
	MetadataField = PlainField(Column{Name: "metadata", Type: fragment.Document, Required: true},
		func(dst []byte, r *Row) []byte {
			return AppendPairs(dst, r.Subject().Metadata, jsonscan.AppendString)
		})
	ParametersField = PlainField(Column{Name: "parameters", Type: fragment.Document, Required: true},
		func(dst []byte, r *Row) []byte {
			return AppendPairs(dst, r.Node.Parameters, appendDoc)
		})
)

// ErrorField is the error of a run or node run, null where there is none.
var ErrorField = NestedField("error", func(r *Row) *Execution {
	if e := r.Subject(); len(e.ErrorType)+len(e.ErrorMessage) > 0 {
		return e
	}
	return nil
},
	TextField(Column{Name: "type", Dictionary: true}, func(e *Execution) []byte { return e.ErrorType }),
	TextField(Column{Name: "message", Long: true}, func(e *Execution) []byte { return e.ErrorMessage }),
)

// UsageField is the tokens of a run or node run, null where neither number is known.
var UsageField = NestedField("usage", func(r *Row) *Execution {
	if e := r.Subject(); e.InputTokens.Valid || e.OutputTokens.Valid {
		return e
	}
	return nil
},
	IntegerField("input_tokens", func(e *Execution) Null[int64] { return e.InputTokens }),
	IntegerField("output_tokens", func(e *Execution) Null[int64] { return e.OutputTokens }),
)

// FilesField is the files that went in and came out.
var FilesField = ObjectsField("files", func(r *Row) []File { return r.Subject().Files },
	TextField(Column{Name: "file_id"}, func(f *File) []byte { return f.FileID }),
	TextField(Column{Name: "name"}, func(f *File) []byte { return f.Name }),
	TextField(Column{Name: "uri"}, func(f *File) []byte { return f.URI }),
	TextField(Column{Name: "content_type", Dictionary: true}, func(f *File) []byte { return f.ContentType }),
	IntegerField("size_bytes", func(f *File) Null[int64] { return f.SizeBytes }),
	TextField(Column{Name: "direction", Dictionary: true}, func(f *File) []byte { return f.Direction }),
)

// ChunksField has the chunks that a node run found.
var ChunksField = ObjectsField("chunks", func(r *Row) []Chunk { return r.Node.Chunks },
	TextField(Column{Name: "chunk_id"}, func(c *Chunk) []byte { return c.ChunkID }),
	TextField(Column{Name: "text", Long: true}, func(c *Chunk) []byte { return c.Text }),
	FloatField("score", func(c *Chunk) Null[float64] { return c.Score }),
	TextField(Column{Name: "source_uri", Dictionary: true}, func(c *Chunk) []byte { return c.SourceURI }),
	TextField(Column{Name: "title", Dictionary: true}, func(c *Chunk) []byte { return c.Title }),
	BooleanField("sent_to_llm", func(c *Chunk) Null[bool] { return c.SentToLLM }),
	BooleanField("used_in_answer", func(c *Chunk) Null[bool] { return c.UsedInAnswer }),
)

// NodeField is the node of a node run.
var NodeField = Required(NestedField("node", func(r *Row) *Node { return r.Node },
	TextField(Column{Name: "id", Required: true, Dictionary: true}, func(n *Node) []byte { return n.NodeID }),
	TextField(Column{Name: "name", Dictionary: true}, func(n *Node) []byte { return n.NodeName }),
	TextField(Column{Name: "type", Dictionary: true}, func(n *Node) []byte { return n.NodeType }),
	TextField(Column{Name: "version", Dictionary: true}, func(n *Node) []byte { return n.AppVersion }),
))

// Fields of a feedback.
var (
	feedbackRating  = TextField(Column{Name: "rating", Dictionary: true}, func(f *Feedback) []byte { return f.Rating })
	feedbackScore   = FloatField("score", func(f *Feedback) Null[float64] { return f.Score })
	feedbackComment = TextField(Column{Name: "comment", Long: true}, func(f *Feedback) []byte { return f.Comment })
	feedbackTags    = TextListField("tags", Column{Required: true}, func(f *Feedback) [][]byte { return f.Tags })
	feedbackAnswer  = TextField(Column{Name: "corrected_answer", Long: true},
		func(f *Feedback) []byte { return f.CorrectedAnswer })
)

var (
	// FeedbackField is the feedback, null where there is none.
	FeedbackField = NestedField("feedback", feedbackOf, feedbackRating, feedbackScore, feedbackComment,
		feedbackTags, feedbackAnswer)
	// FeedbackWithoutTagsField is the feedback without its tags.
	FeedbackWithoutTagsField = NestedField("feedback", feedbackOf, feedbackRating, feedbackScore, feedbackComment,
		feedbackAnswer)
)

func feedbackOf(r *Row) *Feedback {
	if r.HasFeedback {
		return &r.Feedback
	}
	return nil
}

// JudgementsField has the judgements that the feedback is merged from, as they were given.
var JudgementsField = ObjectsField("judgements", func(r *Row) []Judgement {
	if !r.HasFeedback {
		return nil
	}
	return r.Feedback.Judgements[:min(len(r.Feedback.Judgements), MaxJudgements)]
},
	TextField(Column{Name: "feedback_id", Required: true}, func(j *Judgement) []byte { return j.FeedbackID }),
	TextField(Column{Name: "name", Dictionary: true}, func(j *Judgement) []byte { return j.Name }),
	TextField(Column{Name: "kind", Required: true, Dictionary: true}, func(j *Judgement) []byte { return j.Kind }),
	TextField(Column{Name: "rating", Dictionary: true}, func(j *Judgement) []byte { return j.Rating }),
	FloatField("score", func(j *Judgement) Null[float64] { return j.Score }),
	TextField(Column{Name: "comment", Long: true}, func(j *Judgement) []byte { return j.Comment }),
	TextListField("tags", Column{Required: true}, func(j *Judgement) [][]byte { return j.Tags }),
	TextField(Column{Name: "corrected_answer", Long: true}, func(j *Judgement) []byte { return j.CorrectedAnswer }),
	TextField(Column{Name: "created_by", Dictionary: true}, func(j *Judgement) []byte { return j.CreatedBy }),
	PlainField(Column{Name: "created_at", Type: fragment.Time},
		func(dst []byte, j *Judgement) []byte { return appendMoment(dst, j.CreatedAt) }),
)

var scoreName, ratingName = []byte("score"), []byte("rating")

// NewScoresField returns the field of the verdict as numbers for an optimizer or a comparison: the
// score, the rating as 1 or 0, and the newest score of each name. The field is not safe for
// concurrent use.
func NewScoresField() Field[Row] {
	var all []Score // reused
	return ObjectsField("scores", func(r *Row) []Score {
		all = all[:0]
		if !r.HasFeedback {
			return nil
		}
		if r.Feedback.Score.Valid {
			all = append(all, Score{scoreName, r.Feedback.Score.Value, nil})
		}
		if _, rating := r.Verdict(); rating != 0 {
			all = append(all, Score{ratingName, float64(max(rating, 0)), r.Feedback.Rating})
		}
		all = append(all, r.Feedback.Scores...)
		return all
	},
		TextField(Column{Name: "name", Required: true, Dictionary: true}, func(s *Score) []byte { return s.Name }),
		Required(FloatField("value", func(s *Score) Null[float64] { return Null[float64]{s.Value, true} })),
		TextField(Column{Name: "label", Dictionary: true}, func(s *Score) []byte { return s.Label }),
	)
}

// AppendPairs appends pairs as a JSON object.
func AppendPairs(dst []byte, pairs []Pair, value func(dst, text []byte) []byte) []byte {
	dst = append(dst, '{')
	for i, p := range pairs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsonscan.AppendString(dst, p.Key), ':')
		dst = value(dst, p.Value)
	}
	return append(dst, '}')
}

// AppendTemplateID appends the id of a prompt template: the first 8 bytes of its SHA-256, in
// hexadecimal digits. Without a template, the id is null.
func AppendTemplateID(dst, template []byte) []byte {
	if len(template) == 0 {
		return append(dst, "null"...)
	}
	sum := sha256.Sum256(template)
	return append(hex.AppendEncode(append(dst, '"'), sum[:8]), '"')
}
