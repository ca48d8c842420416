-- A batch of ingest becomes a part whose columns are one file, and not two files each: 90 files fewer to make, sync and
-- delete when parts are merged. Merged parts of 128 MiB, before compression, have a file a column as before.

ALTER TABLE {{table "runs"}} {{on_cluster}} MODIFY SETTING min_bytes_for_wide_part = 134217728;

ALTER TABLE {{table "nodes"}} {{on_cluster}} MODIFY SETTING min_bytes_for_wide_part = 134217728;
