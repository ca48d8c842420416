package optimization

import (
	"slices"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/sinks/fragment"
)

// Limits of a job of Bedrock's Advanced Prompt Optimization, which reads one file
// (https://docs.aws.amazon.com/bedrock/latest/userguide/advanced-prompt-optimization-quotas.html).
const (
	apoTemplates    = 10
	apoFileBytes    = 50_000_000 // the quota is in MB
	apoSamples      = 100        // of a template
	apoPlaceholders = 20         // of a template
)

// BedrockAPO is target bedrock_apo of node_optimization.
var BedrockAPO = format.Target{
	Name: "bedrock_apo", Purposes: []string{format.NodeOptimization},
	Reader: "[Amazon Bedrock Advanced Prompt " +
		"Optimization](https://docs.aws.amazon.com/bedrock/latest/userguide/advanced-prompt-optimization-input.html)",
	Shape: "one line a prompt template: " +
		"`{\"version\":\"bedrock-2026-05-14\",\"templateId\",\"promptTemplate\",\"evaluationSamples\":" +
		"[{\"inputVariables\":[{name: text}, …],\"referenceResponse\"?}]}`",
	Rules: []string{
		"placeholders are `{{name}}`, 1 to 20 of them; a template whose placeholders are all `{name}` is rewritten",
		"each sample has every placeholder and nothing else, an object each; a variable that is no text is its JSON",
		"1 to 100 samples a template, no two with the same variables: those with a reference first, then the newest, as " +
			"many as fit into 50 MB",
		"10 templates and 50 MB a file, since a job reads one file",
		"`referenceResponse` is the run's reference, else the corrected answer: right for the node that gives the run's " +
			"answer",
		"`templateId` is `template_id` of the canonical target; no evaluation method is named, which leaves it to " +
			"Bedrock's own judge",
	},
	Options: []format.Option{{Name: "references", Kind: format.Flag, Default: true,
		Text: "`false`: no sample has a `referenceResponse`, for a node whose output is not the run's answer"}},
	Drops: []format.Drop{
		{Reason: "no_template", Text: "the node run has no prompt template"},
		{Reason: "no_placeholder", Text: "the template has no placeholder, so that samples have nothing to fill in"},
		{Reason: "too_many_placeholders", Text: "the template has more than 20 placeholders"},
		{Reason: "malformed_placeholder", Text: "`{{…}}` in the template holds something other than a name of letters, " +
			"digits and underscores"},
		{Reason: "single_brace_placeholder", Text: "the template has both `{{name}}` and `{name}`, and Bedrock refuses the " +
			"latter"},
		{Reason: "missing_variable", Text: "a placeholder of the template has no variable in the node run, or null"},
		{Reason: "duplicate_sample", Text: "the template has a sample with the same variables that has a reference or is " +
			"newer"},
		{Reason: "template_full", Text: "the template has 100 samples, or 50 MB of them, that have a reference or are newer"},
	},
	Keys:    slices.Concat(format.Texts("version", "templateId", "promptTemplate"), format.Documents("evaluationSamples")),
	Formats: format.OnlyJSONL, Limits: fragment.Limits{MaxRecords: apoTemplates, MaxBytes: apoFileBytes},
	Make: newBedrockAPO,
	Load: `aws s3 cp {file} s3://BUCKET/apo.jsonl && aws bedrock create-advanced-prompt-optimization-job --job-name millrace ` +
		`--input-config s3Uri=s3://BUCKET/apo.jsonl --output-config s3Uri=s3://BUCKET/apo/ --model-configurations '[{"modelId":"MODEL"}]'`,
}

// bedrockAPO makes one record of the node runs of a prompt template.
//
// The variables of a sample are an object each, as the user guide asks: "Do NOT put multiple keys
// in one object", which it calls a silent failure.
//
// It keeps only the samples that the record will have. It drops the worst sample when there are
// more than apoSamples, or more bytes than a file may have.
type bedrockAPO struct {
	record.Reader
	references bool

	open      bool
	reason    string // to drop the rows of the template
	template  apoTemplate
	head      []byte           // the record without its samples
	best      apoQueue         // samples with a reference, from old to new
	rest      apoQueue         // samples without one, from old to new
	bytes     int              // of all samples, with a comma each
	number    int              // number of samples so far
	full      int              // samples that were dropped
	free      []apoSample      // memory for reuse
	variables record.Variables // of the current row
	sample    []byte
	record    []byte
	of        []format.Source
	made      []apoSample // the samples of the record
}

// apoKeptBytes is the largest buffer that is kept for the next template.
const apoKeptBytes = 4 << 20

func newBedrockAPO(_ string, o *format.Options) format.Formatter {
	return &bedrockAPO{references: o.Boolean("references", true)}
}

// Columns implements [format.Formatter].
func (f *bedrockAPO) Columns() []fragment.Column { return nil }

// Needs implements [format.Formatter].
func (f *bedrockAPO) Needs() record.Needs { return record.Needs{Group: record.ByTemplate} }

// Add implements [format.GroupFormatter].
func (f *bedrockAPO) Add(row *record.Row) (drop string, err error) {
	if !f.open {
		f.start(row.Node.PromptTemplate)
	}
	if f.reason != "" {
		return f.reason, nil
	}
	f.Reset()
	f.variables = f.AppendVariables(f.variables[:0], row.Node.PromptVariables)
	if err := f.RowError(row); err != nil {
		return "", err
	}
	text := append(f.sample[:0], `{"inputVariables":[`...)
	for i, name := range f.template.names {
		value := f.variables.Find(name)
		if value == nil {
			return "missing_variable", nil
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = jsonscan.AppendString(append(text, '{'), name)
		text = record.AppendValue(append(text, ':'), value)
		text = append(text, '}')
	}
	text = append(text, ']')
	inputs := text
	queue := &f.rest
	if reference := f.reference(row); len(reference) > 0 {
		text = append(text, `,"referenceResponse":`...)
		text = jsonscan.AppendString(text, reference)
		queue = &f.best
	}
	f.sample = append(text, '}')
	if queue == &f.rest && f.best.find(inputs) >= 0 {
		return "duplicate_sample", nil
	}
	for _, q := range [...]*apoQueue{&f.best, &f.rest} {
		if i := q.find(inputs); i >= 0 { // this sample is newer, or has a reference
			f.forget(q.remove(i))
			drop = "duplicate_sample" // the count is the same as if the other row were dropped
		}
	}
	f.keep(queue, len(inputs), row)
	return drop, nil
}

func (f *bedrockAPO) reference(row *record.Row) []byte {
	switch {
	case !f.references:
		return nil
	case len(row.Reference) == 0 && row.HasFeedback:
		return row.Feedback.CorrectedAnswer
	}
	return row.Reference
}

// start starts the group of a template.
func (f *bedrockAPO) start(template []byte) {
	f.open = true
	if f.reason = f.template.parse(template); f.reason != "" {
		return
	}
	head := append(f.head[:0], `{"version":"bedrock-2026-05-14","templateId":`...)
	head = record.AppendTemplateID(head, template)
	head = append(head, `,"promptTemplate":`...)
	head = jsonscan.AppendString(head, f.template.text)
	f.head = append(head, `,"evaluationSamples":[`...)
}

// keep puts the current sample into a queue, and drops the worst samples if there are too many.
func (f *bedrockAPO) keep(queue *apoQueue, inputs int, row *record.Row) {
	var s apoSample
	if n := len(f.free); n > 0 {
		s, f.free = f.free[n-1], f.free[:n-1]
	}
	f.number++
	s.number, s.text, s.inputs = f.number, append(s.text[:0], f.sample...), inputs
	s.source.Remember(row, nil)
	queue.push(s)
	f.bytes += len(f.sample) + 1
	const end = len(jsonscan.ByteOrderMark + "]}\n") // with a byte order mark, which is an option
	for f.best.count+f.rest.count > apoSamples || len(f.head)+f.bytes+end > apoFileBytes {
		worst := &f.rest
		if worst.count == 0 {
			worst = &f.best
		}
		if worst.count == 0 {
			break // the template alone is too large
		}
		f.full++
		f.forget(worst.remove(0))
	}
}

// forget drops a sample.
func (f *bedrockAPO) forget(s apoSample) {
	f.bytes -= len(s.text) + 1
	f.release(s)
}

// release keeps the memory of a sample for another one, unless it is larger than apoKeptBytes.
func (f *bedrockAPO) release(s apoSample) {
	if cap(s.text) <= apoKeptBytes/apoSamples && len(f.free) < apoSamples {
		f.free = append(f.free, s)
	}
}

// Flush implements [format.GroupFormatter].
func (f *bedrockAPO) Flush(emit func(record []byte, of ...format.Source) error, drop func(reason string, rows int),
	_ func(code string)) error {
	record, of := append(f.record[:0], f.head...), f.of[:0]
	made := f.made[:0]
	for f.best.count+f.rest.count > 0 {
		next := &f.best
		if next.count == 0 || f.rest.count > 0 && f.rest.at(0).number < next.at(0).number {
			next = &f.rest
		}
		s := next.remove(0)
		if len(of) > 0 {
			record = append(record, ',')
		}
		record, of, made = append(record, s.text...), append(of, s.source), append(made, s)
	}
	f.record, f.of, f.made = append(record, "]}"...), of, made
	if f.full > 0 {
		drop("template_full", f.full)
	}
	f.open, f.bytes, f.number, f.full = false, 0, 0, 0
	if len(of) == 0 {
		return nil
	}
	err := emit(f.record, of...)
	for _, s := range made {
		f.release(s)
	}
	clear(f.of)
	clear(f.made)
	if cap(f.record) > apoKeptBytes {
		f.record = nil
	}
	return err
}
