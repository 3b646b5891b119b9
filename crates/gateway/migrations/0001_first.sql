-- Every table carries workspace, labels and resource_version, and every key the workspace.

CREATE TABLE workspaces (
    workspace TEXT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    labels TEXT NOT NULL,
    resource_version INTEGER NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE sandboxes (
    workspace TEXT NOT NULL REFERENCES workspaces (workspace),
    name TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    labels TEXT NOT NULL,
    annotations TEXT NOT NULL,
    resource_version INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    -- What was asked for.
    requested BLOB NOT NULL,
    spec TEXT NOT NULL,
    ephemeral INTEGER NOT NULL,
    desired TEXT NOT NULL CHECK (desired IN ('present', 'absent')),
    -- What is.
    phase TEXT NOT NULL,
    placed_ms INTEGER,
    ended_ms INTEGER,
    exit_code INTEGER,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    main_pid INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    report TEXT NOT NULL,
    last_sequence INTEGER NOT NULL,
    enforced_revision INTEGER NOT NULL,
    -- The session token's digest; the token itself is nowhere.
    token_sha256 BLOB,
    PRIMARY KEY (workspace, name)
) STRICT;

CREATE TABLE policies (
    workspace TEXT NOT NULL,
    sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    revision INTEGER NOT NULL,
    labels TEXT NOT NULL,
    resource_version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    text TEXT NOT NULL,
    status TEXT NOT NULL,
    error TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    enforced_ms INTEGER,
    PRIMARY KEY (workspace, sandbox_id, revision)
) STRICT;

CREATE TABLE settings (
    workspace TEXT NOT NULL,
    key TEXT NOT NULL,
    labels TEXT NOT NULL,
    resource_version INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (workspace, key)
) STRICT;
