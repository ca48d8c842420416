package evaluation

import (
	"slices"

	"regexp"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/sinks/fragment"
)

// bedrockLimits are the limits of a job: 1000 prompts.
var bedrockLimits = fragment.Limits{MaxRecords: 1000}

var (
	dropNoModel = format.Drop{Reason: "no_model",
		Text: "neither a model nor a version to tell the answers of one from those of others"}
	dropNoContexts = format.Drop{Reason: "no_contexts", Text: "no passage was retrieved"}
)

// BedrockEval is target bedrock_eval of the evaluations.
var BedrockEval = format.Target{
	Name: "bedrock_eval", Purposes: purposes,
	Reader: "[Amazon Bedrock](https://docs.aws.amazon.com/bedrock/latest/userguide/" +
		"model-evaluation-prompt-datasets-judge.html), model evaluation by a judge, with your own responses",
	Shape: "`prompt, referenceResponse?, category, modelResponses[{response, modelIdentifier}]`",
	Rules: []string{
		"one model a file, and up to 1000 lines: a job takes no more; files of other models are other jobs",
		"`modelIdentifier` is the model, or else the version of the app; other characters than letters, digits and `._-` " +
			"are `_` in it, as in the `inferenceSourceIdentifier` of the job, which must be the same",
		"`category`, which scores are reported by, is the app, or the node",
	},
	Drops:   []format.Drop{dropNoQuestion, dropNoAnswer, dropNoModel},
	Keys:    slices.Concat(format.Texts("prompt", "referenceResponse", "category"), format.Documents("modelResponses")),
	Formats: format.OnlyJSONL, Limits: bedrockLimits, Make: newBedrockEval,
	Load: `aws s3 cp {file} "s3://$BUCKET/evaluation/"`,
}

// BedrockRAG is target bedrock_rag of the evaluations.
var BedrockRAG = format.Target{
	Name: "bedrock_rag", Purposes: purposes,
	Reader: "[Amazon Bedrock](https://docs.aws.amazon.com/bedrock/latest/userguide/" +
		"knowledge-base-evaluation-prompt-retrieve-generate.html), retrieve-and-generate evaluation, with your own responses",
	Shape: "`conversationTurns[{prompt, referenceResponses, output{text, modelIdentifier?, knowledgeBaseIdentifier, " +
		"retrievedPassages}}]`, each text in `content[{text}]`",
	Rules: []string{
		"one turn a line, and up to 1000 lines a file: a job takes no more",
		"prompt, reference, answer and at least one passage are there, none of them empty",
		"one RAG source a job: `knowledgeBaseIdentifier` is the same in all lines, and the `ragSourceIdentifier` of the job",
	},
	Options: []format.Option{{Name: "knowledge_base", Default: "third-party-RAG",
		Text: "the `knowledgeBaseIdentifier`: letters, digits and `._-`; default `third-party-RAG`"}},
	Drops:   []format.Drop{dropNoQuestion, dropNoAnswer, dropNoReference, dropNoContexts},
	Keys:    format.Documents("conversationTurns"),
	Formats: format.OnlyJSONL, Limits: bedrockLimits, Make: newBedrockRAG,
	Load: `aws s3 cp {file} "s3://$BUCKET/evaluation/"`,
}

// bedrockEval writes the lines of a judge's prompt data set.
type bedrockEval struct {
	*formatter
	model []byte
}

func newBedrockEval(purpose string, _ *format.Options) format.Formatter {
	f := &bedrockEval{}
	f.formatter = newFormatter(purpose, "bedrock_eval", record.NoNodes, f.append)
	return f
}

// Partition implements [format.Partitioned]: by model.
func (f *bedrockEval) Partition(row *record.Row) []byte {
	e := row.Subject()
	f.model = appendBedrockName(f.model[:0], e.Model)
	if len(f.model) == 0 {
		f.model = appendBedrockName(f.model, e.AppVersion)
	}
	return f.model
}

func (f *bedrockEval) append(_ *formatter, dst []byte, row *record.Row) (out []byte, drop string) {
	input, output, drop := f.inputAndOutput(row)
	if drop != "" {
		return dst, drop
	}
	model := f.Partition(row)
	if len(model) == 0 {
		return dst, dropNoModel.Reason
	}
	out = append(dst, `{"prompt":`...)
	out = jsonscan.AppendString(out, input)
	out = record.AppendOptional(out, "referenceResponse", record.ExpectedText(row))
	out = append(out, `,"category":`...)
	out = jsonscan.AppendString(out, bedrockCategory(row))
	out = append(out, `,"modelResponses":[{"response":`...)
	out = jsonscan.AppendString(out, output)
	out = append(out, `,"modelIdentifier":`...)
	out = jsonscan.AppendString(out, model)
	return append(out, `}]}`...), ""
}

// bedrockCategory returns the name or id of the app of a run, or of the node of a node run.
func bedrockCategory(row *record.Row) []byte {
	name, id := row.AppName, row.AppID
	if row.Node != nil {
		name, id = row.Node.NodeName, row.Node.NodeID
	}
	if record.IsBlank(name) {
		return id
	}
	return name
}

// bedrockRAG writes the lines of a retrieve-and-generate prompt data set.
type bedrockRAG struct {
	source []byte // `,"knowledgeBaseIdentifier":"…"`
	model  []byte
}

// bedrockName is the syntax of the name of a source of answers
// (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_EvaluationPrecomputedRetrieveAndGenerateSourceConfig.html
// and, for models, API_EvaluationPrecomputedInferenceSource.html).
var bedrockName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,255}$`)

const maxBedrockName = 256

func newBedrockRAG(purpose string, o *format.Options) format.Formatter {
	source := o.Text("knowledge_base", "third-party-RAG")
	if !bedrockName.MatchString(source) {
		o.Fail("option %q must be up to %d letters, digits and the characters ._- and begin with a letter or digit",
			"knowledge_base", maxBedrockName)
	}
	f := &bedrockRAG{source: record.AppendOptional(nil, "knowledgeBaseIdentifier", []byte(source))}
	return newFormatter(purpose, "bedrock_rag", record.WithChunks, f.append)
}

func (f *bedrockRAG) append(e *formatter, dst []byte, row *record.Row) (out []byte, drop string) {
	reference, contexts := record.ExpectedText(row), e.Contexts(row)
	switch { // before the texts, which are slower to find
	case reference == nil:
		return dst, dropNoReference.Reason
	case len(contexts) == 0:
		return dst, dropNoContexts.Reason
	}
	input, output, drop := e.inputAndOutput(row)
	if drop != "" {
		return dst, drop
	}
	out = append(dst, `{"conversationTurns":[{"prompt":{"content":[{"text":`...)
	out = jsonscan.AppendString(out, input)
	out = append(out, `}]},"referenceResponses":[{"content":[{"text":`...)
	out = jsonscan.AppendString(out, reference)
	out = append(out, `}]}],"output":{"text":`...)
	out = jsonscan.AppendString(out, output)
	f.model = appendBedrockName(f.model[:0], row.Subject().Model)
	out = record.AppendOptional(out, "modelIdentifier", f.model)
	out = append(out, f.source...)
	out = append(out, `,"retrievedPassages":{"retrievalResults":[`...)
	for i, text := range contexts {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"content":{"text":`...)
		out = append(jsonscan.AppendString(out, text), '}', '}')
	}
	return append(out, `]}}}]}`...), ""
}

// appendBedrockName appends a name in the syntax of bedrockName. It leaves out leading characters
// that the syntax forbids, and replaces others by "_". It appends nothing for a name without a
// letter or digit.
func appendBedrockName(dst, name []byte) []byte {
	start := len(dst)
	for _, c := range string(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		switch {
		case letter:
		case len(dst) == start:
			continue
		case c == '.' || c == '_' || c == '-':
		default:
			c = '_'
		}
		if dst = append(dst, byte(c)); len(dst)-start == maxBedrockName {
			break
		}
	}
	return dst
}
