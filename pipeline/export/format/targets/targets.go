// Package targets has the list of all targets. A new target is one file in the folder of its
// purpose and one entry here: see package format.
package targets

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/dataset"
	"github.com/millrace/millrace/pipeline/export/format/evaluation"
	"github.com/millrace/millrace/pipeline/export/format/optimization"
	"github.com/millrace/millrace/pipeline/export/format/tuning"
	"github.com/millrace/millrace/sinks/fragment"
)

// list has all targets. The first one of a purpose is its default.
var list = []*format.Target{
	&dataset.Canonical,
	&dataset.AnswerInsights,
	&evaluation.RecipeCanonical, &evaluation.NodeCanonical, // the other targets have both purposes
	&evaluation.RecipeKarini, &evaluation.NodeKarini,
	&evaluation.Ragas,
	&evaluation.DeepEval,
	&evaluation.LangSmith,
	&evaluation.Langfuse,
	&evaluation.MLflow,
	&evaluation.Inspect,
	&evaluation.OpenAIEvals,
	&evaluation.Promptfoo,
	&evaluation.BedrockEval,
	&evaluation.BedrockRAG,
	&optimization.Canonical,
	&optimization.DSPy,
	&optimization.BedrockAPO,
	&tuning.OpenAIChat,
	&tuning.Together,
	&tuning.Mistral,
	&tuning.BedrockConversation,
	&tuning.BedrockDistillation,
	&tuning.Gemini,
	&tuning.ShareGPT,
	&tuning.TRLPromptCompletion,
	&tuning.TRLKTO,
	&tuning.OpenAIDPO,
	&tuning.TRLDPO,
	&tuning.GeminiPreference,
}

// Targets returns the targets of a purpose, the default first.
func Targets(purpose string) (all []*format.Target) {
	for _, t := range list {
		if slices.Contains(t.Purposes, purpose) {
			all = append(all, t)
		}
	}
	return all
}

// Names returns the names of targets.
func Names(all []*format.Target) []string {
	names := make([]string, len(all))
	for i, t := range all {
		names[i] = t.Name
	}
	return names
}

// Find returns a target of a purpose. The error names the possible purposes or targets.
func Find(purpose, target string) (*format.Target, error) {
	possible := Targets(purpose)
	for _, t := range possible {
		if t.Name == target {
			return t, nil
		}
	}
	if possible == nil {
		return nil, fmt.Errorf("there is no purpose %.100q; there are %s", purpose, strings.Join(format.Purposes, ", "))
	}
	return nil, fmt.Errorf("%s has the targets %s", purpose, strings.Join(Names(possible), ", "))
}

// New returns the formatter of a purpose and a target: see [format.Target.Formatter].
func New(purpose, target string, options map[string]any) (format.Formatter, error) {
	t, err := Find(purpose, target)
	if err != nil {
		return nil, err
	}
	return t.Formatter(purpose, options)
}

// NewStream returns a stream for one window: see [format.Target.Stream].
func NewStream(purpose, target string, options map[string]any, shares *format.Shares,
	out format.Output) (*format.Stream, error) {
	t, err := Find(purpose, target)
	if err != nil {
		return nil, err
	}
	return t.Stream(purpose, options, shares, out)
}

// NewEncoder returns the encoder of the files of a target: see [format.Target.Encoder].
func NewEncoder(purpose, target, format, compression string, options map[string]any,
	metadata map[string]string) (fragment.Encoder, error) {
	t, err := Find(purpose, target)
	if err != nil {
		return nil, err
	}
	return t.Encoder(purpose, format, compression, options, metadata)
}
