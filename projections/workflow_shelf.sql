CREATE TABLE workflows (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    tags jsonb NOT NULL,
    public boolean NOT NULL,
    versions bigint NOT NULL,
    environments jsonb NOT NULL,
    forked_from uuid,
    forked_version bigint,
    ancestors jsonb NOT NULL,
    thumbnails jsonb NOT NULL,
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    trashed_at timestamptz,
    hidden_for text NOT NULL,
    sensitive boolean NOT NULL,
    name_key text NOT NULL
);

CREATE TABLE workflow_versions (
    workflow uuid NOT NULL,
    number bigint NOT NULL,
    owner uuid NOT NULL,
    public boolean NOT NULL,
    graph text,
    graph_size_bytes bigint NOT NULL,
    editor_graph text,
    note text NOT NULL,
    requirements jsonb NOT NULL,
    restored_from bigint,
    at timestamptz NOT NULL,
    trashed boolean NOT NULL,
    editor_graph_size_bytes bigint NOT NULL,
    unconverted text NOT NULL
);

CREATE TABLE workflow_lines (
    workflow uuid NOT NULL,
    place bigint NOT NULL,
    ancestor uuid NOT NULL
);

-- once loaded

ALTER TABLE workflows ADD CONSTRAINT workflows_pkey PRIMARY KEY (id);
CREATE INDEX workflows_all_idx ON workflows (owner, id);
CREATE INDEX workflows_owner_idx ON workflows (owner, updated_at DESC, id DESC) WHERE trashed_at IS NULL;
CREATE INDEX workflows_created_idx ON workflows (owner, created_at DESC, id DESC) WHERE trashed_at IS NULL;
CREATE INDEX workflows_name_idx ON workflows (owner, name_key COLLATE "C", id) WHERE trashed_at IS NULL;
CREATE INDEX workflows_forked_from_idx ON workflows (forked_from, created_at DESC, id DESC)
    WHERE forked_from IS NOT NULL;
CREATE INDEX workflows_trash_idx ON workflows (owner, trashed_at DESC, id DESC) WHERE trashed_at IS NOT NULL;
CREATE INDEX workflows_trashed_at_idx ON workflows (trashed_at, id) WHERE trashed_at IS NOT NULL;
CREATE INDEX workflows_pictured_idx ON workflows (owner) WHERE thumbnails <> '[]';
CREATE INDEX workflows_small_idx ON workflows USING gin (jsonb_path_query_array(thumbnails, '$[*].digest') jsonb_path_ops);
ALTER TABLE workflow_versions ADD CONSTRAINT workflow_versions_pkey PRIMARY KEY (workflow, number);
ALTER TABLE workflow_lines ADD CONSTRAINT workflow_lines_pkey PRIMARY KEY (workflow, place);
CREATE INDEX workflow_lines_ancestor_idx ON workflow_lines (ancestor);

CREATE POLICY own_and_public ON workflows FOR SELECT TO comfyplus_query
    USING (owner = (SELECT read.viewer()) OR public);
CREATE POLICY own_and_public ON workflow_versions FOR SELECT TO comfyplus_query
    USING (owner = (SELECT read.viewer()) OR public);
-- Whose workflow may be seen, their line may be: row-level security of the other table counts here as well.
CREATE POLICY of_what_is_seen ON workflow_lines FOR SELECT TO comfyplus_query
    USING (EXISTS (SELECT FROM workflows WHERE workflows.id = workflow_lines.workflow));
