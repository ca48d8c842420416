package events

import (
	"strings"
	"testing"
)

// A field of the contract: its path in the data ("[]" is any element), the kind of its value, and
// whether it may be absent or null.
type field struct {
	path, kind string
	required   bool // Millrace refuses its absence
	nullable   bool // null means absent
	// Other fields decide what is allowed here, so rules_test.go tests absence and other valid
	// values.
	conditional bool
}

type contract struct {
	eventType string
	open      bool   // unknown fields are accepted
	nullable  bool   // every optional field may be null
	limits    bool   // free JSON is checked for U+0000 and size
	variants  string // merge patches of the example, one a line, for fields that the example cannot have
	fields    string // path, kind, flags
}

// contracts states the contract a second time, literally, so that a schema cannot lose a rule
// unnoticed.
var contracts = []contract{
	{
		eventType: "dev.millrace.run.v1", open: true, nullable: true, limits: true,
		fields: `
			workspace_id workspace required
			run_id id required
			source enum:copilot|recipe required
			app_id id required
			started_at time required
			status enum:running|succeeded|failed|cancelled required
			app_name text
			app_version text
			request_id text
			session_id text
			user_id text
			model text
			trace_id text
			trigger text
			ended_at time
			question text
			answer text
			reference text
			inputs object
			system_inputs object
			outputs object` + chat + outcome,
	},
	{
		eventType: "dev.millrace.node.v1", open: true, nullable: true, limits: true,
		fields: `
			workspace_id workspace required
			run_id id required
			node_run_id id required
			source enum:copilot|recipe required
			app_id id required
			app_version text
			node_id id required
			node_name text
			node_type text
			parent_node_run_id id
			sequence int
			started_at time required
			ended_at time
			status enum:running|succeeded|failed|cancelled required
			inputs object
			outputs object
			prompt object
			prompt.template text
			prompt.variables object
			model text
			parameters object
			chunks array
			chunks[] element
			chunks[].chunk_id text
			chunks[].text text
			chunks[].score number
			chunks[].source_uri text
			chunks[].title text
			chunks[].sent_to_llm bool
			chunks[].used_in_answer bool` + chat + outcome,
	},
	{
		eventType: "dev.millrace.feedback.v1", open: true, nullable: true, limits: true,
		fields: `
			workspace_id workspace required
			run_id id required
			feedback_id id required
			name text
			kind enum:human|model|code
			rating enum:thumbsUp|thumbsDown
			score number
			comment text
			tags array
			tags[] text required
			corrected_answer text
			node_id id
			node_run_id id
			created_by text
			created_at time
			updated_at time`,
	},
	{
		eventType: "dev.millrace.export.requested.v1", limits: true,
		variants: `{"selection": {"window": null, "limit": null, "run_ids": ["0199a6b2-7c1e-7d40-9a53-0f2b6f4f8a11"]}}
			{"selection": {"limit": null, "limit_runs": 100}}
			{"selection": {"limit": null, "sample": {"size": 100, "seed": 7, "by": "version"}}}
			{"purpose": "export_dataset", "nodes": null,
			 "options": {"with_nodes": true, "columns": ["question", "answer"], "csv_raw": true, "excel": true}}
			{"purpose": "fine_tuning", "target": "trl_dpo",
				"options": {"only_rated": true, "dedupe": false, "system": "drop", "tools": true, "pairs_per_input": 2}}`,
		fields: `
			export_id id required
			workspace_id workspace required
			name text
			requested_by text
			on_behalf_of text
			purpose enum:export_dataset|recipe_evaluation|node_evaluation|node_optimization|fine_tuning required conditional
			source enum:copilot|recipe required
			app_id apps conditional
			selection object required
			selection.run_ids array conditional
			selection.run_ids[] id required
			selection.limit positive
			selection.limit_runs positive
			selection.sample object
			selection.sample.size positive required
			selection.sample.seed int
			selection.sample.by text
			selection.window object
			selection.window.by enum:started_at|ingested_at
			selection.window.from time required
			selection.window.to end required
			filters object
			filters.app_versions array
			filters.app_versions[] text required
			filters.statuses array
			filters.statuses[] enum:running|succeeded|failed|cancelled required
			filters.text words
			filters.models array
			filters.models[] text required
			filters.triggers array
			filters.triggers[] text required
			filters.error_types array
			filters.error_types[] text required
			filters.tags array
			filters.tags[] text required
			filters.rating enum:thumbsUp|thumbsDown|none|notThumbsDown
			filters.min_score number
			filters.scores ranges
			filters.min_latency_ms int
			filters.max_latency_ms int
			filters.min_cost_usd number
			filters.max_cost_usd number
			filters.has_files bool
			filters.session_id text
			filters.user_id text
			filters.metadata labels
			nodes array conditional
			nodes[] id required
			target enum: conditional
			format enum: conditional
			compression enum:none|gzip|zstd
			fragment object
			fragment.max_records records
			fragment.max_bytes positive
			split object
			split.validation share
			split.test share
			split.seed int
			options object
			options.bom bool
			options.csv_raw bool
			options.excel bool
			options.with_nodes bool
			options.columns array
			options.columns[] text required
			options.only_rated bool
			options.dedupe bool
			options.system text
			options.tools bool
			options.pairs_per_input positive`,
	},
	{
		eventType: "dev.millrace.export.cancelled.v1",
		fields: `
			export_id id required
			workspace_id workspace required
			requested_by text`,
	},
	{
		eventType: "dev.millrace.export.progressed.v1", open: true,
		variants: `{"cancelling": true, "retrying":
			{"stage": "extract", "code": "store_failed", "message": "permission denied", "since": "2026-11-02T08:00:00.000Z",
			"attempts": 3}}`,
		fields: identifying + `
			source enum:copilot|recipe required
			purpose enum:export_dataset|recipe_evaluation|node_evaluation|node_optimization|fine_tuning required
			app_id joined
			target enum: required conditional
			format enum:jsonl|json|csv|parquet required
			requested_at time required
			status enum:accepted|running required
			percent_done percent required
			rows_done count required
			rows_planned count required
			records count required
			windows_done count required
			windows_planned count required
			fragments count required
			bytes count required
			dropped counts required
			at time required
			cancelling bool
			retrying object
			retrying.stage enum:plan|extract|seal required
			retrying.code code required
			retrying.message text required
			retrying.since time required
			retrying.attempts count required`,
	},
	{
		eventType: "dev.millrace.export.completed.v1", open: true,
		variants: `{"status": "failed", "error":
			{"code": "unknown_target", "message": "no such target", "retryable": false, "pointer": "/target"}}`,
		fields: identifying + `
			source enum:copilot|recipe conditional
			purpose enum:export_dataset|recipe_evaluation|node_evaluation|node_optimization|fine_tuning conditional
			app_id joined
			target enum: conditional
			format enum:jsonl|json|csv|parquet conditional
			requested_at time conditional
			status enum:succeeded|failed|cancelled required conditional
			records count required
			rows_planned count conditional
			rows_used count conditional
			vanished count nullable
			dropped counts required
			fragments count required
			bytes count required
			manifest_uri uri required
			manifest_sha256 sha256 required
			watermark time nullable
			load_with text nullable
			warnings array nullable
			warnings[] element
			warnings[].code code required
			warnings[].message text required
			error object nullable
			error.code code required
			error.message text required
			error.retryable bool required
			error.pointer pointer nullable
			accepted_at time conditional
			completed_at time required`,
	},
	{
		eventType: "dev.millrace.audit.v1", open: true,
		variants: `{"action": "viewed", "run_id": "0199a6b2-7c1e-7d40-9a53-0f2b6f4f8a11"}`,
		fields: `
			at time required
			workspace_id text required
			subject text required
			on_behalf_of text nullable
			action enum:filed|cancelled|deleted|ended|viewed|downloaded|signed_in|signed_out|refused required
			outcome text required
			export_id text nullable
			run_id text nullable
			file text nullable
			operation text nullable
			address text nullable
			via enum:serve|plan|seal required
			count count required`,
	},
}

// The fields that runs and node runs share.
const chat = `
	messages array
	messages[] element
	messages[].role text required
	messages[].content content
	messages[].content[] element
	messages[].name text
	messages[].tool_calls array
	messages[].tool_calls[] element
	messages[].tool_call_id text
	tools array
	tools[] element`

const outcome = `
	error object
	error.type text
	error.message text
	files array
	files[] element
	files[].file_id text
	files[].name text
	files[].uri text
	files[].content_type text
	files[].size_bytes int
	files[].direction enum:input|output
	usage object
	usage.input_tokens int
	usage.output_tokens int
	cost_usd number
	metadata labels
	updated_at time`

// The fields that progress and completions share.
const identifying = `
	export_id id required
	workspace_id workspace required
	name text nullable
	requested_by text nullable
	on_behalf_of text nullable
	nodes array nullable
	nodes[] id required`

func (c contract) table(t *testing.T) []field {
	t.Helper()
	var fields []field
	for line := range strings.Lines(strings.TrimSpace(c.fields)) {
		words := strings.Fields(line)
		f := field{path: words[0], kind: words[1]}
		for _, flag := range words[2:] {
			switch flag {
			case "required":
				f.required = true
			case "nullable":
				f.nullable = true
			case "conditional":
				f.conditional = true
			default:
				t.Fatalf("%s: flag %q", f.path, flag)
			}
		}
		if f.kind == "element" {
			f.required = true // an element of a list cannot be null
		}
		f.nullable = f.nullable || c.nullable && !f.required
		fields = append(fields, f)
	}
	return fields
}
