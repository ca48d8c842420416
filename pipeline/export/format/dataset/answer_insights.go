package dataset

import (
	"slices"

	"bytes"
	"strconv"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/sinks/fragment"
)

// AnswerInsights is target answer_insights of export_dataset.
var AnswerInsights = format.Target{
	Name: "answer_insights", Purposes: []string{format.ExportDataset},
	Reader: "clients of the Answer Insights analytics export",
	Shape: "`{_id, searchRequestId, query, answer, event, comments {tags []}, userId?, sessionId?, timeStampValue, " +
		"createdOn, model?, answerDebug " +
		"[{generativeChunksCount, generativeChunks [], extractiveChunks [], chunksSentToLLM?, chunksUsedInAnswer?, " +
		"prompt {promptText, moreInfo []}, llmResponse {responseDetails {completionText, moreInfo []}, responseTime}}]}`",
	Rules: []string{
		"`event` is the rating, `thumbsUp` or `thumbsDown`, or `search` where there is none",
		"`query` and `answer` are always texts, empty where the run has none; other keys without a value are left out",
		"`answerDebug` has one entry: the chunks of all nodes, and the prompt, parameters, tokens and finish reason of the " +
			"llm node that answered",
		"chunks of nodes of type `extractive` are `extractiveChunks`, all others `generativeChunks`",
	},
	Keys: slices.Concat(format.Texts("_id", "searchRequestId", "query", "answer", "event"), format.Documents("comments"),
		format.Texts("userId", "sessionId"), []fragment.Column{{Name: "timeStampValue", Type: fragment.Integer}},
		format.Texts("createdOn", "model"), format.Documents("answerDebug")),
	Formats: []string{fragment.JSON}, Make: newInsights,
}

// insights writes a run in the shape that clients of Answer Insights read.
//
//	_id               UUIDv5, see record.IDs: a second export has the same id
//	searchRequestId   request_id, else run_id
//	query, answer     question, answer
//	event             feedback.rating, else "search"
//	comments.tags     feedback.tags
//	userId, sessionId user_id, session_id
//	timeStampValue    started_at, in milliseconds since 1970
//	createdOn         started_at
//	model             the model of the run, else of the node that answered
//	answerDebug[0]
//	  generativeChunks          chunks of all node runs, in order, but of those of type extractive
//	    additionalInfo.chunkId  chunk_id
//	  generativeChunksCount     their number
//	  extractiveChunks          chunks of node runs of type extractive
//	  chunksSentToLLM           number of chunks with sent_to_llm, if any chunk has the field
//	  chunksUsedInAnswer        number of chunks with used_in_answer, if any chunk has the field
//	  prompt.promptText         prompt.template of the node that answered with its variables filled in, else the text
//	                            of its last system message and of its last user message
//	  prompt.moreInfo           its parameters, values as text
//	  llmResponse
//	    responseDetails.completionText.answer    its output, else the answer of the run
//	    responseDetails.completionText.chunkIds  chunks with used_in_answer, each once
//	    responseDetails.moreInfo  its usage, else the run's, and its finish reason
//	    responseTime.moreInfo   its latency in milliseconds, else the run's; [] if unknown
//
// The node that answered is the last llm node whose text is the answer of the run, because later
// nodes may check the answer. If there is none, it is the last llm node. In a run without llm
// nodes, it is the last node with a prompt.
type insights struct {
	record.Texts
	ids       record.IDs
	variables record.Variables
	prompt    []byte   // reused
	used      [][]byte // ids of chunks
}

func newInsights(_ string, _ *format.Options) format.Formatter {
	return &insights{ids: record.NewIDs(format.ExportDataset, "answer_insights")}
}

// Columns implements [format.Formatter].
func (f *insights) Columns() []fragment.Column { return nil }

// Needs implements [format.Formatter].
func (f *insights) Needs() record.Needs { return record.Needs{Nodes: record.AllNodes} }

func (f *insights) Append(dst []byte, row *record.Row) (out []byte, drop string, err error) {
	f.Reset()
	node, said := f.answering(row)
	out = f.appendQuery(append(dst, '{'), row)
	model := row.Model
	if len(model) == 0 && node != nil {
		model = node.Model
	}
	out = record.AppendOptional(out, "model", model)
	out = f.appendChunks(append(out, `,"answerDebug":[{`...), row.Nodes)
	out = append(out, `,"prompt":{"promptText":`...)
	out = f.appendPromptOf(out, node)
	out = append(f.appendResponse(out, row, node, said), `}]}`...)
	return f.Finish(row, dst, out, "")
}

func (f *insights) appendQuery(dst []byte, row *record.Row) []byte {
	dst = append(dst, `"_id":`...)
	dst = f.ids.Append(dst, row)
	request := row.RequestID
	if len(request) == 0 {
		request = row.RunID
	}
	dst = append(dst, `,"searchRequestId":`...)
	dst = jsonscan.AppendString(dst, request)
	dst = append(dst, `,"query":`...)
	dst = jsonscan.AppendString(dst, row.Question)
	dst = append(dst, `,"answer":`...)
	dst = jsonscan.AppendString(dst, row.Answer)

	event, tags := []byte("search"), [][]byte(nil)
	if row.HasFeedback {
		tags = row.Feedback.Tags
		if len(row.Feedback.Rating) > 0 {
			event = row.Feedback.Rating
		}
	}
	dst = append(dst, `,"event":`...)
	dst = jsonscan.AppendString(dst, event)
	dst = append(dst, `,"comments":{"tags":`...)
	dst = append(record.AppendStrings(dst, tags), '}')

	dst = record.AppendOptional(dst, "userId", row.UserID)
	dst = record.AppendOptional(dst, "sessionId", row.SessionID)
	dst = append(dst, `,"timeStampValue":`...)
	dst = strconv.AppendInt(dst, row.StartedAt, 10)
	dst = append(dst, `,"createdOn":`...)
	return jsonscan.AppendTime(dst, row.StartedAt)
}

// answering returns the node that answered, or nil, and its output.
func (f *insights) answering(row *record.Row) (node *record.Node, said []byte) {
	var prompted *record.Node
	for i := len(row.Nodes) - 1; i >= 0; i-- {
		n := &row.Nodes[i]
		if string(n.NodeType) != "llm" {
			if prompted == nil && len(n.PromptTemplate)+len(n.Messages) > 0 {
				prompted = n
			}
			continue
		}
		text := f.ModelOutput(n)
		if node == nil {
			node, said = n, text
		}
		if len(row.Answer) == 0 {
			break
		}
		if bytes.Equal(text, row.Answer) {
			return n, text
		}
	}
	if node == nil && prompted != nil {
		return prompted, f.ModelOutput(prompted)
	}
	return node, said
}

// extractive is the type of a node that finds passages which are shown as they are, without a model.
const extractive = "extractive"

// appendChunks appends the chunks and their counts, and remembers which chunks the answer uses.
func (f *insights) appendChunks(dst []byte, nodes []record.Node) []byte {
	f.used = f.used[:0]
	var sent, used record.Null[int64]
	generative := int64(0)
	count := func(n *record.Null[int64], is record.Null[bool]) {
		n.Valid = n.Valid || is.Valid
		if is.Valid && is.Value {
			n.Value++
		}
	}
	for i := range nodes {
		for j := range nodes[i].Chunks {
			c := &nodes[i].Chunks[j]
			count(&sent, c.SentToLLM)
			count(&used, c.UsedInAnswer)
			if c.UsedInAnswer.Valid && c.UsedInAnswer.Value && len(c.ChunkID) > 0 {
				f.use(c.ChunkID)
			}
		}
		if string(nodes[i].NodeType) != extractive {
			generative += int64(len(nodes[i].Chunks))
		}
	}
	dst = append(dst, `"generativeChunksCount":`...)
	dst = strconv.AppendInt(dst, generative, 10)
	dst = append(dst, `,"generativeChunks":[`...)
	dst = appendChunksOf(dst, nodes, false)
	dst = append(dst, `],"extractiveChunks":[`...)
	dst = append(appendChunksOf(dst, nodes, true), ']')
	if sent.Valid {
		dst = record.AppendInt(append(dst, `,"chunksSentToLLM":`...), sent)
	}
	if used.Valid {
		dst = record.AppendInt(append(dst, `,"chunksUsedInAnswer":`...), used)
	}
	return dst
}

// appendChunksOf appends the chunks of the extractive nodes, or of the others.
func appendChunksOf(dst []byte, nodes []record.Node, ofExtractive bool) []byte {
	first := true
	for i := range nodes {
		if (string(nodes[i].NodeType) == extractive) != ofExtractive {
			continue
		}
		for j := range nodes[i].Chunks {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = appendChunk(dst, &nodes[i].Chunks[j])
		}
	}
	return dst
}

func appendChunk(dst []byte, c *record.Chunk) []byte {
	dst = append(dst, `{"chunkText":`...)
	dst = jsonscan.AppendString(dst, c.Text)
	if c.Score.Valid {
		dst = append(dst, `,"score":`...)
		dst = record.AppendFloat(dst, c.Score)
	}
	if c.SentToLLM.Valid {
		dst = append(dst, `,"sentToLLM":`...)
		dst = record.AppendBool(dst, c.SentToLLM)
	}
	if c.UsedInAnswer.Valid {
		dst = append(dst, `,"usedInAnswer":`...)
		dst = record.AppendBool(dst, c.UsedInAnswer)
	}
	dst = record.AppendOptional(dst, "sourceUrl", c.SourceURI)
	dst = record.AppendOptional(dst, "recordTitle", c.Title)
	if len(c.ChunkID) > 0 {
		dst = append(dst, `,"additionalInfo":{"chunkId":`...)
		dst = append(jsonscan.AppendString(dst, c.ChunkID), '}')
	}
	return append(dst, '}')
}

// use remembers a chunk once: a node that ranks the chunks of another node has the same chunks.
func (f *insights) use(id []byte) {
	for _, known := range f.used {
		if bytes.Equal(known, id) {
			return
		}
	}
	f.used = append(f.used, id)
}

// appendPromptOf appends a prompt from its text to the end of its object. Without a template, the
// text is the last system message and, after an empty line, the last user message.
func (f *insights) appendPromptOf(dst []byte, node *record.Node) []byte {
	if node == nil {
		return append(dst, `"","moreInfo":[]}`...)
	}
	text := f.prompt[:0]
	if len(node.PromptTemplate) > 0 {
		f.variables = f.AppendVariables(f.variables[:0], node.PromptVariables)
		text = f.AppendPrompt(text, node.PromptTemplate, f.variables)
	} else {
		text = append(text, f.LastMessage(node.Messages, "system")...)
		user := f.LastMessage(node.Messages, "user")
		if len(text) > 0 && len(user) > 0 {
			text = append(text, "\n\n"...)
		}
		text = append(text, user...)
	}
	f.prompt = text
	dst = jsonscan.AppendString(dst, text)
	dst = append(dst, `,"moreInfo":[`...)
	for i, p := range node.Parameters {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"key":`...)
		dst = jsonscan.AppendString(dst, p.Key)
		dst = append(dst, `,"value":`...)
		dst = append(record.AppendValue(dst, p.Value), '}')
	}
	return append(dst, "]}"...)
}

// appendResponse appends the answer of the model, its usage and its latency.
func (f *insights) appendResponse(dst []byte, row *record.Row, node *record.Node, said []byte) []byte {
	if len(said) == 0 {
		said = row.Answer
	}
	latency := row.Latency()
	if node != nil && node.EndedAt.Valid {
		latency = node.Latency()
	}
	dst = append(dst, `,"llmResponse":{"responseDetails":{"completionText":{"answer":`...)
	dst = jsonscan.AppendString(dst, said)
	dst = append(dst, `,"chunkIds":`...)
	dst = record.AppendStrings(dst, f.used)
	dst = append(dst, `},"moreInfo":[`...)
	dst = f.appendUsage(dst, row, node)
	dst = append(dst, `]},"responseTime":{"moreInfo":[`...)
	if latency.Valid {
		dst = append(dst, `{"key":"Completion Time","value":`...)
		dst = append(record.AppendInt(dst, latency), '}')
	}
	return append(dst, `]}}`...)
}

// appendUsage appends the tokens and the finish reason of the node that answered, else of the run.
func (f *insights) appendUsage(dst []byte, row *record.Row, node *record.Node) []byte {
	e := &row.Execution
	if node != nil && (node.InputTokens.Valid || node.OutputTokens.Valid) {
		e = &node.Execution
	}
	start := len(dst)
	item := func(key string) {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, `{"key":"`...), key...), `","value":`...)
	}
	if e.InputTokens.Valid {
		item("Prompt Tokens")
		dst = append(record.AppendInt(dst, e.InputTokens), '}')
	}
	if e.OutputTokens.Valid {
		item("Completion Tokens")
		dst = append(record.AppendInt(dst, e.OutputTokens), '}')
	}
	reason := f.finishReason(&row.Execution)
	if node != nil {
		if of := f.finishReason(&node.Execution); of != nil {
			reason = of
		}
	}
	if reason != nil {
		item("Finish Reason")
		dst = append(jsonscan.AppendString(dst, reason), '}')
	}
	return dst
}

// finishReasons are the names that model APIs have for why the model stopped: OpenAI, Gemini, and
// Anthropic and Bedrock.
var finishReasons = []string{"finish_reason", "finishReason", "stop_reason", "stopReason"}

// finishReason returns why the model stopped: from the outputs, from the first of their choices, or
// from the metadata; nil if it is nowhere.
func (f *insights) finishReason(e *record.Execution) []byte {
	documents := [][]byte{e.Outputs}
	for _, choice := range f.Elements(f.Member(e.Outputs, "choices")) {
		documents = append(documents, choice)
		break
	}
	for _, name := range finishReasons {
		for _, doc := range documents {
			if token := f.Member(doc, name); f.HasText(token) {
				return f.Text(token)
			}
		}
		for _, p := range e.Metadata {
			if string(p.Key) == name && len(p.Value) > 0 {
				return p.Value
			}
		}
	}
	return nil
}
