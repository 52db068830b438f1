-- Since version 5. Where the beats of each key stand, apart from what seldom changes: this is written with every beat, and short rows share
-- pages. What its node said last is here, too, and goes over to the key that takes the place of this one.
CREATE TABLE heard (
    key_no INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL,
    last_digest TEXT,
    last_beat_ms INTEGER,
    last_live_ms INTEGER,
    next_due_s INTEGER NOT NULL,
    assessed_ms INTEGER
);
INSERT INTO heard
    SELECT k.key_no, k.sequence, k.last_digest, n.last_beat_ms, n.last_live_ms, coalesce(n.next_due_s, 60), n.assessed_ms
    FROM node_key k JOIN node n ON n.id = k.node_id;
ALTER TABLE node_key DROP COLUMN sequence;
ALTER TABLE node_key DROP COLUMN last_digest;
-- The key that the node speaks with.
ALTER TABLE node ADD COLUMN key_no INTEGER;
UPDATE node SET key_no = (SELECT max(k.key_no) FROM node_key k WHERE k.node_id = node.id AND k.retired_ms IS NULL);
ALTER TABLE node DROP COLUMN last_beat_ms;
ALTER TABLE node DROP COLUMN last_live_ms;
ALTER TABLE node DROP COLUMN next_due_s;
ALTER TABLE node DROP COLUMN assessed_ms;
-- An hour of beats is summed up when they are deleted one by one, and no more with each of them. So both are cut at one hour, which all
-- beats since are there of. beat.kind says with 2 more that a gap opened before the beat.
DELETE FROM beat WHERE received_ms < (SELECT max(hour_ms) - 165600000 FROM beat_hour);
DELETE FROM beat_hour WHERE hour_ms >= (SELECT max(hour_ms) - 165600000 FROM beat_hour);
UPDATE beat SET kind = kind + 2 WHERE (key_no, received_ms) IN (SELECT key_no, opened_ms FROM gap);
