package card

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/millrace/millrace/pipeline/export"
	"github.com/millrace/millrace/pipeline/export/format/targets"
)

// Names of sidecars, in MetaDir.
const (
	datasetInfo = "dataset_info.json"
	dspyKeys    = "dspy.json"
)

// Sidecar returns the name and the text of the file that the target's reader needs beside the
// records. The text is nil where the reader needs none, or where there are no records. InputKeys
// are the keys of inputs of all window manifests. Sidecar is a pure function of the plan and the
// window manifests.
func Sidecar(p *export.Plan, m *export.Manifest, inputKeys []string) (name string, text []byte) {
	target, err := targets.Find(p.Request.Purpose, p.Request.Target)
	splits := splitsOf(m)
	if err != nil || len(splits) == 0 {
		return "", nil
	}
	var doc any
	switch target.Sidecar {
	case datasetInfo:
		doc = datasetInfoOf(splits)
	case dspyKeys:
		doc = map[string]any{"input_keys": append([]string{}, inputKeys...), "output_keys": []string{"output"}}
	default:
		return "", nil
	}
	text, err = json.MarshalIndent(doc, "", "  ")
	if err != nil {
		panic(err) // the types are plain
	}
	return export.MetaDir + target.Sidecar, append(text, '\n')
}

// datasetInfoOf describes files in ShareGPT format as LLaMA-Factory reads them
// (https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md): each fragment, and each
// split as the one file into which a download joins its fragments.
func datasetInfoOf(splits []*split) map[string]any {
	info := map[string]any{}
	add := func(name, file string) {
		info[name] = map[string]any{
			"file_name": file, "formatting": "sharegpt",
			"columns": map[string]string{"messages": "conversations", "system": "system", "tools": "tools"},
			"tags": map[string]string{
				"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt",
				"function_tag": "function_call", "observation_tag": "observation",
			},
		}
	}
	for _, s := range splits {
		for _, f := range s.files {
			base, extension, _ := strings.Cut(path.Base(f.Key), ".")
			add(s.name, "../"+s.name+"."+extension)
			add(base[:max(0, strings.LastIndexByte(base, '-'))], "../"+f.Key) // without the attempt
		}
	}
	return info
}
