-- Provider profiles of a workspace's own; those that come with OpenShell are files.

CREATE TABLE provider_profiles (
    workspace TEXT NOT NULL REFERENCES workspaces (workspace),
    id TEXT NOT NULL,
    labels TEXT NOT NULL,
    resource_version INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    -- The canonical text, without its resource_version.
    text TEXT NOT NULL,
    PRIMARY KEY (workspace, id)
) STRICT;
