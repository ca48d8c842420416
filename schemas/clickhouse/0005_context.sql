-- The two meanings of a group: what was asked, and what was asked in which context.
--
-- input_group follows a new rule, whose version begins its values: 02. Rows that were stored before keep
-- the values of the old rule, and have an empty context_hash. So they never share a group with new rows. To
-- group them by the new rule, replay their events.

ALTER TABLE {{table "runs"}} {{on_cluster}}
ADD COLUMN IF NOT EXISTS context_hash String COMMENT 'The same for all runs of the same system prompt and tools; with input_group the context group' CODEC(ZSTD(1)) AFTER input_group,
COMMENT COLUMN input_group 'The same for all runs that were asked the same: by messages, or by question and inputs';

ALTER TABLE {{table "nodes"}} {{on_cluster}}
ADD COLUMN IF NOT EXISTS context_hash String COMMENT 'The same for all runs of the node that were given the same messages, template, variables and tools; with input_group the context group' CODEC(ZSTD(1)) AFTER input_group,
COMMENT COLUMN input_group 'The same for all runs of the node that were asked the same: by inputs, variables or messages';
{{if on_cluster}}
ALTER TABLE runs {{on_cluster}}
ADD COLUMN IF NOT EXISTS context_hash String COMMENT 'The same for all runs of the same system prompt and tools; with input_group the context group' AFTER input_group,
COMMENT COLUMN input_group 'The same for all runs that were asked the same: by messages, or by question and inputs';

ALTER TABLE nodes {{on_cluster}}
ADD COLUMN IF NOT EXISTS context_hash String COMMENT 'The same for all runs of the node that were given the same messages, template, variables and tools; with input_group the context group' AFTER input_group,
COMMENT COLUMN input_group 'The same for all runs of the node that were asked the same: by inputs, variables or messages';
{{end}}
ALTER TABLE runs_latest {{on_cluster}}
COMMENT COLUMN input_group 'The same for all runs that were asked the same: by messages, or by question and inputs';

ALTER TABLE runs_with_feedback {{on_cluster}}
COMMENT COLUMN input_group 'The same for all runs that were asked the same: by messages, or by question and inputs';

ALTER TABLE nodes_latest {{on_cluster}}
COMMENT COLUMN input_group 'The same for all runs of the node that were asked the same: by inputs, variables or messages';
