-- Which backend can run what. Runs that need the same share a row of work.needs; work.able has a row for each backend
-- and each such row that it can do. Whoever adds to either side takes the same lock, so that no pair is missed.

ALTER TABLE work.queue ADD COLUMN needs uuid;

-- `wants`: node classes as `node:<name>`, models as `<folder>/<name>`.
CREATE TABLE work.needs (
    id uuid NOT NULL,
    wants text[] NOT NULL,
    CONSTRAINT needs_pkey PRIMARY KEY (id)
);
CREATE TABLE work.able (
    backend text NOT NULL,
    needs uuid NOT NULL,
    CONSTRAINT able_pkey PRIMARY KEY (backend, needs)
);
-- `stock`: names the inventory and the rules that `has` was made of; empty: nobody has told, so it may be anything.
ALTER TABLE work.backends
    ADD COLUMN stock text NOT NULL DEFAULT '',
    ADD COLUMN has text[] NOT NULL DEFAULT '{}';

CREATE FUNCTION work.know_needs(needed uuid, wanted text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM work.needs WHERE id = needed) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('comfyplus: able', 0));
    INSERT INTO work.needs (id, wants) VALUES (needed, wanted) ON CONFLICT DO NOTHING;
    INSERT INTO work.able (backend, needs)
    SELECT b.name, needed FROM work.backends AS b WHERE b.stock <> '' AND wanted <@ b.has
    ON CONFLICT DO NOTHING;
END $$;

CREATE FUNCTION work.take_stock(backend_name text, stock_name text, having_all text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('comfyplus: able', 0));
    UPDATE work.backends SET stock = stock_name, has = having_all WHERE name = backend_name;
    DELETE FROM work.able AS a USING work.needs AS n
    WHERE a.backend = backend_name AND n.id = a.needs AND NOT n.wants <@ having_all;
    INSERT INTO work.able (backend, needs)
    SELECT backend_name, n.id FROM work.needs AS n WHERE n.wants <@ having_all
    ON CONFLICT DO NOTHING;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON work.needs, work.able TO comfyplus_dispatch;
