CREATE TABLE loras (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    file text NOT NULL,
    digest text NOT NULL,
    size_bytes bigint NOT NULL,
    base_model text NOT NULL,
    trigger_words jsonb NOT NULL,
    rank bigint NOT NULL,
    dtype text NOT NULL,
    tensors bigint NOT NULL,
    public boolean NOT NULL,
    shared_with jsonb NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE lora_guests (
    lora uuid NOT NULL,
    place bigint NOT NULL,
    account uuid NOT NULL,
    updated_at timestamptz NOT NULL
);

-- once loaded

ALTER TABLE loras ADD CONSTRAINT loras_pkey PRIMARY KEY (id);
CREATE INDEX loras_owner_idx ON loras (owner, updated_at DESC, id DESC);
CREATE INDEX loras_public_idx ON loras (updated_at DESC, id DESC) WHERE public;
ALTER TABLE lora_guests ADD CONSTRAINT lora_guests_pkey PRIMARY KEY (lora, place);
CREATE INDEX lora_guests_account_idx ON lora_guests (account, updated_at DESC, lora DESC);

CREATE POLICY own_and_shared ON loras FOR SELECT TO comfyplus_query
    USING (
        owner = (SELECT read.viewer()) OR public OR shared_with @> (SELECT to_jsonb(read.viewer()::text))
    );
CREATE POLICY own ON lora_guests FOR SELECT TO comfyplus_query USING (account = (SELECT read.viewer()));
