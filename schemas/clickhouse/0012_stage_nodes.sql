-- Beside runs that are staged, the node runs that the target reads are staged too, under an id of their own: started_at is
-- when their run started, so that they are in the order of the runs.

ALTER TABLE {{table "export_stage_rows"}} {{on_cluster}}
ADD COLUMN IF NOT EXISTS node_started_at DateTime64(3, 'UTC') COMMENT 'When the node run started, where started_at is that of its run' CODEC(Delta, ZSTD(1)) AFTER node_run_id;
{{if on_cluster}}
ALTER TABLE export_stage_rows {{on_cluster}}
ADD COLUMN IF NOT EXISTS node_started_at DateTime64(3, 'UTC') COMMENT 'When the node run started, where started_at is that of its run' AFTER node_run_id;
{{end}}
