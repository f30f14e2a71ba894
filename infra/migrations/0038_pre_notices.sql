-- The errand that notifies accounts follows the log, from now on: nobody is told of what was before.
INSERT INTO work.checkpoints (name, position)
SELECT 'notifying', coalesce(max(notification_id), 0) FROM log.events;
