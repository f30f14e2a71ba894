CREATE TABLE report_cases (
    id uuid NOT NULL,
    kind text NOT NULL,
    subject uuid NOT NULL,
    owner uuid NOT NULL,
    state text NOT NULL,
    open bigint NOT NULL,
    reports bigint NOT NULL,
    said text NOT NULL,
    reported_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    position bigint NOT NULL,
    decided_by uuid,
    reason text NOT NULL
);

CREATE TABLE report_entries (
    position bigint NOT NULL,
    report uuid NOT NULL,
    deed text NOT NULL,
    by uuid NOT NULL,
    reason text NOT NULL,
    text text NOT NULL,
    said text NOT NULL,
    at timestamptz NOT NULL
);

-- once loaded

ALTER TABLE report_cases ADD CONSTRAINT report_cases_pkey PRIMARY KEY (id);
CREATE INDEX report_cases_position_idx ON report_cases (position DESC);
CREATE INDEX report_cases_state_idx ON report_cases (state, position DESC);
CREATE INDEX report_cases_kind_idx ON report_cases (kind, position DESC);
CREATE INDEX report_cases_state_kind_idx ON report_cases (state, kind, position DESC);
ALTER TABLE report_entries ADD CONSTRAINT report_entries_pkey PRIMARY KEY (position);
CREATE INDEX report_entries_report_idx ON report_entries (report, position DESC);

CREATE POLICY moderators ON report_cases FOR SELECT TO comfyplus_query USING ((SELECT read.moderator()));
CREATE POLICY moderators ON report_entries FOR SELECT TO comfyplus_query USING ((SELECT read.moderator()));
