-- Which backend served an account's last prompt: what its nodes have made is still in that one's cache.

ALTER TABLE work.shares ADD COLUMN prompted_on text;
