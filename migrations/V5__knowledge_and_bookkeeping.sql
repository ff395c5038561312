SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '5min';

-- The knowledge base, searchable as plain text, and the answers kept for repeated requests.

CREATE TABLE knowledge_documents (
    id           uuid        PRIMARY KEY,
    workspace_id uuid        NOT NULL REFERENCES workspaces (id),
    title        text        NOT NULL CHECK (char_length(title) BETWEEN 1 AND 120),
    source       text,
    content      text        NOT NULL,
    version      integer     NOT NULL CHECK (version > 0),
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (workspace_id, id)
);

CREATE TABLE knowledge_passages (
    workspace_id uuid     NOT NULL,
    document_id  uuid     NOT NULL,
    ordinal      integer  NOT NULL CHECK (ordinal >= 0),
    title        text     NOT NULL,
    text         text     NOT NULL,
    -- A word of the title counts for more than one of the text.
    search       tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', text), 'B')
    ) STORED,
    PRIMARY KEY (workspace_id, document_id, ordinal),
    FOREIGN KEY (workspace_id, document_id)
        REFERENCES knowledge_documents (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX knowledge_passages_search ON knowledge_passages USING gin (search);

CREATE TABLE idempotency_keys (
    workspace_id uuid        NOT NULL,
    user_id      uuid        NOT NULL,
    key_hash     bytea       NOT NULL CHECK (octet_length(key_hash) = 32),
    request_hash bytea       NOT NULL CHECK (octet_length(request_hash) = 32),
    -- Tells the present claim from an abandoned one that comes back late.
    claim_id     uuid        NOT NULL,
    status       smallint,
    content_type text,
    body_sealed  bytea,
    created_at   timestamptz NOT NULL,
    -- When an unfinished claim counts as abandoned, or a stored answer lapses.
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, user_id, key_hash),
    FOREIGN KEY (workspace_id, user_id) REFERENCES users (workspace_id, id) ON DELETE CASCADE,
    CHECK ((status IS NULL) = (body_sealed IS NULL) AND (status IS NULL) = (content_type IS NULL))
);
CREATE INDEX idempotency_keys_expired ON idempotency_keys (expires_at);

-- The servers that are alive. What a silent one left running is interrupted.
CREATE TABLE instances (
    id         uuid        PRIMARY KEY,
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL
);

-- The oldest schema version that a server may have been built for and still
-- serve. A migration that breaks older servers raises it; see migrations/README.md.
CREATE TABLE schema_requirement (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    oldest_version integer NOT NULL
);
INSERT INTO schema_requirement (oldest_version) VALUES (5);
