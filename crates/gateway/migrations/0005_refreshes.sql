-- How credentials of providers are renewed. What is asked with is sealed as the credentials are.

CREATE TABLE provider_refreshes (
    workspace TEXT NOT NULL,
    provider_id TEXT NOT NULL REFERENCES providers (id) ON DELETE CASCADE,
    variable TEXT NOT NULL,
    labels TEXT NOT NULL,
    -- Grows with every write: whoever took a row writes its end only if nobody wrote between.
    resource_version INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    strategy TEXT NOT NULL,
    sealed TEXT NOT NULL,
    next_ms INTEGER NOT NULL,
    last_ms INTEGER,
    -- Until when nobody else takes it.
    claimed_until_ms INTEGER,
    error TEXT NOT NULL,
    error_code TEXT NOT NULL,
    recovery TEXT NOT NULL,
    error_ms INTEGER,
    PRIMARY KEY (workspace, provider_id, variable)
) STRICT;
