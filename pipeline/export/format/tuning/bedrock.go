package tuning

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/sinks/fragment"
)

var bedrockKeys = append(format.Texts("schemaVersion"), format.Documents("system", "messages")...)

// BedrockConversation is target bedrock_conversation of fine_tuning.
var BedrockConversation = format.Target{
	Name: "bedrock_conversation", Purposes: []string{format.FineTuning},
	Reader: "[Amazon Bedrock](https://docs.aws.amazon.com/bedrock/latest/userguide/preparing-text-data.html): " +
		"fine-tuning of Nova and Llama",
	Shape: "`{\"schemaVersion\": \"bedrock-conversation-2024\", \"system\": [{\"text\"}], \"messages\": [{\"role\", " +
		"\"content\": [{\"text\"}]}]}`",
	Rules: []string{
		"exactly one `system` entry, none where a run has no system message or the option `system` drops it",
		"`user` and `assistant` alternate, the user first and the assistant last; messages of one role become one, a blank " +
			"line between them",
		"one text part a message; tool traffic becomes text, `<tool_call>` of the assistant and `<tool_response>` of the " +
			"user, and definitions of tools are left out",
		"no text has what Nova reserves: `System:`, `User:`, `Bot:`, `Assistant:`, `Thought:`, `[EOS]`, `<image>`, `<video>`",
		"8 to 20,000 lines",
	},
	Options: tuningOptions(),
	Drops: tuningDrops(dropsAssistant1st, dropsUnwanted, format.Drop{Reason: "reserved_word",
		Text: "a text has a word that Nova reserves, such as `User:`"}),
	Keys:    bedrockKeys,
	Formats: format.OnlyJSONL, Least: 8, Most: 20_000,
	Load: "aws s3 cp {file} s3://YOUR-BUCKET/",
	Make: func(_ string, o *format.Options) format.Formatter {
		return newFormatter(o, reader{}, appendBedrockConversation)
	},
}

// BedrockDistillation is target bedrock_distillation of fine_tuning.
var BedrockDistillation = format.Target{
	Name: "bedrock_distillation", Purposes: []string{format.FineTuning},
	Reader: "[Amazon Bedrock Model " +
		"Distillation](https://docs.aws.amazon.com/bedrock/latest/userguide/prequisites-model-distillation.html)",
	Shape: "as `bedrock_conversation`, with a single turn: a question and its answer",
	Rules: []string{
		"exactly one `system` entry; give one with the option `system` where runs have none",
		"one message of the user and one of the assistant, one text part each",
		"no other keys",
		"at least 100 lines; a file has 1 GB at most",
	},
	Options: tuningOptions(),
	Drops: tuningDrops(dropsUnwanted,
		format.Drop{Reason: "no_system", Text: "there is no system message, and the option `system` gives none"},
		format.Drop{Reason: "not_single_turn", Text: "the conversation has more than a question and its answer"}),
	Keys:    bedrockKeys,
	Formats: format.OnlyJSONL, Limits: fragment.Limits{MaxBytes: 1_000_000_000}, Least: 100,
	Load: "aws s3 cp {file} s3://YOUR-BUCKET/",
	Make: func(_ string, o *format.Options) format.Formatter {
		return newFormatter(o, reader{}, appendBedrockDistillation)
	},
}

var bedrockTurns = turnShape{
	user:  `{"role":"user","content":[{"text":"`,
	model: `{"role":"assistant","content":[{"text":"`,
	end:   `"}]}`,
}

// appendBedrockConversation writes what the validators of AWS accept: nova_ft_dataset_validator.py,
// and dataset_validation.py for Llama, of https://github.com/aws-samples/amazon-bedrock-samples,
// custom-models/bedrock-fine-tuning. Both accept a conversation without a system message; the
// validator for Llama accepts at most one. Neither knows toolUse.
func appendBedrockConversation(dst []byte, _ *record.Row, c *conversation) (out []byte, drop string) {
	if !c.userFirst() {
		return dst, dropAssistant1st
	}
	reserved := c.system != nil && c.novaReserves(c.system)
	for i := range c.messages {
		m := &c.messages[i]
		reserved = reserved || m.text != nil && c.novaReserves(m.text) ||
			slices.ContainsFunc(c.callsOf(m), func(call toolCall) bool { return c.novaReserves(call.arguments) })
	}
	if reserved {
		return dst, "reserved_word"
	}
	return c.appendBedrock(dst), ""
}

// appendBedrockDistillation writes what dataset_validator.py of custom-models/model_distillation
// accepts.
func appendBedrockDistillation(dst []byte, _ *record.Row, c *conversation) (out []byte, drop string) {
	switch {
	case len(c.messages) != 2:
		return dst, "not_single_turn"
	case c.system == nil:
		return dst, "no_system"
	}
	return c.appendBedrock(dst), ""
}

func (c *conversation) appendBedrock(dst []byte) []byte {
	dst = append(dst, `{"schemaVersion":"bedrock-conversation-2024",`...)
	if c.system != nil {
		dst = append(dst, `"system":[{"text":`...)
		dst = append(append(dst, c.system...), `}],`...)
	}
	dst = append(dst, `"messages":[`...)
	return append(c.appendFlat(dst, c.messages, bedrockTurns), `]}`...)
}

// novaReserves reports whether a JSON string contains one of INVALID_TOKENS_TEXT of
// nova_ft_dataset_validator.py.
func (c *conversation) novaReserves(token []byte) bool {
	if novaWord(token) {
		return true
	}
	// A producer may write letters as \u0041.
	return bytes.Contains(token, []byte(`\u00`)) && novaWord(c.Text(token))
}

func novaWord(text []byte) bool {
	for rest := text; ; {
		n := bytes.IndexByte(rest, ':')
		if n < 0 {
			break
		}
		word := rest[:n]
		rest = rest[n+1:]
		if n < 3 || word[n-1]|0x20 < 'a' || word[n-1]|0x20 > 'z' {
			continue
		}
		for _, reserved := range novaSpeakers {
			if bytes.HasSuffix(word, reserved) {
				return true
			}
		}
	}
	return bytes.Contains(text, []byte("[EOS]")) || bytes.Contains(text, []byte("<image>")) ||
		bytes.Contains(text, []byte("<video>"))
}

var novaSpeakers = [][]byte{
	[]byte("System"), []byte("SYSTEM"), []byte("User"), []byte("USER"), []byte("Bot"), []byte("BOT"),
	[]byte("Assistant"), []byte("ASSISTANT"), []byte("Thought"),
}
