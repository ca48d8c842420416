-- A batch of ingest becomes a part whose columns are one file: 20 files to make and delete, and not 210 as with files of
-- their own for each column. Parts of 128 MiB, before compression, have these as before.

ALTER TABLE {{table "runs"}} {{on_cluster}} MODIFY SETTING min_bytes_for_wide_part = 134217728;

ALTER TABLE {{table "nodes"}} {{on_cluster}} MODIFY SETTING min_bytes_for_wide_part = 134217728;
