//! Every listed query uses its index, on a populated database.
//!
//! `docs/DATABASE.md` shows the list with plans measured on one million
//! messages: `UPDATE_DOCS=1 PLAN_MESSAGES=1000000 cargo nextest run -p
//! mainstay-persistence plans::` writes it. Without these variables the test
//! fills a small database and checks the indexes alone.
#![allow(
    clippy::disallowed_methods,
    reason = "the test drives its own connection"
)]

use crate::{
    keys,
    repositories::{
        accounts, agents, audit, conversations, decisions, executions, idempotency, instances,
        key_rotation, knowledge, messages, outbox, personas, sessions, usage,
    },
};
use mainstay_testkit::database::TestDatabase;
use std::{fmt::Write, path::Path};
use tokio_postgres::Client;

/// A query, the index that it must use, and values for its parameters.
struct Listed {
    what: &'static str,
    sql: &'static str,
    index: &'static str,
    values: &'static [&'static str],
}

const WS: &str = "ws(7)";
const WHO: &str = "who(7)";
const MAX: &str = "'ffffffff-ffff-ffff-ffff-ffffffffffff'";
const MIN: &str = "'00000000-0000-0000-0000-000000000000'";
const NOW: &str = "now()";

const LISTED: &[Listed] = &[
    Listed {
        what: "the answer that was given to the same question",
        sql: executions::FIND_EXACT,
        index: "executions_by_cache_key",
        values: &[WS, "decode(md5('k19')||md5('k19'),'hex')", NOW],
    },
    Listed {
        what: "the same when no model answers",
        sql: executions::FIND_STALE,
        index: "executions_by_cache_key",
        values: &[WS, "decode(md5('k19')||md5('k19'),'hex')"],
    },
    Listed {
        what: "a message",
        sql: messages::FIND,
        index: "messages_pkey",
        values: &[WS, WHO, "v7(351)"],
    },
    Listed {
        what: "a page of a conversation, each with its decisions",
        sql: messages::LIST,
        index: "messages_by_conversation",
        values: &[WS, WHO, "v7(350)", MIN, "51"],
    },
    Listed {
        what: "the decisions of each message of a page",
        sql: messages::LIST,
        index: "decisions_by_source",
        values: &[WS, WHO, "v7(350)", MIN, "51"],
    },
    Listed {
        what: "one's conversations",
        sql: conversations::LIST,
        index: "conversations_workspace_id_owner_id_id_key",
        values: &[WS, WHO, MAX, "51"],
    },
    Listed {
        what: "login by e-mail",
        sql: accounts::FIND_BY_EMAIL,
        index: "users_email_unique",
        values: &["decode(md5('e7')||md5('f7'),'hex')"],
    },
    Listed {
        what: "the people of a workspace",
        sql: accounts::LIST,
        index: "users_workspace_id_id_key",
        values: &[WS, MIN, "51"],
    },
    Listed {
        what: "data keys of people",
        sql: keys::SELECT,
        index: "data_keys_pkey",
        values: &[WS, "ARRAY[who(7), who(57)]"],
    },
    Listed {
        what: "data keys that a former key wrapped",
        sql: key_rotation::TAKE,
        index: "data_keys_wrapped_by",
        values: &["2", "100"],
    },
    Listed {
        what: "a refresh token",
        sql: sessions::LOOK_UP,
        index: "refresh_tokens_pkey",
        values: &["decode(md5('t7')||md5('t7'),'hex')"],
    },
    Listed {
        what: "one's sessions",
        sql: sessions::LIST,
        index: "sessions_by_user",
        values: &[WS, WHO, NOW],
    },
    Listed {
        what: "what was revoked lately, for the poll of every server",
        sql: sessions::REVOKED_SINCE,
        index: "sessions_revoked",
        values: &["now() - interval '5 seconds'"],
    },
    Listed {
        what: "personas of a workspace",
        sql: personas::LIST,
        index: "personas_workspace_id_id_key",
        values: &[WS, MIN, "51"],
    },
    Listed {
        what: "one's agents",
        sql: agents::LIST,
        index: "agents_by_owner",
        values: &[WS, WHO, MAX, "51"],
    },
    Listed {
        what: "what an agent has done",
        sql: agents::METRICS,
        index: "usage_by_agent",
        values: &["ws(10)", "v7(10)"],
    },
    Listed {
        what: "a usage report of one day",
        sql: usage::REPORT,
        index: "usage_by_time",
        values: &[
            WS,
            "to_timestamp(1700000000)",
            "to_timestamp(1700001000)",
            "NULL",
            "'model'",
        ],
    },
    Listed {
        what: "the audit log, newest first",
        sql: audit::LIST,
        index: "audit_by_workspace",
        values: &[
            WS, MAX, "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "51",
        ],
    },
    Listed {
        what: "the audit log of one thing",
        sql: audit::LIST_BY_TARGET,
        index: "audit_by_target",
        values: &[
            WS, MAX, "NULL", "NULL", "v7(7)", "NULL", "NULL", "NULL", "51",
        ],
    },
    Listed {
        what: "the decision log",
        sql: decisions::LIST,
        index: "decisions_by_workspace",
        values: &[WS, MAX, "NULL", "51"],
    },
    Listed {
        what: "the decisions about one answer",
        sql: decisions::LIST_BY_SOURCE,
        index: "decisions_by_source",
        values: &[WS, MAX, "v7(14)", "51"],
    },
    Listed {
        what: "passages that answer a question",
        sql: knowledge::SEARCH,
        index: "knowledge_passages_search",
        values: &["ws(3)", "'word17 word18 word4711'", "5"],
    },
    Listed {
        what: "a claim of a key",
        sql: idempotency::CLAIM,
        index: "idempotency_keys_pkey",
        values: &[
            WS,
            WHO,
            "decode(md5('i7')||md5('i7'),'hex')",
            "decode(md5('i7')||md5('i7'),'hex')",
            "v7(7)",
            NOW,
            NOW,
        ],
    },
    Listed {
        what: "lapsed keys",
        sql: idempotency::SWEEP,
        index: "idempotency_keys_expired",
        values: &[NOW],
    },
    Listed {
        what: "events to publish",
        sql: outbox::CLAIM_BATCH,
        index: "outbox_pkey",
        values: &[NOW, NOW, "100"],
    },
    Listed {
        what: "runs of servers that went away",
        sql: instances::INTERRUPT,
        index: "messages_streaming",
        values: &[NOW, "now() - interval '1 minute'", "v7(1)"],
    },
    Listed {
        what: "executions of servers that went away",
        sql: instances::INTERRUPT,
        index: "executions_running",
        values: &[NOW, "now() - interval '1 minute'", "v7(1)"],
    },
];

#[tokio::test]
async fn every_listed_query_uses_its_index() {
    let messages = std::env::var("PLAN_MESSAGES").unwrap_or_else(|_| "20000".to_owned());
    let test = TestDatabase::create().await.unwrap();
    let mut client = test.connect().await.unwrap();
    crate::migrate::apply(&mut client).await.ok().unwrap();
    let data = include_str!("data.sql").replace("$SCALE", &messages);
    client.batch_execute(&data).await.unwrap();
    let mut page = String::new();
    for (number, listed) in LISTED.iter().enumerate() {
        let plan = explain(&mut client, number, listed).await;
        assert!(
            plan.contains(listed.index),
            "{}: {} is not used\n{plan}",
            listed.what,
            listed.index
        );
        let timing = plan.lines().find(|line| line.starts_with("Execution Time"));
        let time = timing
            .unwrap_or_default()
            .trim_start_matches("Execution Time: ");
        writeln!(page, "| {} | `{}` | {time} |", listed.what, listed.index).unwrap();
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        write_page(&page);
    }
}

fn small() -> bool {
    std::env::var_os("PLAN_MESSAGES").is_none()
}

/// The plan without knowledge of the values, which is what Postgres settles on
/// for prepared statements, run once and undone.
async fn explain(client: &mut Client, number: usize, listed: &Listed) -> String {
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute(&format!(
            "SET LOCAL plan_cache_mode = force_generic_plan; {}; PREPARE q{number} AS {}",
            if small() {
                // Reading a small table whole is right, and tells nothing.
                "SET LOCAL enable_seqscan = off"
            } else {
                ""
            },
            listed.sql
        ))
        .await
        .unwrap();
    let values = listed.values.join(", ");
    // Twice: the first run warms the cache.
    let mut plan = String::new();
    for _ in 0..2 {
        let rows = transaction
            .query(
                &format!("EXPLAIN (ANALYZE, COSTS OFF) EXECUTE q{number}({values})"),
                &[],
            )
            .await;
        let rows = rows.unwrap_or_else(|error| panic!("{}: {error:?}", listed.what));
        plan = rows
            .iter()
            .map(|row| row.get::<_, String>(0) + "\n")
            .collect();
    }
    transaction.rollback().await.unwrap();
    plan
}

fn write_page(rows: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/DATABASE.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- plans -->").unwrap();
    let (_, after) = rest.split_once("<!-- /plans -->").unwrap();
    let table = format!("\n| query | index | time |\n| --- | --- | --- |\n{rows}");
    let page = format!("{before}<!-- plans -->\n{table}\n<!-- /plans -->{after}");
    std::fs::write(&path, page).unwrap();
}
