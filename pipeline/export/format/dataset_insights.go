package format

import (
	"bytes"
	"strconv"

	"github.com/millrace/millrace/sinks/fragment"
	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

var exportDatasetInsights = Target{
	Name: "answer_insights", Purposes: []string{ExportDataset},
	Reader: "clients of the Answer Insights analytics export",
	Shape: "`{_id, searchRequestId, query, answer, event, comments {tags []}, userId?, sessionId?, timeStampValue, createdOn, model?, answerDebug " +
		"[{generativeChunks [], prompt {promptText, moreInfo []}, llmResponse {responseDetails, responseTime}}]}`",
	Rules: []string{
		"`event` is the rating, `thumbsUp` or `thumbsDown`, or `search` where there is none",
		"`query` and `answer` are always texts, empty where the run has none; other keys without a value are left out",
		"`answerDebug` has one entry: the chunks of all nodes, and the prompt and parameters of the llm node that answered",
	},
	Formats: []string{fragment.JSON}, make: newDatasetInsights,
}

// datasetInsights writes a run in the shape that clients of Answer Insights read.
//
//	_id               UUIDv5, see ids: a second export has the same
//	searchRequestId   request_id, else run_id
//	query, answer     question, answer
//	event             feedback.rating, else "search"
//	comments.tags     feedback.tags
//	userId, sessionId user_id, session_id
//	timeStampValue    started_at, in milliseconds since 1970
//	createdOn         started_at
//	model             the run's, else that of the node that answered
//	answerDebug[0]
//	  generativeChunks          chunks of all node runs, in their order
//	    additionalInfo.chunkId  chunk_id
//	  prompt.promptText         prompt.template of the node that answered with its variables filled in, else the text
//	                            of its last system message and of its last user message
//	  prompt.moreInfo           its parameters, values as text
//	  llmResponse
//	    responseDetails.completionText.answer    what it said, else the run's answer
//	    responseDetails.completionText.chunkIds  chunks that are used_in_answer, each once
//	    responseTime.moreInfo   its latency in milliseconds, else the run's; [] where that is not known
//
// The node that answered is the last llm node whose text is the run's answer, else the last llm node: after it there
// may be others, which check the answer. Where no node is of type llm, it is the last one that has a prompt.
type datasetInsights struct {
	ids       ids
	texts     nodeTexts
	variables variables
	answer    []byte   // of the run, as JSON
	said      []byte   // reused
	used      [][]byte // ids of chunks
}

func newDatasetInsights(_ string, _ *options) Formatter {
	return &datasetInsights{ids: newIDs(ExportDataset, "answer_insights")}
}

// Columns implements [Formatter].
func (f *datasetInsights) Columns() []fragment.Column { return nil }

// Needs implements [Formatter].
func (f *datasetInsights) Needs() Needs { return Needs{Nodes: AllNodes} }

func (f *datasetInsights) Append(dst []byte, row *Row) (out []byte, drop string, err error) {
	start := len(dst)
	node, err := f.answering(row)
	if err != nil {
		return dst, "", storeFault(row, err)
	}
	dst = f.appendQuery(append(dst, '{'), row)
	model := row.Model
	if len(model) == 0 && node != nil {
		model = node.Model
	}
	dst = appendMember(dst, `,"model":`, model)
	dst = append(dst, `,"answerDebug":[{"generativeChunks":[`...)
	dst = f.appendChunks(dst, row.Nodes)
	dst = append(dst, `],"prompt":{"promptText":`...)
	if dst, err = f.appendPrompt(dst, node); err == nil {
		dst, err = f.appendResponse(dst, row, node)
	}
	if err != nil {
		return dst[:start], "", storeFault(row, err)
	}
	return append(dst, `}]}`...), "", nil
}

func (f *datasetInsights) appendQuery(dst []byte, row *Row) []byte {
	dst = append(dst, `"_id":`...)
	dst = f.ids.append(dst, row.WorkspaceID, row.RunID, nil)
	request := row.RequestID
	if len(request) == 0 {
		request = row.RunID
	}
	dst = append(dst, `,"searchRequestId":`...)
	dst = jsontext.AppendString(dst, request)
	dst = append(dst, `,"query":`...)
	dst = jsontext.AppendString(dst, row.Question)
	dst = append(dst, `,"answer":`...)
	dst = jsontext.AppendString(dst, row.Answer)

	event, tags := []byte("search"), [][]byte(nil)
	if row.HasFeedback {
		tags = row.Feedback.Tags
		if len(row.Feedback.Rating) > 0 {
			event = row.Feedback.Rating
		}
	}
	dst = append(dst, `,"event":`...)
	dst = jsontext.AppendString(dst, event)
	dst = append(dst, `,"comments":{"tags":`...)
	dst = append(appendStrings(dst, tags), '}')

	dst = appendMember(dst, `,"userId":`, row.UserID)
	dst = appendMember(dst, `,"sessionId":`, row.SessionID)
	dst = append(dst, `,"timeStampValue":`...)
	dst = strconv.AppendInt(dst, row.StartedAt, 10)
	dst = append(dst, `,"createdOn":`...)
	return jsontext.AppendTime(dst, row.StartedAt)
}

// answering returns the node that answered, nil where there is none.
func (f *datasetInsights) answering(row *Row) (node *Node, err error) {
	f.answer = jsontext.AppendString(f.answer[:0], row.Answer)
	var prompted *Node
	for i := len(row.Nodes) - 1; i >= 0; i-- {
		n := &row.Nodes[i]
		if string(n.NodeType) != "llm" {
			if prompted == nil && len(n.PromptTemplate)+len(n.Messages) > 0 {
				prompted = n
			}
			continue
		}
		if node == nil {
			node = n
		}
		if len(row.Answer) == 0 {
			break
		}
		said, err := f.texts.said(n)
		if err != nil {
			return nil, err
		}
		if same, err := f.saysAnswer(said, row.Answer); same || err != nil {
			return n, err
		}
	}
	if node == nil {
		return prompted, nil
	}
	return node, nil
}

// saysAnswer says whether a JSON string says the answer, which f.answer has as JSON.
func (f *datasetInsights) saysAnswer(token, answer []byte) (same bool, err error) {
	if token == nil || jsontext.Plain(token) || bytes.Equal(token, f.answer) {
		return bytes.Equal(token, f.answer), nil
	}
	if len(token) < len(answer)+2 { // an escape is longer than what it says
		return false, nil
	}
	f.said, err = jsontext.AppendText(f.said[:0], token)
	return bytes.Equal(f.said, answer), err
}

// appendChunks appends the chunks, and remembers which of them the answer uses.
func (f *datasetInsights) appendChunks(dst []byte, nodes []Node) []byte {
	f.used = f.used[:0]
	first := true
	for i := range nodes {
		for j := range nodes[i].Chunks {
			c := &nodes[i].Chunks[j]
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(dst, `{"chunkText":`...)
			dst = jsontext.AppendString(dst, c.Text)
			if c.Score.Valid {
				dst = append(dst, `,"score":`...)
				dst = appendFloat(dst, c.Score)
			}
			if c.SentToLLM.Valid {
				dst = append(dst, `,"sentToLLM":`...)
				dst = appendBool(dst, c.SentToLLM)
			}
			if c.UsedInAnswer.Valid {
				dst = append(dst, `,"usedInAnswer":`...)
				dst = appendBool(dst, c.UsedInAnswer)
			}
			dst = appendMember(dst, `,"sourceUrl":`, c.SourceURI)
			dst = appendMember(dst, `,"recordTitle":`, c.Title)
			if len(c.ChunkID) > 0 {
				dst = appendMember(dst, `,"additionalInfo":{"chunkId":`, c.ChunkID)
				dst = append(dst, '}')
				if c.UsedInAnswer.Value && c.UsedInAnswer.Valid {
					f.use(c.ChunkID)
				}
			}
			dst = append(dst, '}')
		}
	}
	return dst
}

// use remembers a chunk, unless it is known: a node that ranks the chunks of another has them too.
func (f *datasetInsights) use(id []byte) {
	for _, known := range f.used {
		if bytes.Equal(known, id) {
			return
		}
	}
	f.used = append(f.used, id)
}

// appendPrompt appends a prompt from its text to the end of its object.
func (f *datasetInsights) appendPrompt(dst []byte, node *Node) (out []byte, err error) {
	if node == nil {
		return append(dst, `"","moreInfo":[]}`...), nil
	}
	if len(node.PromptTemplate) > 0 {
		if err := f.variables.read(node.PromptVariables); err != nil {
			return dst, err
		}
		dst = appendPrompt(dst, node.PromptTemplate, &f.variables)
	} else if dst, err = f.appendMessages(dst, node.Messages); err != nil {
		return dst, err
	}
	dst = append(dst, `,"moreInfo":[`...)
	for i, p := range node.Parameters {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"key":`...)
		dst = jsontext.AppendString(dst, p.Key)
		dst = append(dst, `,"value":`...)
		dst = appendValue(dst, p.Value)
		dst = append(dst, '}')
	}
	return append(dst, "]}"...), nil
}

// appendMessages appends the text of the last system message and, after an empty line, of the last user message.
func (f *datasetInsights) appendMessages(dst, messages []byte) ([]byte, error) {
	dst = append(dst, '"', '"')
	empty := len(dst)
	for _, role := range [...]string{"system", "user"} {
		text, err := f.texts.message(messages, role)
		if err != nil {
			return dst, err
		}
		if text == nil {
			continue
		}
		if len(dst) > empty {
			dst = joinText(dst, []byte("\n\n"))
		}
		dst = joinToken(dst, text)
	}
	return dst, nil
}

// appendResponse appends what the model gave and how long it took.
func (f *datasetInsights) appendResponse(dst []byte, row *Row, node *Node) (out []byte, err error) {
	said, latency := f.answer, row.Latency()
	if node != nil {
		text, err := f.texts.said(node)
		if err != nil {
			return dst, err
		}
		if text != nil {
			said = text
		}
		if l := node.Latency(); l.Valid {
			latency = l
		}
	}
	dst = append(dst, `,"llmResponse":{"responseDetails":{"completionText":{"answer":`...)
	dst = append(dst, said...)
	dst = append(dst, `,"chunkIds":`...)
	dst = appendStrings(dst, f.used)
	dst = append(dst, `}},"responseTime":{"moreInfo":[`...)
	if latency.Valid {
		dst = append(dst, `{"key":"Completion Time","value":`...)
		dst = append(appendInt(dst, latency), '}')
	}
	return append(dst, `]}}`...), nil
}

// appendMember appends a key, which is JSON with its colon, and a text, unless that is empty.
func appendMember(dst []byte, key string, text []byte) []byte {
	if len(text) == 0 {
		return dst
	}
	return jsontext.AppendString(append(dst, key...), text)
}
