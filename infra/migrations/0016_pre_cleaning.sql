-- The errand that puts old runs away follows the log.
INSERT INTO work.checkpoints (name, position) VALUES ('cleaning', 0);
