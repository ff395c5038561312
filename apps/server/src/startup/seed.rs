//! The first administrator with a workspace that has something to show: for
//! development, and for the first minutes of a deployment.
//!
//! Seeding twice changes nothing. A password is kept in a file of the state
//! directory before its account is made, since the database has only its hash.

mod content;
mod credentials;

use super::{StartError, answers, part, store};
use crate::{jobs, settings::Settings};
use credentials::Credentials;
use jiff::Timestamp;
use mainstay_domain::{
    Caller, CorrelationId, Email, Name, PersonaDraft, Principal, Prompt, SessionId, User,
};
use mainstay_identity::Password;
use mainstay_persistence::{
    Call, Database, Joining, NewDocument, OpenCall, Page, PageRequest, Registration,
};
use mainstay_resilience::{Deadline, SharedClock};
use secrecy::{ExposeSecret as _, SecretString};
use std::{collections::HashSet, time::Duration};
use uuid::Uuid;

/// How long connecting and migrating may take.
const START: Duration = Duration::from_secs(120);

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a seeded deployment has.
#[derive(Debug)]
pub struct Seeded {
    /// The administrator's address.
    pub email: Email,
    /// The administrator's password.
    pub password: SecretString,
    /// The administrator.
    pub user_id: Uuid,
    /// The workspace.
    pub workspace_id: Uuid,
    /// How many personas were made this time.
    pub personas: usize,
    /// How many documents were added this time.
    pub documents: usize,
}

/// Migrates the database and makes the administrator `email`, with a workspace
/// that has personas and a knowledge base, as far as they are missing.
///
/// # Errors
/// When the database cannot be used, or when the administrator is there but
/// their password is not on file.
pub async fn seed(
    settings: &Settings,
    email: &str,
    clock: SharedClock,
) -> Result<Seeded, StartError> {
    let email = Email::parse(email).map_err(|error| part("--email")(&error))?;
    let vault = store::vault(settings)?;
    let database = ready(store::database(settings, &clock, &vault)?).await?;
    let hasher = answers::hasher(settings, &vault)?;
    let seeding = Seeding { database, clock };
    let known = seeding.known(&email).await?;
    let credentials = Credentials::of(&settings.server.state_dir, &email, known.is_some())?;
    let user = match known {
        Some(user) => user,
        None => {
            let text = credentials.password.expose_secret();
            let password = Password::parse(text).map_err(|error| part("password")(&error))?;
            let hash = hasher.hash(password).await;
            let hash = hash.map_err(|error| part("password")(&error))?;
            seeding.register(&email, hash).await?
        }
    };
    let personas = seeding.personas(&user).await?;
    let documents = seeding.documents(&user).await?;
    seeding.database.close();
    Ok(Seeded {
        email,
        password: credentials.password,
        user_id: user.id.uuid(),
        workspace_id: user.workspace_id.uuid(),
        personas,
        documents,
    })
}

/// Brings the database's schema up to date.
///
/// # Errors
/// When the database cannot be used.
pub async fn migrate(settings: &Settings, clock: SharedClock) -> Result<(), StartError> {
    let vault = store::vault(settings)?;
    let database = ready(store::database(settings, &clock, &vault)?).await?;
    database.close();
    Ok(())
}

/// What [`migrate`] would apply, without changing anything: versions and names.
///
/// # Errors
/// When the database cannot be asked, or its schema cannot be used.
pub async fn migration_plan(
    settings: &Settings,
    clock: SharedClock,
) -> Result<Vec<(i32, String)>, StartError> {
    let vault = store::vault(settings)?;
    let database = store::database(settings, &clock, &vault)?;
    let planned = database.migration_plan().await;
    database.close();
    let pending = planned
        .map_err(|error| part("database")(&error))?
        .map_err(|error| part("database")(&error))?;
    Ok(pending
        .into_iter()
        .map(|migration| (migration.version, migration.name))
        .collect())
}

/// Starts the database. Unlike a server, a command does not wait for ever.
async fn ready(database: Database) -> Result<Database, StartError> {
    match tokio::time::timeout(START, database.start()).await {
        Ok(Ok(())) => Ok(database),
        Ok(Err(error)) => Err(part("database")(&error)),
        Err(_) => {
            let reason = database.status().reason;
            let reason = reason.unwrap_or_else(|| "it did not answer in time".to_owned());
            Err(part("database")(&reason))
        }
    }
}

struct Seeding {
    database: Database,
    clock: SharedClock,
}

impl Seeding {
    fn now(&self) -> Timestamp {
        jobs::now(&*self.clock)
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(&*self.clock, PATIENCE)
    }

    /// A call in the administrator's name.
    fn call(&self, user: &User) -> Call {
        let now = self.now();
        Call {
            caller: Caller {
                principal: Principal {
                    user_id: user.id,
                    workspace_id: user.workspace_id,
                    role: user.role,
                    // No session: this one is not logged in.
                    session_id: SessionId::at(now),
                },
                correlation_id: CorrelationId::at(now),
            },
            deadline: self.deadline(),
        }
    }

    async fn known(&self, email: &Email) -> Result<Option<User>, StartError> {
        let accounts = self.database.accounts();
        let found = accounts.find_by_email(email, self.deadline()).await;
        let found = found.map_err(|error| part("the administrator")(&error))?;
        Ok(found.map(|found| found.user))
    }

    async fn register(&self, email: &Email, password_hash: String) -> Result<User, StartError> {
        let call = OpenCall {
            correlation_id: CorrelationId::at(self.now()),
            deadline: self.deadline(),
        };
        let registration = Registration {
            email: email.clone(),
            full_name: Some(name("Administrator")?),
            password_hash,
            joining: Joining::OwnWorkspace {
                name: name("Demo workspace")?,
            },
        };
        let accounts = self.database.accounts();
        let made = accounts.register(&call, &registration).await;
        made.map_err(|error| part("the administrator")(&error))
    }

    /// Makes the personas that are missing, by their names.
    async fn personas(&self, user: &User) -> Result<usize, StartError> {
        let personas = self.database.personas();
        let refused = part("a persona");
        let mut known = HashSet::new();
        let mut after = None;
        loop {
            let call = self.call(user);
            let listed = personas.list(&call, page(after)).await;
            let Page { items, next } = listed.map_err(|error| refused(&error))?;
            known.extend(items.into_iter().map(|it| String::from(it.draft.name)));
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let mut made = 0;
        for persona in content::PERSONAS {
            if known.contains(persona.name) {
                continue;
            }
            let draft = PersonaDraft {
                name: name(persona.name)?,
                description: persona.description.to_owned(),
                system_prompt: Prompt::parse(persona.system_prompt)
                    .map_err(|error| part("a persona")(&error))?,
                model: None,
                temperature: persona.temperature,
                max_tokens: PersonaDraft::DEFAULT_MAX_TOKENS,
            };
            let call = self.call(user);
            let created = personas.create(&call, &draft).await;
            created.map_err(|error| refused(&error))?;
            made += 1;
        }
        Ok(made)
    }

    /// Adds the documents that are missing, by where they came from.
    async fn documents(&self, user: &User) -> Result<usize, StartError> {
        let knowledge = self.database.knowledge();
        let refused = part("a document");
        let mut known = HashSet::new();
        let mut after = None;
        loop {
            let listed = knowledge.list(&self.call(user), page(after)).await;
            let Page { items, next } = listed.map_err(|error| refused(&error))?;
            known.extend(items.into_iter().filter_map(|it| it.source));
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let mut added = 0;
        for document in content::documents() {
            if known.contains(&document.source) {
                continue;
            }
            let new = NewDocument {
                title: name(&document.title)?,
                source: Some(document.source),
                content: document.text.to_owned(),
            };
            let stored = knowledge.add(&self.call(user), &new).await;
            stored.map_err(|error| refused(&error))?;
            added += 1;
        }
        Ok(added)
    }
}

fn page(after: Option<Uuid>) -> PageRequest {
    PageRequest {
        limit: PageRequest::MAX,
        after,
    }
}

fn name(text: &str) -> Result<Name, StartError> {
    Name::parse(text).map_err(|error| part("a name")(&error))
}
