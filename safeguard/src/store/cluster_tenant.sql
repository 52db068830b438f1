-- Since version 4: a cluster is a tenant's. What was known of them may have been another's word, and is told anew soon after each start.
UPDATE node SET cluster_state = NULL;
DROP TABLE cluster_place;
CREATE TABLE cluster_place (
    tenant TEXT NOT NULL,
    cluster TEXT NOT NULL,
    listed_ms INTEGER,
    nodes INTEGER NOT NULL DEFAULT 0,
    silent_since_ms INTEGER,
    reason TEXT,
    PRIMARY KEY (tenant, cluster)
);
