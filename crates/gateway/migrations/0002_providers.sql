-- Providers: named bundles of credentials. The values are sealed; the key is a file beside the database.

CREATE TABLE providers (
    workspace TEXT NOT NULL REFERENCES workspaces (workspace),
    name TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    labels TEXT NOT NULL,
    annotations TEXT NOT NULL,
    resource_version INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    config TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT;

CREATE TABLE provider_credentials (
    workspace TEXT NOT NULL,
    provider_id TEXT NOT NULL REFERENCES providers (id) ON DELETE CASCADE,
    variable TEXT NOT NULL,
    labels TEXT NOT NULL,
    resource_version INTEGER NOT NULL,
    sealed TEXT NOT NULL,
    expires_ms INTEGER,
    PRIMARY KEY (workspace, provider_id, variable)
) STRICT;

CREATE TABLE attachments (
    workspace TEXT NOT NULL,
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    provider_id TEXT NOT NULL REFERENCES providers (id),
    labels TEXT NOT NULL,
    resource_version INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    -- What the jail holds, by variable: it stays when values change.
    placeholders TEXT NOT NULL,
    PRIMARY KEY (workspace, sandbox_id, provider_id)
) STRICT;

-- Grows with every change of what a sandbox may authenticate with.
ALTER TABLE sandboxes ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
