//! Messages and the runs that write them. Only their owner sees them.

use super::{DecisionColumns, Shared, bigint, count, parse, usd};
use crate::{
    call::Call,
    error::{DbError, Failure},
    keys::{Field, Sealer},
    page::{Page, PageRequest},
};
use mainstay_domain::{
    AuditId, Citation, ConversationId, Decision, Message, MessageId, MessageRole, MessageStatus,
    PersonaId, Provenance, RunId, Tokens, UsageId, Usd,
};
use std::time::Duration;
use tokio_postgres::Row;
use uuid::Uuid;

pub(super) const CONTENT: Field = Field::of("messages", "content");

/// Messages and the runs that write them.
#[derive(Clone)]
pub struct Messages(pub(crate) Shared);

/// A question in a conversation, and the run that will answer it.
#[derive(Debug, Clone)]
pub struct BeginRun {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The id of the answer's message, made just now.
    pub message_id: MessageId,
    /// The run's id.
    pub run_id: RunId,
    /// The id of the usage record that holds the reservation.
    pub usage_id: UsageId,
    /// This server's id, by which its runs are found when it goes away.
    pub instance_id: Uuid,
    /// The question.
    pub content: String,
    /// The personas that will answer.
    pub persona_ids: Vec<PersonaId>,
    /// The model that will be asked, when one is known.
    pub model: Option<String>,
    /// What the answer may cost.
    pub reserved: Usd,
    /// How many earlier messages are wanted as context.
    pub context_limit: u32,
}

/// A run that has begun.
#[derive(Debug, Clone)]
pub struct Begun {
    /// The question's message.
    pub question: Message,
    /// The answer's message, streaming and empty.
    pub answer: Message,
    /// The earlier messages, oldest first, without those that are empty.
    pub context: Vec<Message>,
}

/// The end of a run.
#[derive(Debug, Clone)]
pub struct FinishRun {
    /// The answer's message.
    pub message_id: MessageId,
    /// The usage record of the reservation.
    pub usage_id: UsageId,
    /// How it ended; not `Streaming`.
    pub status: MessageStatus,
    /// The text.
    pub content: String,
    /// Where it came from; `None` when nothing did.
    pub provenance: Option<Provenance>,
    /// The personas that shaped it.
    pub persona_ids: Vec<PersonaId>,
    /// The model that wrote it, when one did.
    pub model: Option<String>,
    /// What it rests on.
    pub citations: Vec<Citation>,
    /// Tokens that the provider counted.
    pub usage: Tokens,
    /// What it cost; `None` when unknown.
    pub cost_usd: Option<Usd>,
    /// What governance decided on the way.
    pub decisions: Vec<Decision>,
    /// True when it is less than what was asked for.
    pub degraded: bool,
    /// From the question to the whole answer.
    pub elapsed: Duration,
}

macro_rules! columns {
    ($m:literal) => {
        concat!(
            $m,
            ".id, ",
            $m,
            ".conversation_id, ",
            $m,
            ".run_id, ",
            $m,
            ".role, ",
            $m,
            ".status, ",
            $m,
            ".content_sealed, ",
            $m,
            ".provenance, ",
            $m,
            ".persona_ids, ",
            $m,
            ".model, ",
            $m,
            ".citations, ",
            $m,
            ".input_tokens, ",
            $m,
            ".output_tokens, ",
            $m,
            ".cached_tokens, ",
            $m,
            ".cost_nano, ",
            $m,
            ".degraded, ",
            $m,
            ".elapsed_ms, ",
            $m,
            ".created_at"
        )
    };
}

macro_rules! decisions {
    () => {
        "(SELECT coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'hook', d.hook, 'verdict', d.verdict,
             'rule_id', d.rule_id, 'reason', d.reason) ORDER BY d.id), '[]')
          FROM decisions d WHERE d.workspace_id = m.workspace_id AND d.source_id = m.id)"
    };
}

// One statement, and so one round trip and one transaction. The last part sees
// the table as it was before: the context without the new question.
pub(crate) const BEGIN: &str = concat!(
    "WITH conversation AS (
        UPDATE conversations SET updated_at = $4 WHERE workspace_id = $1 AND owner_id = $2 AND id = $3
        RETURNING agent_id
    ), question AS (
        INSERT INTO messages (id, workspace_id, owner_id, conversation_id, role, status, content_sealed, persona_ids, citations,
            input_tokens, output_tokens, cached_tokens, degraded, elapsed_ms, created_at, updated_at)
        SELECT $5, $1, $2, $3, 'user', 'complete', $6, '{}', '[]', 0, 0, 0, false, 0, $4, $4 FROM conversation
    ), answer AS (
        INSERT INTO messages (id, workspace_id, owner_id, conversation_id, run_id, role, status, content_sealed, persona_ids, model,
            citations, input_tokens, output_tokens, cached_tokens, degraded, elapsed_ms, instance_id, usage_id, created_at, updated_at)
        SELECT $7, $1, $2, $3, $8, 'assistant', 'streaming', $9, $10, $11, '[]', 0, 0, 0, false, 0, $12, $13, $4, $4 FROM conversation
    ), reserved AS (
        INSERT INTO usage (id, workspace_id, user_id, source_id, persona_id, agent_id, model, status, reserved_nano, created_at)
        SELECT $13, $1, $2, $7, ($10::uuid[])[1], agent_id, $11, 'reserved', $14, $4 FROM conversation
    ), audited AS (
        INSERT INTO audit (id, workspace_id, at, actor_id, action, target_type, target_id, correlation_id, details)
        SELECT $15, $1, $4, $2, 'run.begun', 'message', $7, $16,
            jsonb_build_object('conversation_id', $3::uuid, 'run_id', $8::uuid, 'reserved_nano', $14::bigint) FROM conversation
    ), published AS (
        INSERT INTO outbox (workspace_id, topic, kind, payload, correlation_id, created_at)
        SELECT $1, 'conversation.' || $3::uuid::text, 'message.begun',
            jsonb_build_object('message_id', $7::uuid, 'question_id', $5::uuid, 'run_id', $8::uuid), $16, $4 FROM conversation
    )
    SELECT ",
    columns!("m"),
    " FROM conversation LEFT JOIN LATERAL (
        SELECT * FROM messages WHERE workspace_id = $1 AND conversation_id = $3 ORDER BY id DESC LIMIT $17
    ) m ON true"
);

pub(crate) const FINISH: &str = "
WITH finished AS (
    UPDATE messages SET status = $4, content_sealed = $5, provenance = $6, persona_ids = $7, model = $8, citations = $9,
        input_tokens = $10, output_tokens = $11, cached_tokens = $12, cost_nano = $13, degraded = $14, elapsed_ms = $15,
        instance_id = NULL, updated_at = $16
    WHERE workspace_id = $1 AND owner_id = $2 AND id = $3 AND status = 'streaming'
    RETURNING conversation_id
), settled AS (
    UPDATE usage SET status = CASE WHEN $6::text IS NULL THEN 'released' ELSE 'settled' END,
        provenance = $6, model = $8, persona_id = coalesce(($7::uuid[])[1], persona_id),
        input_tokens = $10, output_tokens = $11, cached_tokens = $12, cost_nano = $13,
        elapsed_ms = $15, succeeded = ($4 = 'complete'), settled_at = $16
    FROM finished WHERE usage.workspace_id = $1 AND usage.id = $17 AND usage.status = 'reserved'
), decided AS (
    INSERT INTO decisions (id, workspace_id, user_id, source_id, hook, verdict, rule_id, reason, correlation_id, created_at)
    SELECT d.id, $1, $2, $3, d.hook, d.verdict, d.rule_id, d.reason, $18, $16
    FROM finished, unnest($19::uuid[], $20::text[], $21::text[], $22::text[], $23::text[]) AS d (id, hook, verdict, rule_id, reason)
), audited AS (
    INSERT INTO audit (id, workspace_id, at, actor_id, action, target_type, target_id, correlation_id, details)
    SELECT $24, $1, $16, $2, 'run.finished', 'message', $3, $18,
        jsonb_build_object('status', $4::text, 'provenance', $6::text, 'model', $8::text, 'cost_nano', $13::bigint, 'usage_id', $17::uuid)
    FROM finished
), published AS (
    INSERT INTO outbox (workspace_id, topic, kind, payload, correlation_id, created_at)
    SELECT $1, 'conversation.' || conversation_id::text, 'message.finished',
        jsonb_build_object('message_id', $3::uuid, 'status', $4::text), $18, $16
    FROM finished
)
SELECT conversation_id FROM finished";

const CHECKPOINT: &str = "
UPDATE messages SET content_sealed = $4, updated_at = $5
WHERE workspace_id = $1 AND owner_id = $2 AND id = $3 AND status = 'streaming'";

pub(crate) const FIND: &str = concat!(
    "SELECT ",
    columns!("m"),
    ", ",
    decisions!(),
    " FROM messages m WHERE m.workspace_id = $1 AND m.owner_id = $2 AND m.id = $3"
);

pub(crate) const LIST: &str = concat!(
    "SELECT ",
    columns!("m"),
    ", ",
    decisions!(),
    " FROM messages m WHERE m.workspace_id = $1 AND m.owner_id = $2 AND m.conversation_id = $3
      AND m.id > $4 ORDER BY m.id LIMIT $5"
);

const EXISTS: &str = "
SELECT FROM conversations WHERE workspace_id = $1 AND owner_id = $2 AND id = $3";

impl Messages {
    /// Stores a question and its streaming answer, reserves what it may cost,
    /// and returns the earlier messages: one statement.
    ///
    /// # Errors
    /// `NotFound` when the conversation is not the caller's.
    pub async fn begin(&self, call: &Call, new: &BeginRun) -> Result<Begun, DbError> {
        let now = self.0.now();
        // The question sorts just before its answer.
        let earlier = now
            .checked_sub(jiff::SignedDuration::from_millis(1))
            .unwrap_or(now);
        let question_id = MessageId::at(earlier);
        let begun = self
            .0
            .run(call, |conn| async move {
                let (workspace, owner) = (call.workspace(), call.user());
                let sealer = self.0.sealer(&conn, workspace, owner).await?;
                let personas: Vec<Uuid> = new.persona_ids.iter().map(|id| id.uuid()).collect();
                let rows = conn
                    .query(
                        BEGIN,
                        &[
                            &workspace,
                            &owner,
                            &new.conversation_id.uuid(),
                            &now,
                            &question_id.uuid(),
                            &sealer.seal(CONTENT, question_id.uuid(), new.content.as_bytes())?,
                            &new.message_id.uuid(),
                            &new.run_id.uuid(),
                            &sealer.seal(CONTENT, new.message_id.uuid(), b"")?,
                            &personas,
                            &new.model,
                            &new.instance_id,
                            &new.usage_id.uuid(),
                            &new.reserved.nano(),
                            &AuditId::at(now).uuid(),
                            &call.correlation(),
                            &i64::from(new.context_limit),
                        ],
                    )
                    .await?;
                if rows.is_empty() {
                    return Err(DbError::NotFound.into());
                }
                let mut context = Vec::with_capacity(rows.len());
                for row in rows.iter().rev() {
                    // A conversation without messages gives one empty row.
                    if row.try_get::<_, Option<Uuid>>(0)?.is_some() {
                        context.push(message(row, &sealer, Vec::new())?);
                    }
                }
                context.retain(|message| !message.content.is_empty());
                Ok(Begun {
                    question: blank(new.conversation_id, question_id, MessageRole::User, now)
                        .saying(&new.content),
                    answer: blank(
                        new.conversation_id,
                        new.message_id,
                        MessageRole::Assistant,
                        now,
                    )
                    .by(new),
                    context,
                })
            })
            .await?;
        self.0.ring_outbox();
        Ok(begun)
    }

    /// Keeps what a run has written so far, so that it survives its server.
    /// It is not a change of state and leaves no audit row.
    ///
    /// # Errors
    /// `NotFound` when the run has ended.
    pub async fn checkpoint(
        &self,
        call: &Call,
        id: MessageId,
        content: &str,
    ) -> Result<(), DbError> {
        let now = self.0.now();
        self.0
            .run(call, |conn| async move {
                let (workspace, owner) = (call.workspace(), call.user());
                let sealer = self.0.sealer(&conn, workspace, owner).await?;
                let sealed = sealer.seal(CONTENT, id.uuid(), content.as_bytes())?;
                let kept = conn
                    .execute(CHECKPOINT, &[&workspace, &owner, &id.uuid(), &sealed, &now])
                    .await?;
                if kept == 0 {
                    return Err(DbError::NotFound.into());
                }
                Ok(())
            })
            .await
    }

    /// Ends a run: the message, its cost, its decisions, the audit row and the
    /// event in one statement. Only the first end counts.
    ///
    /// # Errors
    /// `Conflict("finished")` when the run had ended before or is not the caller's.
    pub async fn finish(&self, call: &Call, end: &FinishRun) -> Result<(), DbError> {
        let now = self.0.now();
        self.0
            .run(call, |conn| async move {
                let (workspace, owner) = (call.workspace(), call.user());
                let sealer = self.0.sealer(&conn, workspace, owner).await?;
                let personas: Vec<Uuid> = end.persona_ids.iter().map(|id| id.uuid()).collect();
                let decisions = DecisionColumns::of(&end.decisions)?;
                let id = end.message_id.uuid();
                let rows = conn
                    .query(
                        FINISH,
                        &[
                            &workspace,
                            &owner,
                            &id,
                            &end.status.as_str(),
                            &sealer.seal(CONTENT, id, end.content.as_bytes())?,
                            &end.provenance.map(Provenance::as_str),
                            &personas,
                            &end.model,
                            &serde_json::to_value(&end.citations)?,
                            &bigint(end.usage.input),
                            &bigint(end.usage.output),
                            &bigint(end.usage.cached.min(end.usage.input)),
                            &end.cost_usd.map(Usd::nano),
                            &end.degraded,
                            &i64::try_from(end.elapsed.as_millis()).unwrap_or(i64::MAX),
                            &now,
                            &end.usage_id.uuid(),
                            &call.correlation(),
                            &decisions.ids,
                            &decisions.hooks,
                            &decisions.verdicts,
                            &decisions.rules,
                            &decisions.reasons,
                            &AuditId::at(now).uuid(),
                        ],
                    )
                    .await?;
                if rows.is_empty() {
                    return Err(DbError::Conflict("finished").into());
                }
                Ok(())
            })
            .await?;
        self.0.ring_outbox();
        Ok(())
    }

    /// A message of the caller.
    ///
    /// # Errors
    /// `NotFound`, also when it is somebody else's.
    pub async fn find(&self, call: &Call, id: MessageId) -> Result<Message, DbError> {
        self.0
            .run(call, |conn| async move {
                let (workspace, owner) = (call.workspace(), call.user());
                let row = conn
                    .query_one(FIND, &[&workspace, &owner, &id.uuid()])
                    .await?;
                let sealer = self.0.sealer(&conn, workspace, owner).await?;
                message(&row, &sealer, decided(&row)?)
            })
            .await
    }

    /// The messages of a conversation of the caller, oldest first.
    ///
    /// # Errors
    /// `NotFound` when the conversation is not the caller's.
    pub async fn list(
        &self,
        call: &Call,
        conversation: ConversationId,
        page: PageRequest,
    ) -> Result<Page<Message>, DbError> {
        let messages = self
            .0
            .run(call, |conn| async move {
                let (workspace, owner) = (call.workspace(), call.user());
                let id = conversation.uuid();
                let rows = conn
                    .query(
                        LIST,
                        &[&workspace, &owner, &id, &page.floor(), &page.rows()],
                    )
                    .await?;
                if rows.is_empty() {
                    // No messages, or no such conversation?
                    conn.query_one(EXISTS, &[&workspace, &owner, &id]).await?;
                    return Ok(Vec::new());
                }
                let sealer = self.0.sealer(&conn, workspace, owner).await?;
                rows.iter()
                    .map(|row| message(row, &sealer, decided(row)?))
                    .collect::<Result<Vec<_>, Failure>>()
            })
            .await?;
        Ok(Page::of(messages, page, |message| message.id.uuid()))
    }
}

fn decided(row: &Row) -> Result<Vec<Decision>, Failure> {
    let stored: serde_json::Value = row.try_get(17)?;
    Ok(serde_json::from_value(stored).map_err(|_| DbError::Corrupt("decisions"))?)
}

/// A message from the columns above.
fn message(row: &Row, sealer: &Sealer, decisions: Vec<Decision>) -> Result<Message, Failure> {
    let id: Uuid = row.try_get(0)?;
    let personas: Vec<Uuid> = row.try_get(7)?;
    let provenance: Option<&str> = row.try_get(6)?;
    Ok(Message {
        id: id.into(),
        conversation_id: row.try_get::<_, Uuid>(1)?.into(),
        run_id: row.try_get::<_, Option<Uuid>>(2)?.map(Into::into),
        role: parse(row.try_get(3)?)?,
        status: parse(row.try_get(4)?)?,
        content: sealer.open(CONTENT, id, row.try_get(5)?)?,
        provenance: provenance.map(parse).transpose()?,
        persona_ids: personas.into_iter().map(Into::into).collect(),
        model: row.try_get(8)?,
        citations: serde_json::from_value(row.try_get(9)?)
            .map_err(|_| DbError::Corrupt("messages.citations"))?,
        usage: Tokens {
            input: count(row.try_get(10)?),
            output: count(row.try_get(11)?),
            cached: count(row.try_get(12)?),
        },
        cost_usd: row.try_get::<_, Option<i64>>(13)?.map(usd),
        decisions,
        degraded: row.try_get(14)?,
        elapsed_ms: count(row.try_get(15)?),
        created_at: row.try_get(16)?,
    })
}

/// A message of which only these parts are known.
struct Blank(Message);

fn blank(
    conversation_id: ConversationId,
    id: MessageId,
    role: MessageRole,
    created_at: jiff::Timestamp,
) -> Blank {
    Blank(Message {
        id,
        conversation_id,
        run_id: None,
        role,
        status: MessageStatus::Complete,
        content: String::new(),
        provenance: None,
        persona_ids: Vec::new(),
        model: None,
        citations: Vec::new(),
        usage: Tokens::default(),
        cost_usd: None,
        decisions: Vec::new(),
        degraded: false,
        elapsed_ms: 0,
        created_at,
    })
}

impl Blank {
    fn saying(mut self, content: &str) -> Message {
        content.clone_into(&mut self.0.content);
        self.0
    }

    fn by(mut self, run: &BeginRun) -> Message {
        self.0.status = MessageStatus::Streaming;
        self.0.run_id = Some(run.run_id);
        self.0.persona_ids.clone_from(&run.persona_ids);
        self.0.model.clone_from(&run.model);
        self.0
    }
}
