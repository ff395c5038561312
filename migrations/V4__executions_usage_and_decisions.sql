SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '5min';

-- One-shot questions, what every answer cost, and what governance decided.

CREATE TABLE executions (
    id             uuid        PRIMARY KEY,
    workspace_id   uuid        NOT NULL,
    user_id        uuid        NOT NULL,
    cache_key      bytea       NOT NULL CHECK (octet_length(cache_key) = 32),
    persona_id     uuid,
    model          text,
    usage_id       uuid        NOT NULL,
    instance_id    uuid        NOT NULL,
    status         text        NOT NULL CHECK (status IN ('running', 'complete', 'failed', 'interrupted')),
    -- Whether the answer may be served again to the same cache key.
    reusable       boolean     NOT NULL,
    answer_sealed  bytea,
    failure        text,
    created_at     timestamptz NOT NULL,
    finished_at    timestamptz,
    fresh_until    timestamptz,
    UNIQUE (workspace_id, id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES users (workspace_id, id),
    CHECK ((status = 'complete') = (answer_sealed IS NOT NULL)),
    CHECK ((status = 'running') = (finished_at IS NULL)),
    CHECK (NOT reusable OR (status = 'complete' AND fresh_until IS NOT NULL))
);
-- The newest reusable answer of a cache key: the database tier of the cache.
CREATE INDEX executions_by_cache_key ON executions (workspace_id, cache_key, fresh_until) WHERE reusable;
CREATE INDEX executions_by_user ON executions (workspace_id, user_id, id);
-- What an instance left running when it went away.
CREATE INDEX executions_running ON executions (instance_id) WHERE status = 'running';

CREATE TABLE usage (
    id            uuid        PRIMARY KEY,
    workspace_id  uuid        NOT NULL REFERENCES workspaces (id),
    user_id       uuid        NOT NULL,
    -- The execution or message that the answer belongs to.
    source_id     uuid        NOT NULL,
    persona_id    uuid,
    agent_id      uuid,
    model         text,
    provenance    text        CHECK (provenance IN ('cache.hot', 'cache.warm', 'cache.shared', 'model', 'knowledge', 'default')),
    status        text        NOT NULL CHECK (status IN ('reserved', 'settled', 'released')),
    reserved_nano bigint      NOT NULL CHECK (reserved_nano >= 0),
    cost_nano     bigint      CHECK (cost_nano >= 0),
    input_tokens  bigint      NOT NULL DEFAULT 0 CHECK (input_tokens >= 0),
    output_tokens bigint      NOT NULL DEFAULT 0 CHECK (output_tokens >= 0),
    cached_tokens bigint      NOT NULL DEFAULT 0 CHECK (cached_tokens BETWEEN 0 AND input_tokens),
    elapsed_ms    bigint      NOT NULL DEFAULT 0 CHECK (elapsed_ms >= 0),
    succeeded     boolean,
    created_at    timestamptz NOT NULL,
    settled_at    timestamptz,
    CHECK ((status = 'reserved') = (settled_at IS NULL)),
    CHECK ((status = 'reserved') = (succeeded IS NULL)),
    CHECK (status <> 'settled' OR provenance IS NOT NULL)
);
-- Reports over a time span of a workspace.
CREATE INDEX usage_by_time ON usage (workspace_id, created_at);
-- An agent's metrics.
CREATE INDEX usage_by_agent ON usage (workspace_id, agent_id) WHERE agent_id IS NOT NULL;
-- Reservations whose call never ended.
CREATE INDEX usage_reserved ON usage (created_at) WHERE status = 'reserved';

-- What governance decided. Reasons never repeat what was found.
CREATE TABLE decisions (
    id           uuid        PRIMARY KEY,
    workspace_id uuid        NOT NULL REFERENCES workspaces (id),
    user_id      uuid        NOT NULL,
    -- The execution or message; a denied question has one too, though no row.
    source_id    uuid        NOT NULL,
    hook         text        NOT NULL CHECK (hook IN ('before', 'chunk', 'after')),
    verdict      text        NOT NULL CHECK (verdict IN ('allow', 'warn', 'redact', 'deny')),
    rule_id      text        NOT NULL,
    reason       text        NOT NULL,
    correlation_id uuid      NOT NULL,
    created_at   timestamptz NOT NULL
);
CREATE INDEX decisions_by_workspace ON decisions (workspace_id, id);
-- The decisions shown with a message.
CREATE INDEX decisions_by_source ON decisions (workspace_id, source_id);
