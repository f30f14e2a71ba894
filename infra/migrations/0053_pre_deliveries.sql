-- Deliveries of one state are paged through, too: of a million that were delivered, the three that were not.
CREATE INDEX webhook_deliveries_state_idx ON work.webhook_deliveries (webhook, state, made_at, delivery);
