SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '5min';

-- Erasure leaves a tombstone without personal data: it is replayed over a
-- restored backup, and it tells every instance whose sessions are void.
CREATE TABLE erasures (
    workspace_id   uuid        NOT NULL,
    subject_id     uuid        NOT NULL,
    sessions       uuid[]      NOT NULL,
    erased_at      timestamptz NOT NULL,
    correlation_id uuid        NOT NULL,
    PRIMARY KEY (workspace_id, subject_id)
);
CREATE INDEX erasures_by_time ON erasures (erased_at);

-- While a hold stands, nothing of the person is erased or lapses.
CREATE TABLE legal_holds (
    workspace_id uuid        NOT NULL,
    subject_id   uuid        NOT NULL,
    placed_by    uuid        NOT NULL,
    placed_at    timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, subject_id),
    FOREIGN KEY (workspace_id, subject_id) REFERENCES users (workspace_id, id)
);

DO $$
DECLARE walled text;
BEGIN
    FOREACH walled IN ARRAY ARRAY['erasures', 'legal_holds'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', walled);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', walled);
        EXECUTE format(
            'CREATE POLICY own_workspace ON %I USING ((SELECT current_setting(''mainstay.workspace'', true)) IN (workspace_id::text, ''*''))',
            walled);
    END LOOP;
END
$$;
