package tuning

import "github.com/millrace/millrace/pipeline/export/format"

// GeminiPreference is target gemini_preference of fine_tuning.
var GeminiPreference = format.Target{
	Name: "gemini_preference", Purposes: []string{format.FineTuning},
	Reader: "[Gemini on Vertex AI](https://cloud.google.com/vertex-ai/generative-ai/docs/models/" +
		"gemini-preference-tuning-prepare), preference tuning",
	Shape: "`{\"system_instruction\": {\"parts\": [{\"text\"}]}, \"contents\": [turns], \"completions\": [{\"score\": " +
		"1, \"completion\": turn}, " +
		"{\"score\": 0, \"completion\": turn}]}`",
	Rules: pairRules(
		"exactly two completions of text, the preferred one with score 1 and the other with 0",
		"turns as in `gemini`; the last one of `contents` is the user's",
	),
	Options: pairOptions(),
	Drops:   pairDrops(dropsAssistant1st, dropsPrompt),
	Keys:    format.Documents("system_instruction", "contents", "completions"),
	Formats: format.OnlyJSONL,
	Load:    "gcloud storage cp {file} gs://YOUR-BUCKET/",
	Make: func(_ string, o *format.Options) format.Formatter {
		return newPairFormatter("gemini_preference", o, geminiPreference)
	},
}

// geminiPreference has the key system_instruction in snake case, unlike supervised tuning.
var geminiPreference = pairShape{
	reader: reader{weights: weighsLast},
	check: func(c *conversation) (drop string) {
		if !c.userFirst() {
			return dropAssistant1st
		}
		return ""
	},
	prompt: func(dst []byte, c *conversation) []byte {
		dst = append(dst, '{')
		if c.system != nil {
			dst = append(dst, `"system_instruction":{"parts":[{"text":`...)
			dst = append(append(dst, c.system...), `}]},`...)
		}
		dst = append(dst, `"contents":[`...)
		return append(c.appendFlat(dst, c.prompt(), geminiTurns), ']')
	},
	record: func(dst, prompt, preferred, rejected []byte) []byte {
		dst = append(dst, prompt...)
		dst = append(dst, `,"completions":[{"score":1,"completion":{"role":"model","parts":[{"text":`...)
		dst = append(dst, preferred...)
		dst = append(dst, `}]}},{"score":0,"completion":{"role":"model","parts":[{"text":`...)
		dst = append(dst, rejected...)
		return append(dst, `}]}}]}`...)
	},
}
