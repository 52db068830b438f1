-- Version 1; what later versions have more is in files beside this one. In the common subset of SQLite and PostgreSQL as far as types go: INTEGER is 64 bits, times are milliseconds since 1970.

-- One instance of one tenant.
CREATE TABLE node (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    instance_id TEXT NOT NULL,
    cluster TEXT NOT NULL,
    node_group TEXT,
    node_name TEXT NOT NULL,
    image_id TEXT,
    assurance TEXT NOT NULL,
    pending_time_ms INTEGER,
    first_seen_ms INTEGER NOT NULL,
    state TEXT NOT NULL,
    state_since_ms INTEGER NOT NULL,
    reasons TEXT NOT NULL,
    last_live_ms INTEGER,
    last_beat_ms INTEGER,
    next_due_s INTEGER,
    assessed_ms INTEGER,
    critical TEXT NOT NULL DEFAULT '[]',
    critical_more INTEGER NOT NULL DEFAULT 0,
    content_id INTEGER,
    suspicion TEXT,
    acquitted TEXT,
    retired_ms INTEGER,
    ec2_state TEXT,
    simulated INTEGER NOT NULL,
    UNIQUE (tenant, account, region, instance_id)
);
CREATE INDEX node_state ON node (state);

-- The keys that a node has spoken with; the one without retired_ms is its own.
CREATE TABLE node_key (
    key_no INTEGER PRIMARY KEY,
    key_id TEXT NOT NULL UNIQUE,
    node_id INTEGER NOT NULL,
    public_key TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    enrolled_ms INTEGER NOT NULL,
    retired_ms INTEGER,
    sequence INTEGER NOT NULL,
    last_digest TEXT
);
CREATE INDEX node_key_node ON node_key (node_id);

-- What a node said last of everything but the beat itself.
CREATE TABLE content (
    id INTEGER PRIMARY KEY,
    node_id INTEGER NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    said_ms INTEGER NOT NULL,
    body TEXT NOT NULL
);

-- One row a beat, for 48 hours. kind: 0 live, 1 late. digest64: the first 8 bytes of the statement's digest.
CREATE TABLE beat (
    key_no INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    made_at_ms INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    digest64 INTEGER NOT NULL,
    PRIMARY KEY (key_no, sequence)
) WITHOUT ROWID;

CREATE TABLE beat_hour (
    node_id INTEGER NOT NULL,
    hour_ms INTEGER NOT NULL,
    live INTEGER NOT NULL,
    late INTEGER NOT NULL,
    gaps INTEGER NOT NULL,
    PRIMARY KEY (node_id, hour_ms)
) WITHOUT ROWID;

-- Sequence numbers that are missing. Open until they come, or until the node declares that they never will.
CREATE TABLE gap (
    id INTEGER PRIMARY KEY,
    node_id INTEGER NOT NULL,
    key_no INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    opened_ms INTEGER NOT NULL,
    closed_ms INTEGER,
    declared INTEGER NOT NULL
);
CREATE INDEX gap_node ON gap (node_id, closed_ms);

CREATE TABLE state_change (
    id INTEGER PRIMARY KEY,
    node_id INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    reasons TEXT NOT NULL,
    evidence_id INTEGER
);
CREATE INDEX state_change_node ON state_change (node_id, at_ms);

-- Signed statements behind changes of state, as they came.
CREATE TABLE evidence (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    at_ms INTEGER NOT NULL,
    envelope BLOB NOT NULL
);

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    node_id INTEGER,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX event_node ON event (node_id, at_ms);

CREATE TABLE report (
    digest TEXT PRIMARY KEY,
    node_id INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX report_node ON report (node_id, received_ms);

-- The latest of each node and policy.
CREATE TABLE result (
    node_id INTEGER NOT NULL,
    policy TEXT NOT NULL,
    pass INTEGER NOT NULL,
    fail INTEGER NOT NULL,
    excepted INTEGER NOT NULL,
    not_applicable INTEGER NOT NULL,
    manual INTEGER NOT NULL,
    unknown INTEGER NOT NULL,
    finished_at_ms INTEGER NOT NULL,
    PRIMARY KEY (node_id, policy)
);
CREATE INDEX result_finished ON result (finished_at_ms);

-- What does not simply pass, of the latest report of each node.
CREATE TABLE finding (
    node_id INTEGER NOT NULL,
    policy TEXT NOT NULL,
    control TEXT NOT NULL,
    verdict TEXT NOT NULL,
    title TEXT NOT NULL,
    level INTEGER NOT NULL,
    section TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    remedy TEXT NOT NULL,
    UNIQUE (node_id, policy, control)
);
CREATE INDEX finding_control ON finding (policy, control, verdict, node_id, since_ms);

-- How a day ended: the trend.
CREATE TABLE day (
    day TEXT NOT NULL,
    tenant TEXT NOT NULL,
    cluster TEXT NOT NULL,
    node_group TEXT NOT NULL,
    policy TEXT NOT NULL,
    nodes INTEGER NOT NULL,
    pass INTEGER NOT NULL,
    decided INTEGER NOT NULL,
    applicable INTEGER NOT NULL,
    PRIMARY KEY (day, tenant, cluster, node_group, policy)
);

-- hash: SHA-256 of the token.
CREATE TABLE token (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    hash BLOB NOT NULL UNIQUE,
    scope TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER
);

-- What the webhook has to tell, in the order of id. body: JSON.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    node_id INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    next_ms INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX outbox_node ON outbox (node_id, id);

CREATE TABLE exclusion (
    id INTEGER PRIMARY KEY,
    account TEXT,
    node_group TEXT,
    reason TEXT NOT NULL,
    owner TEXT NOT NULL,
    expires TEXT NOT NULL
);
