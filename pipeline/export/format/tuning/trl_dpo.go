package tuning

import "github.com/millrace/millrace/pipeline/export/format"

// TRLDPO is target trl_dpo of fine_tuning.
var TRLDPO = format.Target{
	Name: "trl_dpo", Purposes: []string{format.FineTuning},
	Reader: "[TRL](https://huggingface.co/docs/trl/dataset_formats#preference), `DPOTrainer` and the other trainers of " +
		"preferences",
	Shape:   "`{\"prompt\": [messages], \"chosen\": [message], \"rejected\": [message]}`",
	Rules:   pairRules(trlRules...),
	Options: pairOptions(),
	Drops:   pairDrops(dropsPrompt),
	Keys:    format.Documents("prompt", "chosen", "rejected"),
	Formats: format.OnlyJSONL,
	Load:    "trl dpo --model_name_or_path Qwen/Qwen3-0.6B --dataset_name {dir} --output_dir trained",
	Make:    func(_ string, o *format.Options) format.Formatter { return newPairFormatter("trl_dpo", o, trlDPO) },
}

var trlDPO = pairShape{
	reader: reader{weights: weighsLast},
	check:  func(*conversation) string { return "" },
	prompt: appendTRLPrompt,
	record: func(dst, prompt, preferred, rejected []byte) []byte {
		dst = append(dst, prompt...)
		dst = appendAnswer(append(dst, `,"chosen":`...), preferred)
		dst = appendAnswer(append(dst, `,"rejected":`...), rejected)
		return append(dst, '}')
	},
}
