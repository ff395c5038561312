SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '5min';

-- The second wall round every workspace. Each operation tells Postgres its
-- workspace, or a star for the system's own work over all of them; a session
-- that says nothing sees nothing. FORCE binds the owner of the tables too, so
-- the wall stands for every role but a superuser or one with BYPASSRLS.
-- The sub-select is evaluated once per statement, not once per row.
DO $$
DECLARE
    wall text := '(SELECT current_setting(''mainstay.workspace'', true)) IN (%s::text, ''*'')';
    walled text;
BEGIN
    FOR walled IN
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
          AND a.attname = 'workspace_id' AND NOT a.attisdropped
        UNION ALL SELECT 'workspaces'
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', walled);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', walled);
        EXECUTE format(
            'CREATE POLICY own_workspace ON %I USING (' || wall || ')', walled,
            CASE walled WHEN 'workspaces' THEN 'id' ELSE 'workspace_id' END);
    END LOOP;
END
$$;
