SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '5min';

-- What happened, and what others must hear of.

-- Append-only. Holds ids and facts, never personal data: after an erasure the
-- actor's id leads nowhere.
CREATE TABLE audit (
    id             uuid        PRIMARY KEY,
    workspace_id   uuid        NOT NULL,
    at             timestamptz NOT NULL,
    actor_id       uuid,
    action         text        NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    target_type    text        NOT NULL CHECK (target_type ~ '^[a-z_]+$'),
    target_id      uuid,
    correlation_id uuid        NOT NULL,
    details        jsonb       NOT NULL
);
-- The audit page of a workspace, newest first, and the same for one target.
CREATE INDEX audit_by_workspace ON audit (workspace_id, id);
CREATE INDEX audit_by_target ON audit (workspace_id, target_id, id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the table % is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_not_truncated BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Events on their way out. A row is deleted once it is delivered, so the table
-- holds only what is still to do.
CREATE TABLE outbox (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id   uuid        NOT NULL,
    topic          text        NOT NULL,
    kind           text        NOT NULL,
    payload        jsonb       NOT NULL,
    correlation_id uuid        NOT NULL,
    created_at     timestamptz NOT NULL,
    claimed_until  timestamptz NOT NULL DEFAULT '-infinity',
    attempts       integer     NOT NULL DEFAULT 0
);
