-- Set for a transaction in which a moderator asks, as read.administrator() is for an administrator.
CREATE FUNCTION read.moderator() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT coalesce(current_setting('comfyplus.moderator', true), '') = 'on' $$;
