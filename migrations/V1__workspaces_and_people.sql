SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '5min';

-- The tenant, its people and how they prove who they are.
-- Personal data is sealed by the application (bytea columns ending in _sealed);
-- see docs/DATA-PROTECTION.md for the class of every column.

CREATE TABLE workspaces (
    id                   uuid        PRIMARY KEY,
    name                 text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    governance_level     text        NOT NULL CHECK (governance_level IN ('strict', 'moderate', 'permissive')),
    request_ceiling_nano bigint      NOT NULL CHECK (request_ceiling_nano >= 0),
    share_answers        boolean     NOT NULL,
    blocked_terms        text[]      NOT NULL,
    version              integer     NOT NULL CHECK (version > 0),
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL
);

-- One data key per person, wrapped by a key-encryption key that is never in
-- the database. Deleting the row makes everything it sealed unreadable.
-- No foreign key to users: the key is made in the same statement as its person
-- and outlives nothing but them.
CREATE TABLE data_keys (
    workspace_id uuid        NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    subject_id   uuid        NOT NULL,
    wrapped_by   integer     NOT NULL CHECK (wrapped_by > 0),
    wrapped      bytea       NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, subject_id)
);
-- Rotation asks for the keys that a former key-encryption key wrapped.
CREATE INDEX data_keys_wrapped_by ON data_keys (wrapped_by);

CREATE TABLE users (
    id               uuid        PRIMARY KEY,
    workspace_id     uuid        NOT NULL REFERENCES workspaces (id),
    email_sealed     bytea       NOT NULL,
    email_index      bytea       NOT NULL CHECK (octet_length(email_index) = 32),
    full_name_sealed bytea,
    password_hash    text        NOT NULL,
    role             text        NOT NULL CHECK (role IN ('member', 'operator', 'administrator')),
    status           text        NOT NULL CHECK (status IN ('active', 'disabled')),
    version          integer     NOT NULL CHECK (version > 0),
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    UNIQUE (workspace_id, id),
    CONSTRAINT users_email_unique UNIQUE (email_index)
);

CREATE TABLE invitations (
    id           uuid        PRIMARY KEY,
    workspace_id uuid        NOT NULL REFERENCES workspaces (id),
    token_hash   bytea       NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    role         text        NOT NULL CHECK (role IN ('member', 'operator', 'administrator')),
    invited_by   uuid        NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL CHECK (expires_at > created_at),
    redeemed_at  timestamptz,
    redeemed_by  uuid,
    UNIQUE (workspace_id, id),
    CHECK ((redeemed_at IS NULL) = (redeemed_by IS NULL))
);

-- A login and the family of refresh tokens that descend from it.
CREATE TABLE sessions (
    id           uuid        PRIMARY KEY,
    workspace_id uuid        NOT NULL,
    user_id      uuid        NOT NULL,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    revoked_why  text        CHECK (revoked_why IN ('logout', 'logout_all', 'reuse', 'administrator', 'password', 'erasure')),
    UNIQUE (workspace_id, id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES users (workspace_id, id) ON DELETE CASCADE,
    CHECK ((revoked_at IS NULL) = (revoked_why IS NULL))
);
CREATE INDEX sessions_by_user ON sessions (workspace_id, user_id, id);
-- Every instance polls for what was revoked since its last look.
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE refresh_tokens (
    token_hash   bytea       PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    workspace_id uuid        NOT NULL,
    session_id   uuid        NOT NULL,
    issued_at    timestamptz NOT NULL,
    replaced_at  timestamptz,
    FOREIGN KEY (workspace_id, session_id) REFERENCES sessions (workspace_id, id) ON DELETE CASCADE
);
-- A session has one living token at most.
CREATE UNIQUE INDEX refresh_tokens_living ON refresh_tokens (workspace_id, session_id) WHERE replaced_at IS NULL;
-- Deleting a session deletes its former tokens.
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (workspace_id, session_id);

-- The deployment's token-signing keys: no workspace, since they sign for all.
CREATE TABLE signing_keys (
    kid          text        PRIMARY KEY,
    wrapped_by   integer     NOT NULL CHECK (wrapped_by > 0),
    wrapped      bytea       NOT NULL,
    pkcs8_sealed bytea       NOT NULL,
    owner_id     uuid        NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL,
    retires_at   timestamptz NOT NULL CHECK (retires_at > created_at),
    expires_at   timestamptz NOT NULL CHECK (expires_at >= retires_at)
);
