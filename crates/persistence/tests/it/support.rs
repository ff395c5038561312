//! A database of one's own, people in it, and a clock that is held.

use mainstay_domain::{
    Caller, CorrelationId, Email, Name, PersonaDraft, Principal, Prompt, Role, SessionId, User,
};
use mainstay_encryption::{Keyring, Vault};
use mainstay_persistence::{Call, Config, Database, Joining, OpenCall, Registration};
use mainstay_resilience::{Clock, Deadline, ManualClock};
use mainstay_testkit::database::TestDatabase;
use secrecy::{ExposeSecret, SecretString};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    time::Duration,
};

/// A migrated database with its manager, ready to serve.
pub(crate) struct Fixture {
    pub(crate) db: Database,
    pub(crate) clock: ManualClock,
    pub(crate) test: TestDatabase,
    pub(crate) keyring: SecretString,
}

/// 2027-01-15T08:00:00Z.
pub(crate) const START: Duration = Duration::from_secs(1_800_000_000);

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A database whose settings `change` has changed.
    pub(crate) async fn with(change: impl Fn(&mut Config)) -> Self {
        let test = TestDatabase::prepared(&schema_key(), async |url: &str| {
            let url = &as_application(url).await;
            let keyring = Keyring::generate().unwrap();
            let clock = held_clock();
            let db = Database::new(config(url), clock.shared(), Vault::new(keyring)).unwrap();
            db.start().await.inspect(|()| db.close())
        })
        .await
        .unwrap();
        let keyring = Keyring::generate().unwrap().to_text();
        let clock = held_clock();
        let mut config = config(&with_role(test.url()));
        change(&mut config);
        let fixture = Self {
            db: Database::new(config, clock.shared(), vault(&keyring)).unwrap(),
            clock,
            test,
            keyring,
        };
        fixture.db.start().await.unwrap();
        fixture
    }

    /// Another server on the same database with the same keyring and clock.
    pub(crate) fn another(&self) -> Database {
        let config = config(&with_role(self.test.url()));
        Database::new(config, self.clock.shared(), vault(&self.keyring)).unwrap()
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        let micros = i64::try_from(self.clock.unix_time().as_micros()).unwrap();
        jiff::Timestamp::from_microsecond(micros).unwrap()
    }

    pub(crate) fn open_call(&self) -> OpenCall {
        OpenCall {
            correlation_id: CorrelationId::at(self.now()),
            deadline: Deadline::never(),
        }
    }

    /// Registers somebody with a workspace of their own.
    pub(crate) async fn person(&self, email: &str) -> Person {
        let user = self
            .db
            .accounts()
            .register(&self.open_call(), &registration(email, own_workspace()))
            .await
            .unwrap();
        self.acting(user)
    }

    /// Registers a member of somebody's workspace.
    pub(crate) async fn member(&self, host: &Person, email: &str) -> Person {
        let token_hash: [u8; 32] = std::array::from_fn(|_| rand_byte(self.now()));
        let invitation = mainstay_persistence::NewInvitation {
            token_hash,
            role: Role::Member,
            expires_at: self.now() + Duration::from_secs(60),
        };
        self.db
            .workspaces()
            .invite(&host.call, &invitation)
            .await
            .unwrap();
        let joining = Joining::Invitation { token_hash };
        let user = self
            .db
            .accounts()
            .register(&self.open_call(), &registration(email, joining))
            .await
            .unwrap();
        self.acting(user)
    }

    pub(crate) fn acting(&self, user: User) -> Person {
        let call = Call {
            caller: Caller {
                principal: Principal {
                    user_id: user.id,
                    workspace_id: user.workspace_id,
                    role: user.role,
                    session_id: SessionId::at(self.now()),
                },
                correlation_id: CorrelationId::at(self.now()),
            },
            deadline: Deadline::never(),
        };
        Person { user, call }
    }

    /// How many rows a query counts, asked as superuser.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let client = self.test.connect().await.unwrap();
        client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Everything that is stored, as text.
    pub(crate) async fn dump(&self) -> String {
        let client = self.test.connect().await.unwrap();
        let tables = client
            .query(
                "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
                &[],
            )
            .await
            .unwrap();
        let mut dump = String::new();
        for table in tables {
            let table: String = table.get(0);
            let sql = format!("SELECT coalesce(string_agg(t::text, E'\n'), '') FROM \"{table}\" t");
            dump += &client
                .query_one(&sql, &[])
                .await
                .unwrap()
                .get::<_, String>(0);
        }
        dump
    }
}

pub(crate) struct Person {
    pub(crate) user: User,
    pub(crate) call: Call,
}

pub(crate) fn registration(email: &str, joining: Joining) -> Registration {
    Registration {
        email: Email::parse(email).unwrap(),
        full_name: Some(Name::parse("Ada Canary-Lovelace").unwrap()),
        password_hash: "$argon2id$stored".to_owned(),
        joining,
    }
}

pub(crate) fn own_workspace() -> Joining {
    Joining::OwnWorkspace {
        name: Name::parse("Analytical Engines").unwrap(),
    }
}

pub(crate) fn draft(name: &str) -> PersonaDraft {
    PersonaDraft {
        name: Name::parse(name).unwrap(),
        description: "Explains things.".to_owned(),
        system_prompt: Prompt::parse("You explain.").unwrap(),
        model: Some("scripted-1".to_owned()),
        temperature: Some(0.5),
        max_tokens: 256,
    }
}

pub(crate) fn config(url: &str) -> Config {
    Config {
        url: SecretString::from(url),
        min_connections: 2,
        max_connections: 4,
        ..Config::default()
    }
}

pub(crate) fn vault(keyring: &SecretString) -> Vault {
    Vault::new(Keyring::from_text(&SecretString::from(keyring.expose_secret())).unwrap())
}

pub(crate) fn held_clock() -> ManualClock {
    let clock = ManualClock::new();
    clock.set_unix_time(START);
    clock
}

pub(crate) fn rand_byte(now: jiff::Timestamp) -> u8 {
    CorrelationId::at(now).uuid().as_bytes()[15]
}

/// Lets a role that is no superuser migrate and serve, as in a deployment: for
/// superusers there is no row-level security.
async fn as_application(url: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
        .batch_execute(
            "DO $$ BEGIN CREATE ROLE mainstay_app; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
             GRANT ALL ON SCHEMA public TO mainstay_app",
        )
        .await
        .unwrap();
    with_role(url)
}

fn with_role(url: &str) -> String {
    format!("{url}&options=-c%20role%3Dmainstay_app")
}

/// Changes with the migrations, so that a template is never older than they are.
fn schema_key() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "sql"))
        .collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file).unwrap().hash(&mut hasher);
    }
    format!("persistence_{:016x}", hasher.finish())
}
