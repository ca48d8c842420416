package format

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/sinks/fragment"
)

// Fields that records of several purposes have. Those of an execution are of what the row is about.
var (
	runIDField          = text(column{Name: "run_id", Required: true, Bloom: true}, func(r *Row) []byte { return r.RunID })
	requestIDField      = text(column{Name: "request_id"}, func(r *Row) []byte { return r.RequestID })
	sessionIDField      = text(column{Name: "session_id"}, func(r *Row) []byte { return r.SessionID })
	traceIDField        = text(column{Name: "trace_id"}, func(r *Row) []byte { return r.TraceID })
	referenceField      = text(column{Name: "reference", Long: true}, func(r *Row) []byte { return r.Reference })
	systemInputsField   = document("system_inputs", func(r *Row) []byte { return r.SystemInputs })
	nodeRunIDField      = text(column{Name: "node_run_id", Required: true, Bloom: true}, (*Row).NodeRunID)
	promptTemplateField = text(column{Name: "prompt_template", Dictionary: true, Long: true}, func(r *Row) []byte { return r.Node.PromptTemplate })
	variablesField      = document("variables", func(r *Row) []byte { return r.Node.PromptVariables })

	appVersionField = text(column{Name: "app_version", Dictionary: true}, func(r *Row) []byte { return r.Subject().AppVersion })
	statusField     = text(column{Name: "status", Required: true, Dictionary: true}, func(r *Row) []byte { return r.Subject().Status })
	startedAtField  = timestamp("started_at", func(r *Row) int64 { return r.Subject().StartedAt })
	updatedAtField  = timestamp("updated_at", func(r *Row) int64 { return r.Subject().UpdatedAt })
	endedAtField    = plain(column{Name: "ended_at", Type: fragment.Time}, func(dst []byte, r *Row) []byte { return appendMoment(dst, r.Subject().EndedAt) })
	latencyField    = integer("latency_ms", func(r *Row) Null[int64] { return r.Subject().Latency() })
	inputsField     = document("inputs", func(r *Row) []byte { return r.Subject().Inputs })
	outputsField    = document("outputs", func(r *Row) []byte { return r.Subject().Outputs })
	messagesField   = document("messages", func(r *Row) []byte { return r.Subject().Messages })
	toolsField      = document("tools", func(r *Row) []byte { return r.Subject().Tools })
	modelField      = text(column{Name: "model", Dictionary: true}, func(r *Row) []byte { return r.Subject().Model })
	costField       = float("cost_usd", func(r *Row) Null[float64] { return r.Subject().CostUSD })
	metadataField   = plain(column{Name: "metadata", Type: fragment.Document, Required: true}, func(dst []byte, r *Row) []byte {
		return appendPairs(dst, r.Subject().Metadata, jsonscan.AppendString)
	})
	parametersField = plain(column{Name: "parameters", Type: fragment.Document, Required: true}, func(dst []byte, r *Row) []byte {
		return appendPairs(dst, r.Node.Parameters, appendDoc)
	})
)

var failureField = nested("error", func(r *Row) *Execution {
	if e := r.Subject(); len(e.ErrorType)+len(e.ErrorMessage) > 0 {
		return e
	}
	return nil
},
	text(column{Name: "type", Dictionary: true}, func(e *Execution) []byte { return e.ErrorType }),
	text(column{Name: "message", Long: true}, func(e *Execution) []byte { return e.ErrorMessage }),
)

var usageField = nested("usage", func(r *Row) *Execution {
	if e := r.Subject(); e.InputTokens.Valid || e.OutputTokens.Valid {
		return e
	}
	return nil
},
	integer("input_tokens", func(e *Execution) Null[int64] { return e.InputTokens }),
	integer("output_tokens", func(e *Execution) Null[int64] { return e.OutputTokens }),
)

var filesField = objects("files", func(r *Row) []File { return r.Subject().Files },
	text(column{Name: "file_id"}, func(f *File) []byte { return f.FileID }),
	text(column{Name: "name"}, func(f *File) []byte { return f.Name }),
	text(column{Name: "uri"}, func(f *File) []byte { return f.URI }),
	text(column{Name: "content_type", Dictionary: true}, func(f *File) []byte { return f.ContentType }),
	integer("size_bytes", func(f *File) Null[int64] { return f.SizeBytes }),
	text(column{Name: "direction", Dictionary: true}, func(f *File) []byte { return f.Direction }),
)

// chunksField has those that a node run found.
var chunksField = objects("chunks", func(r *Row) []Chunk { return r.Node.Chunks },
	text(column{Name: "chunk_id"}, func(c *Chunk) []byte { return c.ChunkID }),
	text(column{Name: "text", Long: true}, func(c *Chunk) []byte { return c.Text }),
	float("score", func(c *Chunk) Null[float64] { return c.Score }),
	text(column{Name: "source_uri", Dictionary: true}, func(c *Chunk) []byte { return c.SourceURI }),
	text(column{Name: "title", Dictionary: true}, func(c *Chunk) []byte { return c.Title }),
	boolean("sent_to_llm", func(c *Chunk) Null[bool] { return c.SentToLLM }),
	boolean("used_in_answer", func(c *Chunk) Null[bool] { return c.UsedInAnswer }),
)

var nodeNameField = required(nested("node", func(r *Row) *Node { return r.Node },
	text(column{Name: "id", Required: true, Dictionary: true}, func(n *Node) []byte { return n.NodeID }),
	text(column{Name: "name", Dictionary: true}, func(n *Node) []byte { return n.NodeName }),
	text(column{Name: "type", Dictionary: true}, func(n *Node) []byte { return n.NodeType }),
	text(column{Name: "version", Dictionary: true}, func(n *Node) []byte { return n.AppVersion }),
))

// Fields of a feedback.
var (
	feedbackRating  = text(column{Name: "rating", Dictionary: true}, func(f *Feedback) []byte { return f.Rating })
	feedbackScore   = float("score", func(f *Feedback) Null[float64] { return f.Score })
	feedbackComment = text(column{Name: "comment", Long: true}, func(f *Feedback) []byte { return f.Comment })
	feedbackTags    = textList("tags", column{Required: true}, func(f *Feedback) [][]byte { return f.Tags })
	feedbackAnswer  = text(column{Name: "corrected_answer", Long: true}, func(f *Feedback) []byte { return f.CorrectedAnswer })
)

var (
	feedbackField  = nested("feedback", feedbackOf, feedbackRating, feedbackScore, feedbackComment, feedbackTags, feedbackAnswer)
	judgementField = nested("feedback", feedbackOf, feedbackRating, feedbackScore, feedbackComment, feedbackAnswer) // without tags
)

func feedbackOf(r *Row) *Feedback {
	if r.HasFeedback {
		return &r.Feedback
	}
	return nil
}

// verdict is a number that an optimizer or a comparison takes.
type verdict struct {
	name  []byte
	value float64
	label []byte
}

var scoreName, ratingName = []byte("score"), []byte("rating")

// newScoresField returns the verdict as numbers: the score, and the rating as 1 or 0.
func newScoresField() field[Row] {
	var both [2]verdict // reused
	return objects("scores", func(r *Row) []verdict {
		all := both[:0]
		if r.HasFeedback && r.Feedback.Score.Valid {
			all = append(all, verdict{scoreName, r.Feedback.Score.Value, nil})
		}
		if _, rating := Verdict(r); rating != 0 {
			all = append(all, verdict{ratingName, float64(max(rating, 0)), r.Feedback.Rating})
		}
		return all
	},
		text(column{Name: "name", Required: true, Dictionary: true}, func(v *verdict) []byte { return v.name }),
		required(float("value", func(v *verdict) Null[float64] { return Null[float64]{v.value, true} })),
		text(column{Name: "label", Dictionary: true}, func(v *verdict) []byte { return v.label }),
	)
}

// appendPairs appends an object.
func appendPairs(dst []byte, pairs []Pair, value func(dst, text []byte) []byte) []byte {
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

// appendTemplateID appends what a prompt template is known by, null if there is none: the first 8 bytes of its
// SHA-256, in hexadecimal digits.
func appendTemplateID(dst, template []byte) []byte {
	if len(template) == 0 {
		return append(dst, "null"...)
	}
	sum := sha256.Sum256(template)
	return append(hex.AppendEncode(append(dst, '"'), sum[:8]), '"')
}
