package runs

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"strconv"

	"github.com/millrace/millrace/pipeline/jsonscan"
)

// groupRule is the version of the rule that InputGroup and ContextHash follow: the first byte of
// every hash, and part of what is hashed. Whoever changes the rule changes the version, so that rows
// that were stored under an older rule never share a group with new ones.
const groupRule = 2

// InputGroup returns the input group of the run: equal for all runs that were asked the same. It has
// 32 hexadecimal digits: two of the version of the rule, "02", and a hash.
//
// What was asked are the messages up to the last one of a user, without those of the system and the
// developer. A run without such a message was asked its question and inputs. A run without those
// either is a group of its own.
//
// What was asked is normalised: texts are trimmed and in NFC, runs of white space are one space,
// keys of objects are sorted, and numbers stay as they are written. In messages, parts of text count
// as one text, fields that are null as absent, and an id of a call as its place among the ids.
func (r *Run) InputGroup() string {
	if asked := readAsked(r.Messages); asked != nil {
		return groupHash("messages", appendAsked(make([]byte, 0, len(r.Messages)), asked))
	}
	if r.Question == "" && r.Inputs == "" {
		return groupHash("identity", []byte(r.RunID))
	}
	asked := append(appendNormalText(nil, []byte(r.Question)), endElement)
	return groupHash("run", appendNormalDoc(asked, r.Inputs))
}

// ContextHash returns what divides an input group into context groups: runs are in the same context
// group if they have the same InputGroup and the same ContextHash. It is "" for a run without a
// system prompt and tools. Otherwise it has the version of the rule and a hash, in 32 hexadecimal
// digits, of the messages of the system and the developer before the last one of a user, or for a
// run without messages of the text under "system" in its system inputs, and of the definitions of
// tools.
func (r *Run) ContextHash() string {
	asked := readAsked(r.Messages)
	if asked == nil {
		return contextHash(appendMember(nil, []byte(r.SystemInputs), "system"), r.Tools)
	}
	return contextHash(appendSystem(nil, asked), r.Tools)
}

// InputGroup returns the input group of the node run, see [Run.InputGroup]: equal for all runs of a
// node that were asked the same. What it was asked is the first of these that is present: inputs,
// variables of the prompt, messages.
func (n *Node) InputGroup() string {
	asked := append([]byte(n.NodeID), endElement)
	for _, doc := range []Doc{n.Inputs, n.PromptVariables} {
		if doc != "" {
			return groupHash("node", appendNormalDoc(asked, doc))
		}
	}
	if messages := readAsked(n.Messages); messages != nil {
		return groupHash("node messages", appendAsked(asked, messages))
	}
	return groupHash("identity", append(append([]byte(n.RunID), endElement), n.NodeRunID...))
}

// ContextHash returns what divides an input group into context groups, see [Run.ContextHash]. It
// hashes all that the model of the node was given: the messages up to the last one of a user, the
// template of the prompt and its variables, and the definitions of tools.
func (n *Node) ContextHash() string {
	asked := readAsked(n.Messages)
	given := appendAsked(appendSystem(nil, asked), asked)
	if n.PromptTemplate != "" {
		given = append(appendNormalText(append(given, endElement), []byte(n.PromptTemplate)), endElement)
	}
	if asked == nil {
		given = appendNormalDoc(given, n.PromptVariables)
	}
	return contextHash(given, n.Tools)
}

func contextHash(given []byte, tools Doc) string {
	if tools != "" && tools != "[]" {
		given = appendNormalDoc(append(given, endElement), tools)
	}
	if len(given) == 0 {
		return ""
	}
	return groupHash("context", given)
}

// groupHash hashes a text and what kind of text it is.
func groupHash(kind string, text []byte) string {
	h := sha256.New()
	h.Write([]byte{groupRule})
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write(text)
	var sum [1 + sha256.Size]byte
	sum[0] = groupRule
	return hex.EncodeToString(h.Sum(sum[:1])[:16])
}

// readAsked returns the messages up to the last one of a user, nil if no message is a user's.
func readAsked(messages Doc) (asked []chatMessage) {
	users := 0 // the messages up to the last one of a user
	for text := range elements([]byte(messages)) {
		m := chatMessage{roleOf(text), text}
		if asked = append(asked, m); m.role == roleUser {
			users = len(asked)
		}
	}
	if users == 0 {
		return nil
	}
	return asked[:users]
}

// appendAsked appends the normalised messages but those of the system and the developer.
func appendAsked(dst []byte, asked []chatMessage) []byte {
	ids := callIDs{}
	for _, m := range asked {
		if m.role != roleSystem {
			dst = append(ids.appendMessage(dst, m.text), endElement)
		}
	}
	return dst
}

// appendSystem appends the normalised content of the messages of the system and the developer.
func appendSystem(dst []byte, asked []chatMessage) []byte {
	for _, m := range asked {
		if m.role == roleSystem {
			dst = appendMember(dst, m.text, "content")
		}
	}
	return dst
}

// chatMessage is a message of a conversation, as it was sent.
type chatMessage struct {
	role chatRole
	text []byte
}

type chatRole int

const (
	roleOther  chatRole = iota
	roleSystem          // or the developer, as OpenAI calls the system now
	roleUser
)

func roleOf(message []byte) chatRole {
	for key, value := range members(message) {
		if string(key) != "role" || value[0] != '"' {
			continue
		}
		switch string(textOf(value)) {
		case "system", "developer":
			return roleSystem
		case "user":
			return roleUser
		}
	}
	return roleOther
}

// appendMember appends what a key of an object has, as the content of a message.
func appendMember(dst, object []byte, wanted string) []byte {
	for key, value := range members(object) {
		if string(key) == wanted && value[0] != 'n' {
			dst = append(appendContent(dst, value), endElement)
		}
	}
	return dst
}

// callIDs has the ids of calls in a conversation, each with its place among them.
type callIDs map[string]int

func (c callIDs) appendMessage(dst, message []byte) []byte {
	return appendNormalObject(dst, message, func(dst, key, value []byte) []byte {
		switch string(key) {
		case "content":
			return appendContent(dst, value)
		case "tool_call_id":
			return c.appendPlace(dst, value)
		case "tool_calls":
			for call := range elements(value) {
				dst = append(c.appendCall(dst, call), endElement)
			}
			return dst
		}
		return appendNormal(dst, value)
	}, withoutNulls)
}

func (c callIDs) appendCall(dst, call []byte) []byte {
	return appendNormalObject(dst, call, func(dst, key, value []byte) []byte {
		if string(key) == "id" {
			return c.appendPlace(dst, value)
		}
		return appendNormal(dst, value)
	}, withoutNulls)
}

func (c callIDs) appendPlace(dst, id []byte) []byte {
	place, known := c[string(id)]
	if !known {
		place = len(c)
		c[string(id)] = place
	}
	return strconv.AppendInt(dst, int64(place), 10)
}

// appendContent appends the content of a message. Parts of text count as one text.
func appendContent(dst, content []byte) []byte {
	if content[0] != '[' {
		return appendNormal(dst, content)
	}
	dst = append(dst, '"')
	first := true
	for part := range elements(content) {
		if !first {
			dst = append(dst, ' ')
		}
		first = false
		if text := partText(part); text != nil {
			dst = appendNormalText(dst, text)
		} else {
			dst = append(appendNormal(dst, part), endElement)
		}
	}
	return append(dst, '"')
}

// partText returns the text of a part that is nothing but a text, and otherwise nil.
func partText(part []byte) (text []byte) {
	for key, value := range members(part) {
		switch {
		case string(key) == "text" && value[0] == '"':
			text = textOf(value)
		case string(key) != "type" && value[0] != 'n':
			return nil
		}
	}
	return text
}

// members returns the keys of an object with the texts of their values. The decoder has checked the
// document.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		var s jsonscan.Scanner
		s.Reset(object)
		for more := s.Take('{') && s.Peek() != '}'; more; more = s.Take(',') {
			key, err := s.Key()
			if err != nil {
				return
			}
			value, err := s.Value()
			if err != nil || !yield(textOf(key), value) {
				return
			}
		}
	}
}

// elements returns the texts of the values of an array. The decoder has checked the document.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var s jsonscan.Scanner
		s.Reset(array)
		for more := s.Take('[') && s.Peek() != ']'; more; more = s.Take(',') {
			value, err := s.Value()
			if err != nil || !yield(value) {
				return
			}
		}
	}
}

// textOf returns the text of a JSON string, of which it may be a part.
func textOf(token []byte) []byte {
	if jsonscan.IsPlain(token) {
		return token[1 : len(token)-1]
	}
	text, _ := jsonscan.AppendText(make([]byte, 0, len(token)), token)
	return text
}
