//! Export of a person's data as JSON, for the person.
//!
//! Every table that names the person in `classes::TABLES` is exported, sealed
//! fields opened. Left out are only key material, digests and expired bodies of
//! repeated requests, which tell the person nothing.

use super::Shared;
use crate::{
    call::Call,
    classes::{DataClass, TABLES, TableClass},
    error::{DbError, Failure},
    keys::{Field, Sealer},
};
use mainstay_domain::UserId;
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;

/// Export of a person's data.
#[derive(Clone)]
pub struct Exports(pub(crate) Shared);

/// How many rows are read at once.
const BATCH: i64 = 500;
/// The longest time of an export.
const LIMIT: Duration = Duration::from_secs(600);

/// The statement that reads a table's rows of a person after a row id, and the
/// column that tells sealed rows apart.
struct Reader {
    table: &'static str,
    sql: &'static str,
    row: &'static str,
}

macro_rules! reader {
    ($table:literal, $subject:literal, $key:literal) => {
        Reader {
            table: $table,
            row: $key,
            sql: concat!(
                "SELECT t.",
                $key,
                ", to_jsonb(t) FROM ",
                $table,
                " t WHERE t.workspace_id = $1 AND t.",
                $subject,
                " = $2 AND t.",
                $key,
                " > $3 ORDER BY t.",
                $key,
                " LIMIT $4"
            ),
        }
    };
}

const READERS: &[Reader] = &[
    reader!("users", "id", "id"),
    reader!("sessions", "user_id", "id"),
    reader!("invitations", "invited_by", "id"),
    reader!("conversations", "owner_id", "id"),
    reader!("messages", "owner_id", "id"),
    reader!("agents", "owner_id", "id"),
    reader!("executions", "user_id", "id"),
    reader!("usage", "user_id", "id"),
    reader!("decisions", "user_id", "id"),
    reader!("audit", "actor_id", "id"),
    reader!("idempotency_keys", "user_id", "claim_id"),
    reader!("legal_holds", "subject_id", "subject_id"),
    reader!("erasures", "subject_id", "subject_id"),
    reader!("data_keys", "subject_id", "subject_id"),
    // One row per version: the persona's id repeats, so a page is not cut by it.
    Reader {
        table: "persona_versions",
        row: "persona_id",
        sql: "SELECT NULL::uuid, to_jsonb(t) FROM persona_versions t
              WHERE t.workspace_id = $1 AND t.changed_by = $2 AND $3::uuid IS NOT NULL AND $4::bigint > 0
              ORDER BY t.persona_id, t.version LIMIT 100000",
    },
];

impl Exports {
    /// Hands every row about a person of the caller's workspace to `each`, with
    /// its table's name, from one view of the database. Memory stays small
    /// however much there is.
    ///
    /// # Errors
    /// `NotFound`; when the database does not answer or a field does not open.
    pub async fn export(
        &self,
        call: &Call,
        user: UserId,
        mut each: impl FnMut(&'static str, Value) + Send,
    ) -> Result<(), DbError> {
        let (workspace, subject) = (call.workspace(), user.uuid());
        self.0.ready()?;
        let conn = self.0.acquire(call).await?;
        let limit = call.deadline.remaining(&*self.0.clock).min(LIMIT);
        let exporting = async {
            conn.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                .await?;
            let sealer = match self.0.sealer(&conn, workspace, subject).await {
                // Without a key there is no such person.
                Err(Failure::Db(DbError::Corrupt(_))) => return Err(DbError::NotFound.into()),
                other => other?,
            };
            for reader in READERS {
                let class = TABLES.iter().find(|table| table.name == reader.table);
                let class = class.ok_or_else(|| DbError::internal("a table has no class"))?;
                let mut after = Some(Uuid::nil());
                loop {
                    let rows = conn
                        .query(reader.sql, &[&workspace, &subject, &after, &BATCH])
                        .await?;
                    for row in &rows {
                        after = row.try_get(0)?;
                        let value: Value = row.try_get(1)?;
                        each(reader.table, readable(value, reader, class, &sealer)?);
                    }
                    if after.is_none() || (rows.len() as i64) < BATCH {
                        break;
                    }
                }
            }
            conn.commit().await
        };
        let exported: Result<(), Failure> = tokio::time::timeout(limit, exporting)
            .await
            .unwrap_or(Err(DbError::DeadlineExceeded.into()));
        conn.close();
        exported.map_err(DbError::from)
    }
}

/// Opens what is sealed and leaves out what tells nothing.
fn readable(
    row: Value,
    reader: &Reader,
    class: &TableClass,
    sealer: &Sealer,
) -> Result<Value, Failure> {
    let Value::Object(row) = row else {
        return Err(DbError::Corrupt("a row").into());
    };
    let id = row
        .get(reader.row)
        .and_then(Value::as_str)
        .and_then(|id| id.parse().ok())
        .unwrap_or(Uuid::nil());
    let mut readable = Map::new();
    for (column, value) in row {
        let kind = class.columns.iter().find(|(name, _)| *name == column);
        match kind.map(|(name, class)| (*name, *class)) {
            Some((name, DataClass::Sealed)) => {
                let field = name.trim_end_matches("_sealed");
                let opened = match value.as_str() {
                    Some(hex) => {
                        let place = Field::of(class.name, field);
                        let text = sealer.open_bytes(place, id, &bytes(hex)?)?;
                        Value::String(String::from_utf8_lossy(&text).into_owned())
                    }
                    None => Value::Null,
                };
                readable.insert(field.to_owned(), opened);
            }
            Some((_, DataClass::Key | DataClass::Digest)) => {}
            _ => drop(readable.insert(column, value)),
        }
    }
    Ok(Value::Object(readable))
}

/// The bytes of Postgres's hex form, `\x…`.
fn bytes(hex: &str) -> Result<Vec<u8>, Failure> {
    let corrupt = || Failure::from(DbError::Corrupt("a sealed field"));
    let digits = hex.strip_prefix("\\x").ok_or_else(corrupt)?.as_bytes();
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).map_err(|_| corrupt())?;
            u8::from_str_radix(pair, 16).map_err(|_| corrupt())
        })
        .collect()
}
