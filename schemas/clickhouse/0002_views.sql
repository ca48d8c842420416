-- What analysts read: deduplicated, so that nobody needs to know about FINAL.

CREATE VIEW IF NOT EXISTS runs_latest {{on_cluster}} AS
SELECT * FROM runs FINAL
COMMENT 'Runs, the newest snapshot of each';

ALTER TABLE runs_latest {{on_cluster}} {{comments_of "runs"}};

CREATE VIEW IF NOT EXISTS nodes_latest {{on_cluster}} AS
SELECT * FROM nodes FINAL
COMMENT 'Node runs, the newest snapshot of each';

ALTER TABLE nodes_latest {{on_cluster}} {{comments_of "nodes"}};

CREATE VIEW IF NOT EXISTS feedback_latest {{on_cluster}} AS
SELECT * FROM feedback FINAL
COMMENT 'Feedback, the newest snapshot of each';

ALTER TABLE feedback_latest {{on_cluster}} {{comments_of "feedback"}};

CREATE VIEW IF NOT EXISTS runs_with_feedback {{on_cluster}} AS
SELECT
    r.*,
    f.feedback_id AS feedback_id,
    f.rating AS feedback_rating,
    f.score AS feedback_score,
    f.comment AS feedback_comment,
    f.tags AS feedback_tags,
    f.corrected_answer AS feedback_corrected_answer
FROM (SELECT * FROM runs FINAL) AS r
LEFT JOIN
(
    SELECT workspace_id, run_id, feedback_id, toString(rating) AS rating, score, comment, tags, corrected_answer
    FROM feedback FINAL
    WHERE node_id = ''
    ORDER BY workspace_id, run_id, version DESC, feedback_id DESC
    LIMIT 1 BY workspace_id, run_id
) AS f ON r.workspace_id = f.workspace_id AND r.run_id = f.run_id
COMMENT 'Runs, the newest snapshot of each, with the newest feedback on the whole run; joins on every read, so not for dashboards';

ALTER TABLE runs_with_feedback {{on_cluster}} {{comments_of "runs"}},
COMMENT COLUMN feedback_id 'The newest feedback on the whole run; empty = there is none',
COMMENT COLUMN feedback_rating 'Its rating: thumbsUp, thumbsDown, or empty',
COMMENT COLUMN feedback_score 'Its score; NULL where only a rating was given',
COMMENT COLUMN feedback_comment 'What its judge wrote',
COMMENT COLUMN feedback_tags 'Its labels',
COMMENT COLUMN feedback_corrected_answer 'The answer as it should have been; empty = none';
