//! The server as a process of its own: starting together, and stopping on a signal.

use mainstay_testkit::{database::TestDatabase, upstream::Fault, upstream::ScriptedUpstream};
use reqwest::Client;
use serde_json::{Value, json};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

const PATIENCE: Duration = Duration::from_secs(90);

/// `mainstay serve` with its log.
struct Process {
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
    seen: Vec<Value>,
}

impl Process {
    fn start(database: &TestDatabase, state: &Path, more: &[(&str, String)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command
            .arg("serve")
            .env("MAINSTAY__DATABASE__URL", database.url())
            .env("MAINSTAY__DATABASE__MIN_CONNECTIONS", "1")
            .env("MAINSTAY__DATABASE__MAX_CONNECTIONS", "4")
            .env("MAINSTAY__SERVER__PORT", "0")
            .env("MAINSTAY__SERVER__WORKERS", "1")
            .env("MAINSTAY__SERVER__STATE_DIR", state)
            .env("MAINSTAY__SERVER__DRAIN_SECONDS", "10")
            .env("MAINSTAY__CACHE__WARM_BYTES", "0")
            .env("MAINSTAY__AUTH__REGISTRATION", "open")
            .env("MAINSTAY__AUTH__HASH_MEMORY_KIB", "8192")
            .env_remove("ANTHROPIC_API_KEY")
            .env_remove("OPENAI_API_KEY")
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        for (name, value) in more {
            command.env(name, value);
        }
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            log,
            seen: Vec::new(),
        }
    }

    /// Reads the log until a line's message is `message`.
    async fn wait_for(&mut self, message: &str) -> Value {
        let found = async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                let line: Value = serde_json::from_str(&line).unwrap();
                self.seen.push(line.clone());
                if line["message"] == message {
                    return line;
                }
            }
            panic!("the log ended without {message:?}: {:#?}", self.seen)
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap()
    }

    async fn base(&mut self) -> String {
        let line = self.wait_for("listening").await;
        format!("http://{}", line["address"].as_str().unwrap())
    }

    fn terminate(&self) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Its exit code and the whole log.
    async fn end(mut self) -> (Option<i32>, Vec<Value>) {
        let rest = async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                self.seen.push(serde_json::from_str(&line).unwrap());
            }
            self.child.wait().await.unwrap()
        };
        let status = tokio::time::timeout(PATIENCE, rest).await.unwrap();
        (status.code(), self.seen)
    }
}

async fn ready(client: &Client, base: &str) {
    let waiting = async {
        while client
            .get(format!("{base}/ready"))
            .send()
            .await
            .unwrap()
            .status()
            != 200
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_servers_may_start_at_once_on_an_empty_database() {
    let database = TestDatabase::create().await.unwrap();
    let state = tempfile::tempdir().unwrap();
    // One deployment has one keyring; the first server makes it.
    let mut first = Process::start(&database, state.path(), &[]);
    let first_base = first.base().await;
    let mut servers = vec![(first, first_base)];
    for _ in 1..10 {
        let mut server = Process::start(&database, state.path(), &[]);
        let base = server.base().await;
        servers.push((server, base));
    }
    let client = Client::builder().no_proxy().build().unwrap();
    for (_, base) in &servers {
        ready(&client, base).await;
    }
    let connection = database.connect().await.unwrap();
    let row = connection
        .query_one(
            "SELECT count(*), count(DISTINCT version) FROM refinery_schema_history",
            &[],
        )
        .await
        .unwrap();
    let (applied, distinct): (i64, i64) = (row.get(0), row.get(1));
    assert!(applied > 0);
    assert_eq!(applied, distinct, "a migration was applied twice");
    for (server, _) in &servers {
        server.terminate();
    }
    for (server, base) in servers {
        let (code, log) = server.end().await;
        assert_eq!(code, Some(0), "{base}: {log:#?}");
        let errors: Vec<_> = log
            .iter()
            .filter(|line| line["level"] == "ERROR" || line["level"] == "CRITICAL")
            .collect();
        assert!(errors.is_empty(), "{base}: {errors:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_during_a_streamed_answer_lets_it_finish() {
    let database = TestDatabase::create().await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let upstream = ScriptedUpstream::start().await.unwrap();
    let provider = [
        ("ANTHROPIC_API_KEY", "key".to_owned()),
        ("ANTHROPIC_BASE_URL", upstream.url()),
    ];
    let mut server = Process::start(&database, state.path(), &provider);
    let base = server.base().await;
    let client = Client::builder().no_proxy().build().unwrap();
    ready(&client, &base).await;
    let session: Value = client
        .post(format!("{base}/api/v1/auth/register"))
        .json(&json!({"email": "ada@example.org", "password": crate::harness::PASSWORD}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    upstream.set_answer("word ".repeat(40));
    upstream.set_fault(Fault::Drip { millis: 50 });
    let mut stream = client
        .post(format!("{base}/api/v1/ai/execute"))
        .bearer_auth(session["access_token"].as_str().unwrap())
        .json(&json!({"prompt": "Go on.", "stream": true}))
        .send()
        .await
        .unwrap();
    let mut text = String::new();
    while !text.contains("event: delta") {
        let chunk = stream.chunk().await.unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    server.terminate();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.contains("event: done"), "the stream was cut: {text}");
    let (code, log) = server.end().await;
    assert_eq!(code, Some(0), "{log:#?}");
}
