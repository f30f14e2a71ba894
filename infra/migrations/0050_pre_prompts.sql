-- Prompts of ComfyUI's clients: they want to be told of each node, and send things along that the files of their
-- pictures are to hold. `extra` is the digest of those; empty where there are none.

ALTER TABLE work.queue ADD COLUMN prompted boolean NOT NULL DEFAULT false, ADD COLUMN extra text;
