package suggest

import "testing"

func TestTheNearestValueIsSuggested(t *testing.T) {
	t.Parallel()
	values := []string{"canonical", "openai_chat", "openai_dpo", "trl_dpo", "langsmith", "ragas", "gemini", "csv"}
	for given, want := range map[string]string{"openai": "openai_chat", "open-ai-chat": "openai_chat", "dpo": "openai_dpo",
		"langsmth": "langsmith", "RAGAS": "ragas", "ragas2": "ragas", "gemni": "gemini", "excel": "", "": ""} {
		if got := Nearest(given, values); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}
