-- Every judgement counts: the feedback on a run is merged, field by field, from all judgements on it. A person's come
-- before a model's and code's, and newer ones before older ones.
--
-- Feedback that was stored before is a person's, and has no name.

ALTER TABLE {{table "feedback"}} {{on_cluster}}
ADD COLUMN IF NOT EXISTS name LowCardinality(String) COMMENT 'What the score measures; empty = the run or node as a whole' AFTER feedback_id,
ADD COLUMN IF NOT EXISTS kind LowCardinality(String) DEFAULT 'human' COMMENT 'Who judged: human, model or code' AFTER name,
ADD COLUMN IF NOT EXISTS node_run_id String COMMENT 'The node run it is about; empty = every one of its node, or the whole run' CODEC(ZSTD(1)) AFTER node_id;

ALTER TABLE {{table "export_stage"}} {{on_cluster}}
ADD COLUMN IF NOT EXISTS feedback_scores Array(Tuple(name String, value Nullable(Float64), label String)) COMMENT 'The newest score of each name' CODEC(ZSTD(1)) AFTER feedback_corrected_answer,
ADD COLUMN IF NOT EXISTS feedback_judgements String COMMENT 'The judgements on the run, the newest first, each a row of RowBinary, for exports that show them' CODEC(LZ4) AFTER feedback_scores,
COMMENT COLUMN feedback_id 'The judgement on the run that comes first; empty = there was none',
COMMENT COLUMN feedback_rating 'The first rating: thumbsUp, thumbsDown, or empty',
COMMENT COLUMN feedback_score 'The first score without a name; NULL = none',
COMMENT COLUMN feedback_comment 'The first comment',
COMMENT COLUMN feedback_tags 'The first labels',
COMMENT COLUMN feedback_corrected_answer 'The first corrected answer; empty = none';

ALTER TABLE {{table "export_stage_rows"}} {{on_cluster}}
ADD COLUMN IF NOT EXISTS feedback_scores Array(Tuple(name String, value Nullable(Float64), label String)) COMMENT 'The newest score of each name' CODEC(ZSTD(1)) AFTER feedback_corrected_answer,
ADD COLUMN IF NOT EXISTS feedback_judgements String COMMENT 'The judgements on the run, the newest first, each a row of RowBinary, for exports that show them' CODEC(LZ4) AFTER feedback_scores,
COMMENT COLUMN feedback_id 'The judgement on the run or node run that comes first; empty = there was none',
COMMENT COLUMN feedback_rating 'The first rating: thumbsUp, thumbsDown, or empty',
COMMENT COLUMN feedback_score 'The first score without a name; NULL = none',
COMMENT COLUMN feedback_comment 'The first comment',
COMMENT COLUMN feedback_tags 'The first labels',
COMMENT COLUMN feedback_corrected_answer 'The first corrected answer; empty = none',
COMMENT COLUMN feedback_on_node 'Whether the corrected answer is one of the node, and not of the whole run';
{{if on_cluster}}
ALTER TABLE feedback {{on_cluster}}
ADD COLUMN IF NOT EXISTS name LowCardinality(String) COMMENT 'What the score measures; empty = the run or node as a whole' AFTER feedback_id,
ADD COLUMN IF NOT EXISTS kind LowCardinality(String) DEFAULT 'human' COMMENT 'Who judged: human, model or code' AFTER name,
ADD COLUMN IF NOT EXISTS node_run_id String COMMENT 'The node run it is about; empty = every one of its node, or the whole run' AFTER node_id;

ALTER TABLE export_stage {{on_cluster}}
ADD COLUMN IF NOT EXISTS feedback_scores Array(Tuple(name String, value Nullable(Float64), label String)) COMMENT 'The newest score of each name' AFTER feedback_corrected_answer,
ADD COLUMN IF NOT EXISTS feedback_judgements String COMMENT 'The judgements on the run, the newest first, each a row of RowBinary, for exports that show them' AFTER feedback_scores,
COMMENT COLUMN feedback_id 'The judgement on the run that comes first; empty = there was none',
COMMENT COLUMN feedback_rating 'The first rating: thumbsUp, thumbsDown, or empty',
COMMENT COLUMN feedback_score 'The first score without a name; NULL = none',
COMMENT COLUMN feedback_comment 'The first comment',
COMMENT COLUMN feedback_tags 'The first labels',
COMMENT COLUMN feedback_corrected_answer 'The first corrected answer; empty = none';

ALTER TABLE export_stage_rows {{on_cluster}}
ADD COLUMN IF NOT EXISTS feedback_scores Array(Tuple(name String, value Nullable(Float64), label String)) COMMENT 'The newest score of each name' AFTER feedback_corrected_answer,
ADD COLUMN IF NOT EXISTS feedback_judgements String COMMENT 'The judgements on the run, the newest first, each a row of RowBinary, for exports that show them' AFTER feedback_scores,
COMMENT COLUMN feedback_id 'The judgement on the run or node run that comes first; empty = there was none',
COMMENT COLUMN feedback_rating 'The first rating: thumbsUp, thumbsDown, or empty',
COMMENT COLUMN feedback_score 'The first score without a name; NULL = none',
COMMENT COLUMN feedback_comment 'The first comment',
COMMENT COLUMN feedback_tags 'The first labels',
COMMENT COLUMN feedback_corrected_answer 'The first corrected answer; empty = none',
COMMENT COLUMN feedback_on_node 'Whether the corrected answer is one of the node, and not of the whole run';
{{end}}
CREATE OR REPLACE VIEW feedback_latest {{on_cluster}} AS
SELECT * FROM feedback FINAL
COMMENT 'Feedback, the newest snapshot of each';

ALTER TABLE feedback_latest {{on_cluster}} {{comments_of "feedback"}},
COMMENT COLUMN name 'What the score measures; empty = the run or node as a whole',
COMMENT COLUMN kind 'Who judged: human, model or code',
COMMENT COLUMN node_run_id 'The node run it is about; empty = every one of its node, or the whole run';

CREATE OR REPLACE VIEW runs_with_feedback {{on_cluster}} AS
SELECT
    r.*,
    f.feedback_id AS feedback_id,
    f.feedback_rating AS feedback_rating,
    f.feedback_score AS feedback_score,
    f.feedback_comment AS feedback_comment,
    f.feedback_tags AS feedback_tags,
    f.feedback_corrected_answer AS feedback_corrected_answer,
    f.feedback_scores AS feedback_scores,
    f.feedback_judgements AS feedback_judgements
FROM runs_latest AS r
LEFT JOIN
(
    SELECT workspace_id, run_id,
    tupleElement(tupleElement(judged, 'judgement'), 'feedback_id')[1] AS feedback_id,
    arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'rating')) AS feedback_rating,
    arrayFirst((v, n) -> n = '' AND isNotNull(v), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'name')) AS feedback_score,
    arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'comment')) AS feedback_comment,
    arrayFirst(v -> notEmpty(v), tupleElement(tupleElement(judged, 'judgement'), 'tags')) AS feedback_tags,
    arrayFirst(v -> v != '', tupleElement(tupleElement(judged, 'judgement'), 'corrected_answer')) AS feedback_corrected_answer,
    arrayReverseSort(arrayFilter((j, n, v) -> n != '' AND isNotNull(v),
        arrayZip(tupleElement(judged, 'version'), tupleElement(tupleElement(judged, 'judgement'), 'feedback_id'),
        tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'), tupleElement(tupleElement(judged, 'judgement'), 'rating')),
        tupleElement(tupleElement(judged, 'judgement'), 'name'), tupleElement(tupleElement(judged, 'judgement'), 'score'))) AS feedback_named,
    CAST(arrayMap(j -> (j.3, j.4, j.5), arrayFilter((j, i) -> i = 1, feedback_named,
        arrayEnumerateUniq(feedback_named.3))), 'Array(Tuple(name String, value Nullable(Float64), label String))') AS feedback_scores,
    arrayMax(tupleElement(judged, 'ingested_at')) AS feedback_ingested_at,
    arraySlice(arrayReverseSort((j, v, i) -> (v, i), tupleElement(judged, 'judgement'),
        tupleElement(judged, 'version'), tupleElement(tupleElement(judged, 'judgement'), 'feedback_id')), 1, 1000) AS feedback_judgements
    FROM
    (
    SELECT workspace_id, run_id, CAST(arrayReverseSort(groupArray((kind = 'human', version, tuple(feedback_id, toString(name), toString(kind), toString(rating), score, comment, tags, corrected_answer, created_by, created_at), ingested_at))), 'Array(Tuple(human UInt8, version UInt64, judgement Tuple(feedback_id String, name String, kind String, rating String, score Nullable(Float64), comment String, tags Array(String), corrected_answer String, created_by String, created_at Nullable(DateTime64(3, \'UTC\'))), ingested_at DateTime64(6, \'UTC\')))') AS judged
    FROM feedback FINAL WHERE node_id = '' AND node_run_id = '' GROUP BY workspace_id, run_id
    )
) AS f ON r.workspace_id = f.workspace_id AND r.run_id = f.run_id
COMMENT 'Runs, the newest snapshot of each, with the feedback on the whole run; joins on every read, so not for dashboards';

ALTER TABLE runs_with_feedback {{on_cluster}} {{comments_of "runs"}},
COMMENT COLUMN input_group 'The same for all runs that were asked the same: by messages, or by question and inputs',
COMMENT COLUMN context_hash 'The same for all runs of the same system prompt and tools; with input_group the context group',
COMMENT COLUMN IF EXISTS feedback_id 'The judgement on the whole run that comes first; empty = there is none',
COMMENT COLUMN IF EXISTS feedback_rating 'The rating of the first judgement that has one: thumbsUp, thumbsDown, or empty',
COMMENT COLUMN IF EXISTS feedback_score 'The score of the first judgement without a name that has one; NULL = none',
COMMENT COLUMN IF EXISTS feedback_comment 'The first comment',
COMMENT COLUMN IF EXISTS feedback_tags 'The labels of the first judgement that has some',
COMMENT COLUMN IF EXISTS feedback_corrected_answer 'The first corrected answer; empty = none',
COMMENT COLUMN IF EXISTS feedback_scores 'The newest score of each name, with the rating beside it as label',
COMMENT COLUMN IF EXISTS feedback_judgements 'The judgements on the whole run, the newest first, at most 1,000';
