SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '5min';

-- Personas, conversations and agents.

CREATE TABLE personas (
    id            uuid        PRIMARY KEY,
    workspace_id  uuid        NOT NULL REFERENCES workspaces (id),
    name          text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    description   text        NOT NULL,
    system_prompt text        NOT NULL,
    model         text,
    temperature   real        CHECK (temperature BETWEEN 0 AND 2),
    max_tokens    integer     NOT NULL CHECK (max_tokens > 0),
    version       integer     NOT NULL CHECK (version > 0),
    archived_at   timestamptz,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    UNIQUE (workspace_id, id)
);
CREATE UNIQUE INDEX personas_name_unique ON personas (workspace_id, name) WHERE archived_at IS NULL;

-- Every version that a persona had, so that an old answer can be explained.
CREATE TABLE persona_versions (
    workspace_id uuid        NOT NULL,
    persona_id   uuid        NOT NULL,
    version      integer     NOT NULL,
    draft        jsonb       NOT NULL,
    changed_by   uuid        NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, persona_id, version),
    FOREIGN KEY (workspace_id, persona_id) REFERENCES personas (workspace_id, id) ON DELETE CASCADE
);

CREATE TABLE conversations (
    id           uuid        PRIMARY KEY,
    workspace_id uuid        NOT NULL,
    owner_id     uuid        NOT NULL,
    agent_id     uuid,
    persona_id   uuid,
    title_sealed bytea,
    version      integer     NOT NULL CHECK (version > 0),
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (workspace_id, id),
    UNIQUE (workspace_id, owner_id, id),
    FOREIGN KEY (workspace_id, owner_id) REFERENCES users (workspace_id, id),
    FOREIGN KEY (workspace_id, persona_id) REFERENCES personas (workspace_id, id)
);

CREATE TABLE messages (
    id              uuid        PRIMARY KEY,
    workspace_id    uuid        NOT NULL,
    owner_id        uuid        NOT NULL,
    conversation_id uuid        NOT NULL,
    run_id          uuid,
    role            text        NOT NULL CHECK (role IN ('user', 'assistant')),
    status          text        NOT NULL CHECK (status IN ('streaming', 'complete', 'cancelled', 'interrupted', 'failed')),
    content_sealed  bytea       NOT NULL,
    provenance      text        CHECK (provenance IN ('cache.hot', 'cache.warm', 'cache.shared', 'model', 'knowledge', 'default')),
    persona_ids     uuid[]      NOT NULL,
    model           text,
    citations       jsonb       NOT NULL,
    input_tokens    bigint      NOT NULL CHECK (input_tokens >= 0),
    output_tokens   bigint      NOT NULL CHECK (output_tokens >= 0),
    cached_tokens   bigint      NOT NULL CHECK (cached_tokens BETWEEN 0 AND input_tokens),
    cost_nano       bigint      CHECK (cost_nano >= 0),
    degraded        boolean     NOT NULL,
    elapsed_ms      bigint      NOT NULL CHECK (elapsed_ms >= 0),
    instance_id     uuid,
    usage_id        uuid,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    -- A person's message is whole from the start; only an assistant's has a run.
    CHECK (role = 'assistant' OR (status = 'complete' AND run_id IS NULL AND usage_id IS NULL)),
    CHECK (role = 'user' OR run_id IS NOT NULL),
    CHECK ((status = 'streaming') = (instance_id IS NOT NULL)),
    FOREIGN KEY (workspace_id, owner_id, conversation_id)
        REFERENCES conversations (workspace_id, owner_id, id) ON DELETE CASCADE
);
-- A conversation's messages in order; ids sort by time.
CREATE INDEX messages_by_conversation ON messages (workspace_id, conversation_id, id);
-- The runs of an instance that went away.
CREATE INDEX messages_streaming ON messages (instance_id) WHERE status = 'streaming';

CREATE TABLE agents (
    id              uuid        PRIMARY KEY,
    workspace_id    uuid        NOT NULL,
    owner_id        uuid        NOT NULL,
    name            text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    kind            text        NOT NULL CHECK (char_length(kind) BETWEEN 1 AND 120),
    persona_id      uuid,
    conversation_id uuid        NOT NULL,
    state           text        NOT NULL CHECK (state IN ('ready', 'busy', 'paused', 'error', 'terminated')),
    version         integer     NOT NULL CHECK (version > 0),
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    UNIQUE (workspace_id, id),
    FOREIGN KEY (workspace_id, owner_id) REFERENCES users (workspace_id, id),
    FOREIGN KEY (workspace_id, persona_id) REFERENCES personas (workspace_id, id),
    FOREIGN KEY (workspace_id, owner_id, conversation_id)
        REFERENCES conversations (workspace_id, owner_id, id)
);
CREATE UNIQUE INDEX agents_name_unique ON agents (workspace_id, owner_id, name) WHERE state <> 'terminated';
CREATE INDEX agents_by_owner ON agents (workspace_id, owner_id, id);
ALTER TABLE conversations
    ADD FOREIGN KEY (workspace_id, agent_id) REFERENCES agents (workspace_id, id);
-- Deleting an agent looks for its conversations.
CREATE INDEX conversations_by_agent ON conversations (workspace_id, agent_id) WHERE agent_id IS NOT NULL;
