-- What was stored in a time is found without reading the rest: an export by ingested_at asks for the parts
-- of runs that arrived in its window. A granule whose times are all outside of it is skipped.

ALTER TABLE {{table "runs"}} {{on_cluster}} ADD INDEX IF NOT EXISTS ingested_at_minmax ingested_at TYPE minmax GRANULARITY 1;

ALTER TABLE {{table "nodes"}} {{on_cluster}} ADD INDEX IF NOT EXISTS ingested_at_minmax ingested_at TYPE minmax GRANULARITY 1;

ALTER TABLE {{table "feedback"}} {{on_cluster}} ADD INDEX IF NOT EXISTS ingested_at_minmax ingested_at TYPE minmax GRANULARITY 1;

-- For the rows that are there; in the background.

ALTER TABLE {{table "runs"}} {{on_cluster}} MATERIALIZE INDEX ingested_at_minmax;

ALTER TABLE {{table "nodes"}} {{on_cluster}} MATERIALIZE INDEX ingested_at_minmax;

ALTER TABLE {{table "feedback"}} {{on_cluster}} MATERIALIZE INDEX ingested_at_minmax;
