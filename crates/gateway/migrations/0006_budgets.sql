-- How much the calls of a route may take, for each sandbox; all NULL: any amount.

ALTER TABLE routes ADD COLUMN budget_tokens INTEGER;
ALTER TABLE routes ADD COLUMN budget_requests INTEGER;
ALTER TABLE routes ADD COLUMN budget_bytes INTEGER;
-- `minute`, `hour`, `day` or `sandbox`.
ALTER TABLE routes ADD COLUMN budget_per TEXT NOT NULL DEFAULT 'sandbox';
