package export

import "slices"

// Purposes.
const (
	ExportDataset    = "export_dataset"
	RecipeEvaluation = "recipe_evaluation"
	NodeEvaluation   = "node_evaluation"
	NodeOptimization = "node_optimization"
	FineTuning       = "fine_tuning"
)

// Canonical is the target that keeps what the producer sent.
const Canonical = "canonical"

// Formats and compressions.
const (
	JSONL   = "jsonl"
	JSON    = "json"
	CSV     = "csv"
	Parquet = "parquet"

	NoCompression = "none"
	Gzip          = "gzip"
	Zstd          = "zstd"
)

// Running is the status that the default of filters.statuses leaves out.
const Running = "running"

var (
	purposes      = []string{ExportDataset, RecipeEvaluation, NodeEvaluation, NodeOptimization, FineTuning}
	sources       = []string{"copilot", "recipe"}
	statuses      = []string{Running, "succeeded", "failed", "cancelled"}
	finalStatuses = []string{"cancelled", "failed", "succeeded"} // sorted
	ratings       = []string{"thumbsUp", "thumbsDown"}
	formats       = []string{JSONL, JSON, CSV, Parquet}
	compressions  = []string{NoCompression, Gzip, Zstd}
	windowsBy     = []string{ByStartedAt, ByIngestedAt}
)

var evaluationTargets = []string{
	Canonical, "karini_csv", "ragas", "deepeval", "langsmith", "langfuse", "mlflow", "inspect", "openai_evals", "promptfoo",
	"bedrock_eval", "bedrock_rag",
}

// targets lists the targets of each purpose, the default first.
var targets = map[string][]string{
	ExportDataset:    {Canonical, "answer_insights"},
	RecipeEvaluation: evaluationTargets,
	NodeEvaluation:   evaluationTargets,
	NodeOptimization: {Canonical, "dspy", "bedrock_apo"},
	FineTuning: {
		"openai_chat", "together", "mistral", "bedrock_conversation", "bedrock_distillation", "gemini", "sharegpt",
		"trl_prompt_completion", "trl_kto", "openai_dpo", "trl_dpo", "gemini_preference",
	},
}

// allTargets are those of any purpose.
var allTargets = func() []string {
	var all []string
	for _, purpose := range purposes {
		all = append(all, targets[purpose]...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}()

// targetFormats returns the formats that a target may have, the default first.
func targetFormats(target string) []string {
	switch target {
	case Canonical:
		return formats
	case "karini_csv":
		return []string{CSV}
	case "answer_insights":
		return []string{JSON}
	}
	return []string{JSONL}
}

// Limits of requests.
const (
	maxRunIDs      = 10_000
	maxRecordsCap  = 1_000_000
	defaultRecords = 150
	parquetRecords = 100_000
	defaultBytes   = 64 << 20
)

func defaultFragment(purpose, format string) Fragment {
	switch {
	case purpose == FineTuning:
		return Fragment{} // one file, and the target's own limit of bytes
	case format == Parquet:
		return Fragment{MaxRecords: parquetRecords, MaxBytes: defaultBytes}
	}
	return Fragment{MaxRecords: defaultRecords, MaxBytes: defaultBytes}
}
