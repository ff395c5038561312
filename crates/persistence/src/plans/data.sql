-- A populated database for the plans: $SCALE messages and everything else in proportion.
CREATE FUNCTION v7(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(1700000000000 + n * 500), 12, '0') || '7' || substr(md5(n::text), 1, 3)
            || '8' || substr(md5(n::text), 4, 15))::uuid $$;
CREATE FUNCTION ws(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('00000000-0000-7000-8000-' || lpad((n % 500 + 1)::text, 12, '0'))::uuid $$;
CREATE FUNCTION who(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5('u' || n % 1000)::uuid $$;

INSERT INTO workspaces SELECT ws(w), 'w' || w, 'moderate', 1, false, '{}', 1, now(), now() FROM generate_series(0, 499) w;
INSERT INTO users SELECT who(u), ws(u), '\x00', decode(md5('e' || u) || md5('f' || u), 'hex'), NULL, 'x', 'member', 'active', 1, now(), now()
    FROM generate_series(0, 999) u;
INSERT INTO data_keys SELECT ws(u), who(u), 1 + (u > 990)::int, '\x00', now() FROM generate_series(0, 999) u;
INSERT INTO personas SELECT v7(p), ws(p), 'p' || p, 'd', 's', NULL, NULL, 10, 1, NULL, now(), now() FROM generate_series(1, $SCALE / 4) p;
INSERT INTO conversations SELECT v7(c * 50), ws(c), who(c), NULL, NULL, '\x00', 1, now(), now() FROM generate_series(0, $SCALE / 50 - 1) c;
INSERT INTO agents SELECT v7(a), ws(a), who(a), 'a' || a, 'k', NULL, v7(a * 50), 'ready', 1, now(), now() FROM generate_series(0, $SCALE / 50 - 1) a;
INSERT INTO messages (id, workspace_id, owner_id, conversation_id, run_id, role, status, instance_id, content_sealed, provenance, persona_ids, model,
        citations, input_tokens, output_tokens, cached_tokens, cost_nano, degraded, elapsed_ms, created_at, updated_at)
    SELECT v7(m), ws(m / 50), who(m / 50), v7(m / 50 * 50), CASE WHEN m % 2 = 1 THEN v7(m) END,
        CASE WHEN m % 2 = 1 THEN 'assistant' ELSE 'user' END, CASE WHEN m % 5000 = 4999 THEN 'streaming' ELSE 'complete' END,
        CASE WHEN m % 5000 = 4999 THEN v7(1) END, decode(repeat(md5(m::text), 12), 'hex'), CASE WHEN m % 2 = 1 THEN 'model' END,
        '{}', 'm', '[]', 10, 10, 0, 5, false, 10, now(), now()
    FROM generate_series(0, $SCALE - 1) m;
INSERT INTO executions (id, workspace_id, user_id, cache_key, model, usage_id, instance_id, status, reusable, answer_sealed, created_at, finished_at, fresh_until)
    SELECT v7(e), ws(e), who(e), decode(md5('k' || e / 3) || md5('k' || e / 3), 'hex'), 'm', v7(e), v7(1),
        CASE WHEN e % 5000 = 0 THEN 'running' ELSE 'complete' END, e % 5000 <> 0, CASE WHEN e % 5000 <> 0 THEN '\x00'::bytea END,
        now(), CASE WHEN e % 5000 <> 0 THEN now() END, now() + e % 100 * interval '1 minute'
    FROM generate_series(0, $SCALE / 5) e;
INSERT INTO usage (id, workspace_id, user_id, source_id, agent_id, model, provenance, status, reserved_nano, cost_nano, succeeded, created_at, settled_at)
    SELECT v7(u), ws(u), who(u), v7(u), CASE WHEN u % 10 = 0 THEN v7(u % 1000) END, 'm' || u % 5, 'model',
        CASE WHEN u % 5000 = 0 THEN 'reserved' ELSE 'settled' END, 5, 5, CASE WHEN u % 5000 <> 0 THEN true END,
        to_timestamp(1700000000 + u * 0.5), CASE WHEN u % 5000 <> 0 THEN now() END
    FROM generate_series(0, $SCALE / 2) u;
INSERT INTO decisions SELECT v7(d), ws(d), who(d), v7(d * 2), 'before', 'warn', 'r', 'x', v7(d), now() FROM generate_series(0, $SCALE / 5) d;
INSERT INTO audit SELECT v7(a), ws(a), now(), who(a), 'run.finished', 'message', v7(a), v7(a), '{}' FROM generate_series(0, $SCALE) a;
INSERT INTO outbox (workspace_id, topic, kind, payload, correlation_id, created_at) SELECT ws(o), 't', 'k', '{}', v7(o), now() FROM generate_series(0, $SCALE / 100) o;
INSERT INTO sessions SELECT v7(s), ws(s), who(s), now(), now(), now() + interval '1 day', CASE WHEN s % 500 = 0 THEN now() - s * interval '1 minute' END,
    CASE WHEN s % 500 = 0 THEN 'logout' END FROM generate_series(0, $SCALE / 20) s;
INSERT INTO refresh_tokens SELECT decode(md5('t' || s) || md5('t' || s), 'hex'), ws(s), v7(s), now(), NULL FROM generate_series(0, $SCALE / 20) s;
INSERT INTO idempotency_keys SELECT ws(i), who(i), decode(md5('i' || i) || md5('i' || i), 'hex'), decode(md5('i' || i) || md5('i' || i), 'hex'), v7(i),
    NULL, NULL, NULL, now(), now() + (i % 1000 - 5) * interval '1 minute' FROM generate_series(0, $SCALE / 10) i;
INSERT INTO knowledge_documents SELECT v7(d), ws(3), 'doc ' || d, NULL, 'x', 1, now(), now() FROM generate_series(0, 1500) d;
INSERT INTO knowledge_passages (workspace_id, document_id, ordinal, title, text)
    SELECT ws(3), v7(d), p, 'doc ' || d, (SELECT string_agg('word' || abs(hashtext((d * 10 + p)::text || i::text)) % 5000, ' ') FROM generate_series(1, 60) i)
    FROM generate_series(0, 1500) d, generate_series(0, 3) p;
ANALYZE;
