-- Since version 2. Of where EC2 is asked: when it told which instances there are, and since when it does not.
CREATE TABLE ec2_place (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    listed_ms INTEGER,
    instances INTEGER NOT NULL DEFAULT 0,
    silent_since_ms INTEGER,
    reason TEXT,
    PRIMARY KEY (account, region)
);
