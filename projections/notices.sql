CREATE TABLE notices (
    id uuid NOT NULL,
    account uuid NOT NULL,
    kind text NOT NULL,
    by uuid,
    workflow uuid,
    comment uuid,
    output uuid,
    count bigint NOT NULL,
    reason text NOT NULL,
    position bigint NOT NULL,
    at timestamptz NOT NULL,
    read_upto bigint NOT NULL
);

CREATE TABLE notice_readers (
    account uuid NOT NULL,
    upto bigint NOT NULL,
    mail boolean NOT NULL
);

-- once loaded

ALTER TABLE notices ADD CONSTRAINT notices_pkey PRIMARY KEY (id);
CREATE INDEX notices_account_idx ON notices (account, position DESC);
ALTER TABLE notice_readers ADD CONSTRAINT notice_readers_pkey PRIMARY KEY (account);

CREATE POLICY own ON notices FOR SELECT TO comfyplus_query USING (account = (SELECT read.viewer()));
CREATE POLICY own ON notice_readers FOR SELECT TO comfyplus_query USING (account = (SELECT read.viewer()));
