-- Which backend answers the model calls of a protocol: of one sandbox, or of all of a workspace.

CREATE TABLE routes (
    workspace TEXT NOT NULL REFERENCES workspaces (workspace),
    -- '': of the workspace.
    sandbox_id TEXT NOT NULL,
    protocol TEXT NOT NULL,
    labels TEXT NOT NULL,
    resource_version INTEGER NOT NULL,
    provider_id TEXT NOT NULL REFERENCES providers (id),
    model TEXT NOT NULL,
    -- 0: the default.
    idle_seconds INTEGER NOT NULL,
    -- A JSON list of paths and globs; empty: every program.
    binaries TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (workspace, sandbox_id, protocol)
) STRICT;

CREATE INDEX routes_of_provider ON routes (provider_id);

-- No foreign key can say it: a workspace's own routes belong to no sandbox.
CREATE TRIGGER routes_go_with_their_sandbox AFTER DELETE ON sandboxes
BEGIN
    DELETE FROM routes WHERE sandbox_id = OLD.id;
END;
