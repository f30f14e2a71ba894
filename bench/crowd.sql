-- Rows of read models as a crowd would have left them. %(rows)s of the things that there are many of; half of them are
-- of one account (1), some twenty of another (2), the rest of a thousand others. Each statement fills one table.

-- gallery
INSERT INTO gallery (id, owner, name, description, tags, versions, thumbnails, published_at, updated_at, hidden_at,
    sensitive)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), 'Workflow ' || n, 'Soft light, take ' || n,
    jsonb_build_array('face', 'tag' || n / 50), 1,
    jsonb_build_array(jsonb_build_object('digest', repeat('ab', 32), 'media_type', 'image/webp', 'width', 256,
        'height', 256, 'size_bytes', 9000)),
    timestamptz '2026-01-01' + n * interval '1 second', timestamptz '2026-01-01', NULL, n % 100 = 7
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO gallery_counts (workflow, owner, shown, likes, runs, trend)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), true, n::bigint * 7919 % 1000, n::bigint * 7907 % 5000,
    n::bigint * 7901 % 1000000
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO gallery_words (workflow, name, description, tags)
SELECT id, name, description, tags FROM gallery;
INSERT INTO gallery_tagged (workflow, tag, published_at, likes, runs, trend)
SELECT entry.id, tag, entry.published_at, counts.likes, counts.runs, counts.trend
FROM gallery AS entry
JOIN gallery_counts AS counts ON counts.workflow = entry.id
CROSS JOIN LATERAL jsonb_array_elements_text(entry.tags) AS tag;
INSERT INTO gallery_facets (facet, name, shown)
SELECT 'tag', tag, count(*) FROM gallery_tagged GROUP BY tag;
INSERT INTO gallery_likes (id, account, workflow, at)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), pg_temp.id(n), timestamptz '2026-01-01'
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO gallery_authors (account, username, shown)
SELECT pg_temp.id(n), 'author' || n, 1 FROM generate_series(1, 1100) AS n;

-- workflow_shelf
INSERT INTO workflows (id, owner, name, description, tags, public, versions, environments, forked_from,
    forked_version, ancestors, thumbnails, revision, created_at, updated_at, trashed_at, hidden_for, sensitive,
    name_key)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), 'Workflow ' || n, 'Soft light', jsonb_build_array('tag' || n / 50),
    n % 5 = 0, 1, '{}', CASE WHEN n % 2 = 0 AND n > 1 THEN pg_temp.id(1) END, CASE WHEN n % 2 = 0 THEN 1 END, '[]',
    CASE WHEN n % 10 = 0 THEN jsonb_build_array(jsonb_build_object('digest', encode(sha256(n::text::bytea), 'hex'),
        'media_type', 'image/webp', 'width', 256, 'height', 256, 'size_bytes', 9000)) ELSE '[]' END,
    1, timestamptz '2026-01-01' + n * interval '1 second', timestamptz '2026-01-01' + n * interval '1 second',
    CASE WHEN n % 20 IN (2, 3) THEN timestamptz '2026-02-01' + n * interval '1 second' END, '', false,
    'workflow ' || n
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO workflow_versions (workflow, number, owner, public, graph, graph_size_bytes, editor_graph, note,
    requirements, restored_from, at, trashed)
SELECT pg_temp.id(1), n, pg_temp.id(1), true, encode(sha256(n::text::bytea), 'hex'), 2000, NULL, '', '{}', NULL,
    timestamptz '2026-01-01', false
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO workflow_lines (workflow, place, ancestor)
SELECT pg_temp.id(n), 0, pg_temp.id(1) FROM generate_series(2, %(rows)s, 2) AS n;

-- run_status
INSERT INTO runs (id, owner, workflow, workflow_version, status, priority, position, submitted_at, backend, epoch,
    attempts_lost, failure, started_at, ended_at, not_before, execution_s, source, batch, place, rerun_of, nodes, pool,
    run_seconds, starred)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), CASE WHEN n % 3 = 0 THEN pg_temp.id(n % 1000) END,
    CASE WHEN n % 3 = 0 THEN 1 END,
    CASE WHEN n > %(rows)s - 40 THEN 'queued' WHEN n % 500 = 10 THEN 'failed' WHEN n % 500 = 20 THEN 'cancelled'
        ELSE 'succeeded' END,
    5, n, timestamptz '2026-01-01' + n * interval '1 second', CASE WHEN n = 8 THEN 'gone' ELSE 'gpu-' || n % 8 END, 1,
    0, NULL, timestamptz '2026-01-01' + n * interval '1 second',
    CASE WHEN n <= %(rows)s - 40 THEN timestamptz '2026-01-01' + n * interval '1 second' END, NULL, 2.5,
    CASE WHEN n % 3 > 0 THEN '{"kind": "template", "seed": 1, "template": "card"}'::jsonb END,
    pg_temp.id(CASE WHEN n < 20 THEN n ELSE n / 20 END), n % 20, NULL, NULL, 'shared', 2.5, CASE WHEN n % 5000 = 16 THEN 1 ELSE 0 END
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO outputs (run, node, index, owner, epoch, digest, name, media_type, size_bytes, width, height, thumbnails,
    at, id, workflow, starred)
SELECT pg_temp.id(n), '9', 0, pg_temp.owner(n, %(rows)s), 1, encode(sha256(n::text::bytea), 'hex'), 'picture.png',
    CASE WHEN n = 6 THEN 'video/mp4' ELSE 'image/png' END, 1000000, 1024, 1024,
    jsonb_build_array(jsonb_build_object('digest', encode(sha256((-n)::text::bytea), 'hex'), 'media_type',
        'image/webp', 'width', 256, 'height', 256, 'size_bytes', 9000)),
    timestamptz '2026-01-01' + n * interval '1 second', pg_temp.id(n), CASE WHEN n % 3 = 0 THEN pg_temp.id(n % 1000) END,
    n % 5000 = 16
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO run_traits (id, owner, submitted_at, template, models, words, rendition)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), timestamptz '2026-01-01' + n * interval '1 second', 'card',
    CASE WHEN n = 14 THEN '["checkpoints/base.safetensors", "loras/user-1/ink.safetensors"]'::jsonb
        ELSE '["checkpoints/base.safetensors"]'::jsonb END,
    'A snowy fox, take ' || n, NULL
FROM generate_series(1, %(rows)s) AS n WHERE n % 3 > 0;
INSERT INTO batches (id, owner, runs, varied, plan, submitted_at, position, cancelled_at)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), 20, '["seed"]', repeat('ab', 32),
    timestamptz '2026-01-01' + n * interval '1 second', n, NULL
FROM generate_series(1, %(rows)s / 20) AS n;
INSERT INTO backends (name, live, executor, comfyui_version, device, reason, since, owner, pool, registered, draining,
    slots, inventory, vram_bytes, node_classes, checkpoints, loras, other_models)
SELECT 'gpu-' || n, true, 'one', '0.3.64', 'cuda', '', timestamptz '2026-01-01', NULL, 'shared', true, false, 1, NULL,
    1, 500, 1, 1, 1
FROM generate_series(0, 300) AS n;

-- inputs
INSERT INTO inputs (id, owner, digest, name, media_type, size_bytes, width, height, uploaded_at)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), encode(sha256(n::text::bytea), 'hex'), 'in.png', 'image/png',
    1000000, 1024, 1024, timestamptz '2026-01-01' + n * interval '1 second'
FROM generate_series(1, %(rows)s) AS n;

-- usage
INSERT INTO usage_days (owner, day, submitted, succeeded, failed, cancelled, run_seconds, stored_bytes, removed_bytes)
SELECT pg_temp.id(n % (%(rows)s / 365 + 1)), to_char(date '2026-01-01' + n / (%(rows)s / 365 + 1), 'YYYY-MM-DD'), 10,
    9, 1, 0, 25, 1000, 10
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO usage_machines (owner, day, backend, run_seconds)
SELECT owner, day, 'gpu-1', run_seconds FROM usage_days;

-- audit_trail
INSERT INTO audit_trail (position, stream, kind, topic, version, owner, actor, at, correlation, causation, data)
SELECT n, CASE WHEN n % 2 = 0 THEN pg_temp.id(1) ELSE pg_temp.id(n) END, 'workflow',
    CASE WHEN n = 12 THEN 'workflow.deleted.v1' ELSE 'workflow.version_saved.v1' END, n,
    pg_temp.owner(n, %(rows)s), CASE WHEN n = 16 THEN 'services/keeping' ELSE pg_temp.owner(n, %(rows)s)::text END,
    timestamptz '2026-01-01' + n * interval '1 second', pg_temp.id(n / 5), n - 1,
    '{"topic": "workflow.version_saved.v1", "number": 3, "graph": {"digest": "abababababababababababab"}}'
FROM generate_series(1, %(rows)s) AS n;

-- lora_shelf
INSERT INTO loras (id, owner, name, description, file, digest, size_bytes, base_model, trigger_words, rank, dtype,
    tensors, public, shared_with, revision, created_at, updated_at)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), 'Style ' || n, '', 'style.safetensors',
    encode(sha256(n::text::bytea), 'hex'), 1000000, CASE WHEN n = 4 THEN 'Flux' ELSE 'SDXL' END, '[]', 16, 'F16', 10,
    n % 5 = 0, CASE WHEN n % 10 = 3 THEN jsonb_build_array(pg_temp.id(2), pg_temp.id(1))
        WHEN n = 13 THEN jsonb_build_array(pg_temp.id(2)) ELSE '[]' END,
    1, timestamptz '2026-01-01', timestamptz '2026-01-01' + n * interval '1 second'
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO lora_guests (lora, place, account, updated_at)
SELECT id, place - 1, account::uuid, updated_at FROM loras
CROSS JOIN LATERAL jsonb_array_elements_text(shared_with) WITH ORDINALITY AS guest (account, place)
WHERE account::uuid <> owner;

-- people
INSERT INTO people (account, username, name_key, role, suspended_at, suspended_for, registered_at, logged_in_at)
SELECT pg_temp.id(n), 'Person' || n, 'person' || n, CASE WHEN n % 10000 = 5 THEN 'moderator' ELSE 'member' END,
    CASE WHEN n % 10000 = 6 THEN timestamptz '2026-01-01' END, '',
    timestamptz '2026-01-01' + n * interval '1 second', timestamptz '2026-01-01' + n * interval '1 second'
FROM generate_series(1, %(rows)s) AS n;

-- template_shelf
INSERT INTO templates (id, owner, public, name, description, category, model_family, max_batch_size, requires_image,
    requires_mask, number, document, workflow, workflow_version, revision, created_at, updated_at)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), n % 5 = 0, 'Template ' || n, 'Soft light',
    CASE WHEN n = 10 THEN 'rare' ELSE 'portrait' END, 'sdxl', 1, false, false, 1, repeat('ab', 32), NULL, 1, 1,
    timestamptz '2026-01-01', timestamptz '2026-01-01' + n * interval '1 second'
FROM generate_series(1, %(rows)s) AS n;

-- preset_shelf
INSERT INTO presets (id, owner, public, name, description, template, document, revision, created_at, updated_at)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), n % 5 = 0, 'Preset ' || n, '',
    CASE WHEN n = 10 THEN 'rare' ELSE 'card' END, repeat('ab', 32), 1, timestamptz '2026-01-01',
    timestamptz '2026-01-01' + n * interval '1 second'
FROM generate_series(1, %(rows)s) AS n;

-- comments
INSERT INTO comments (id, place, kind, parent, position, owner, text, mentions, replies, posted_at, edited_at, deleted,
    hidden)
SELECT pg_temp.id(n), CASE WHEN n % 7 = 0 THEN pg_temp.id(2) ELSE pg_temp.id(1) END, 'workflow',
    CASE WHEN n % 3 = 0 THEN pg_temp.id(1) END, n, pg_temp.owner(n, %(rows)s), 'Which sampler, take ' || n,
    jsonb_build_array(pg_temp.id(3)), 0, timestamptz '2026-01-01', NULL, false, n % 100 = 1
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO comment_places (stem, node, index, id, owner, public, wanted, away, comments)
SELECT pg_temp.id(n), '', 0, pg_temp.id(n), pg_temp.id(1), true, true, false, 1 FROM generate_series(1, %(rows)s) AS n;
INSERT INTO comment_speakers (account, username, heard)
SELECT pg_temp.id(n), 'person' || n, true FROM generate_series(1, %(rows)s) AS n;

-- follows
INSERT INTO follows (id, follower, followed, position)
SELECT pg_temp.id(n), CASE WHEN n <= 200 THEN pg_temp.id(1 + n % 2) ELSE pg_temp.id(n) END,
    CASE WHEN n <= 200 THEN pg_temp.id(n) ELSE pg_temp.id(1 + n % 4) END, n
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO follow_counts (account, username, followers, following)
SELECT pg_temp.id(n), 'person' || n, 1, 1 FROM generate_series(1, %(rows)s) AS n;

-- feed
INSERT INTO feed (position, place, kind, actor, reader, workflow, comment, at)
SELECT n, 0, 'published', pg_temp.owner(n, %(rows)s), CASE WHEN n % 4 = 1 THEN pg_temp.id(1) END, pg_temp.id(n), NULL,
    timestamptz '2026-01-01'
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO feed_places (stem, node, index, id, owner, public, wanted, away)
SELECT pg_temp.id(n), '', 0, pg_temp.id(n), pg_temp.id(1), true, true, false FROM generate_series(1, %(rows)s) AS n;

-- profiles
INSERT INTO profiles (account, username, display_name, bio, links, avatar, registered_at, followers, following,
    workflows, outputs)
SELECT pg_temp.id(n), 'person' || n, '', '', '[]', NULL, timestamptz '2026-01-01', 1, 1, 1, 1
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO profile_places (stem, node, index, id, owner, public, wanted, away)
SELECT pg_temp.id(n), '', 0, pg_temp.id(n), pg_temp.id(1), true, true, false FROM generate_series(1, %(rows)s) AS n;

-- reports
INSERT INTO report_cases (id, kind, subject, owner, state, open, reports, said, reported_at, changed_at, position,
    decided_by, reason)
SELECT pg_temp.id(n), CASE WHEN n = 10 THEN 'account' ELSE 'comment' END, pg_temp.id(n),
    pg_temp.owner(n, %(rows)s), CASE WHEN n % 10000 = 9 THEN 'open' ELSE 'dismissed' END, 1, 1, '',
    timestamptz '2026-01-01', timestamptz '2026-01-01', n, NULL, ''
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO report_entries (position, report, deed, by, reason, text, said, at)
SELECT n, pg_temp.id(1), 'reported', pg_temp.id(2), 'spam', '', '', timestamptz '2026-01-01'
FROM generate_series(1, %(rows)s) AS n;

-- notices
INSERT INTO notices (id, account, kind, by, workflow, comment, output, count, reason, position, at, read_upto)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), 'comment', pg_temp.id(3), pg_temp.id(n), pg_temp.id(n), NULL, 1, '',
    n, timestamptz '2026-01-01', 0
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO notice_readers (account, upto, mail)
SELECT pg_temp.id(n), CASE WHEN n = 1 THEN %(rows)s ELSE 0 END, false FROM generate_series(1, %(rows)s) AS n;

-- shares
INSERT INTO shares (id, owner, kind, subject, node, index, made_at, expires_at, position)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), 'workflow', pg_temp.id(n), NULL, NULL, timestamptz '2026-01-01',
    NULL, n
FROM generate_series(1, %(rows)s) AS n;

-- shared_outputs
INSERT INTO shared_outputs (run, node, index, id, owner, shown, wanted, hidden_for, sensitive, name, description, tags,
    file, graph, values, published_at, likes, trend)
SELECT pg_temp.id(n), '9', 0, pg_temp.id(n), pg_temp.owner(n, %(rows)s), n % 50 <> 3, n % 50 <> 3, '', n % 100 = 7,
    'Picture ' || n, 'Soft light, take ' || n, jsonb_build_array('face', 'tag' || n / 50),
    jsonb_build_object('node', '9', 'index', 0, 'name', 'a.png', 'digest', repeat('ab', 32), 'media_type', 'image/png'),
    NULL, NULL, timestamptz '2026-01-01' + n * interval '1 second', n::bigint * 7919 % 1000,
    n::bigint * 7901 % 1000000
FROM generate_series(1, %(rows)s) AS n;
INSERT INTO shared_words (run, node, index, id, name, description, tags)
SELECT run, node, index, id, name, description, tags FROM shared_outputs WHERE shown;
INSERT INTO shared_tagged (run, node, index, tag, id, published_at, likes, trend)
SELECT run, node, index, tag, id, published_at, likes, trend FROM shared_outputs
CROSS JOIN LATERAL jsonb_array_elements_text(tags) AS tag WHERE shown;
INSERT INTO shared_facets (facet, name, shown)
SELECT 'tag', tag, count(*) FROM shared_tagged GROUP BY tag;
INSERT INTO output_likes (id, account, output)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), pg_temp.id(n) FROM generate_series(1, %(rows)s) AS n;
INSERT INTO output_authors (account, username, shows)
SELECT pg_temp.id(n), 'author' || n, true FROM generate_series(1, 1100) AS n;

-- collections
INSERT INTO collections (id, owner, public, name, description, members, begun_at, changed_at, position)
SELECT pg_temp.id(n), pg_temp.owner(n, %(rows)s), n % 5 = 0, 'List ' || n, '',
    CASE WHEN n = 2 THEN (SELECT jsonb_agg(jsonb_build_object('kind', CASE WHEN k % 2 = 0 THEN 'workflow' ELSE 'output'
        END, 'id', pg_temp.id(k * 5))) FROM generate_series(1, 500) AS k) ELSE '[]' END,
    timestamptz '2026-01-01', timestamptz '2026-01-01', n
FROM generate_series(1, %(rows)s) AS n;
