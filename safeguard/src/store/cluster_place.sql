-- Since version 3. Of clusters that are asked for their nodes: when each told which it has, and since when it does not.
ALTER TABLE node ADD COLUMN cluster_state TEXT;
CREATE TABLE cluster_place (
    cluster TEXT PRIMARY KEY,
    listed_ms INTEGER,
    nodes INTEGER NOT NULL DEFAULT 0,
    silent_since_ms INTEGER,
    reason TEXT
);
