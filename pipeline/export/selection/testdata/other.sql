-- newest run
-- app = app
-- k = 100
-- source = recipe
-- workspace = acme
SELECT toString(if(count() = {k:UInt64}, min(toUnixTimestamp64Milli(started_at)), 0)) FROM (
    SELECT started_at FROM runs WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} ORDER BY started_at DESC LIMIT {k:UInt64}
);

-- found runs
-- app = app
-- run_ids = run-1
-- source = recipe
-- workspace = acme
SELECT DISTINCT run_id FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND run_id IN (splitByChar(',', {run_ids:String}));

-- server time
SELECT toString(toUnixTimestamp64Micro(now64(6)));

-- newest node run
-- app = app
-- k = 100
-- nodes = draft,solve
-- source = recipe
-- workspace = acme
SELECT toString(if(count() = {k:UInt64}, min(toUnixTimestamp64Milli(started_at)), 0)) FROM (
    SELECT started_at FROM nodes WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String})) ORDER BY started_at DESC LIMIT {k:UInt64}
);

-- variables
-- app = app
-- limit = 1000
-- nodes = draft,solve
-- source = recipe
-- workspace = acme
SELECT DISTINCT arrayJoin(arrayPushFront(arrayMap(k -> concat('v', k), JSONExtractKeys(variables)), concat('t', type))) AS name
FROM (SELECT s.prompt_variables AS variables, s.node_type AS type FROM (SELECT started_at, run_id, ingested_at, prompt_variables, node_type, node_run_id, node_id, metadata FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND node_id IN (splitByChar(',', {nodes:String}))) AS s
ORDER BY s.started_at DESC, s.run_id DESC, s.node_run_id DESC LIMIT {limit:UInt64} BY s.node_id)
ORDER BY name LIMIT 1000;

-- newest runs
-- app = app
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT run_id FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY run_id ORDER BY max(started_at) DESC LIMIT {limit:UInt64};

-- known nodes
-- app = app
-- asked = 6472616674,736f6c7665
-- limit = 12
-- source = recipe
-- workspace = acme
SELECT CAST(node_id, 'String') AS name FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (node_id, started_at) IN (
    SELECT node_id AS name, max(started_at) FROM nodes WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known nodes, all
-- app = app
-- asked = 6472616674,736f6c7665
-- limit = 12
-- source = recipe
-- workspace = acme
SELECT CAST(node_id, 'String') AS name FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known versions
-- app = app
-- asked = 7631,7632
-- limit = 12
-- source = recipe
-- workspace = acme
SELECT CAST(app_version, 'String') AS name FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (app_version, started_at) IN (
    SELECT app_version AS name, max(started_at) FROM nodes WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known versions, all
-- app = app
-- asked = 7631,7632
-- limit = 12
-- source = recipe
-- workspace = acme
SELECT CAST(app_version, 'String') AS name FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known models
-- app = app
-- asked = 6d
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(model, 'String') AS name FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (model, started_at) IN (
    SELECT model AS name, max(started_at) FROM nodes WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known models, all
-- app = app
-- asked = 6d
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(model, 'String') AS name FROM nodes FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known triggers
-- app = app
-- asked = 63686174
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(trigger, 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (trigger, started_at) IN (
    SELECT trigger AS name, max(started_at) FROM runs WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known triggers, all
-- app = app
-- asked = 63686174
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(trigger, 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known sessions
-- app = app
-- asked = 612073657373696f6e
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(session_id, 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (session_id, started_at) IN (
    SELECT session_id AS name, max(started_at) FROM runs WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known sessions, all
-- app = app
-- asked = 612073657373696f6e
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(session_id, 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known users
-- app = app
-- asked = 612075736572
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(user_id, 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} AND (user_id, started_at) IN (
    SELECT user_id AS name, max(started_at) FROM runs WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known users, all
-- app = app
-- asked = 612075736572
-- limit = 11
-- source = recipe
-- workspace = acme
SELECT CAST(user_id, 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND source = {source:String} AND app_id = {app:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known apps
-- asked = 72656369706520617070
-- limit = 11
-- workspace = acme
SELECT CAST(concat(source, ' ', app_id), 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} AND (concat(source, ' ', app_id), started_at) IN (
    SELECT concat(source, ' ', app_id) AS name, max(started_at) FROM runs WHERE NOT superseded AND workspace_id = {workspace:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64}
) GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};

-- known apps, all
-- asked = 72656369706520617070
-- limit = 11
-- workspace = acme
SELECT CAST(concat(source, ' ', app_id), 'String') AS name FROM runs FINAL WHERE NOT superseded AND workspace_id = {workspace:String} GROUP BY name ORDER BY name IN (SELECT unhex(arrayJoin(splitByChar(',', {asked:String})))) DESC, max(started_at) DESC LIMIT {limit:UInt64};
