//! Parameters of statements, each knowing its SQL type.
//!
//! The types are needed where statements cannot be prepared by name (PgBouncer);
//! elsewhere the server tells them.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

/// A value that can be bound.
pub(crate) trait Param: ToSql + Sync + Send {
    /// Its SQL type.
    fn sql_type(&self) -> Type;
}

macro_rules! params {
    ($($rust:ty => $sql:ident),+ $(,)?) => {$(
        impl Param for $rust {
            fn sql_type(&self) -> Type {
                Type::$sql
            }
        }
        impl Param for Option<$rust> {
            fn sql_type(&self) -> Type {
                Type::$sql
            }
        }
    )+};
}

params! {
    Uuid => UUID,
    String => TEXT,
    &str => TEXT,
    bool => BOOL,
    i16 => INT2,
    i32 => INT4,
    i64 => INT8,
    f32 => FLOAT4,
    Vec<u8> => BYTEA,
    &[u8] => BYTEA,
    Timestamp => TIMESTAMPTZ,
    Value => JSONB,
    Vec<Uuid> => UUID_ARRAY,
    &[Uuid] => UUID_ARRAY,
    Vec<i32> => INT4_ARRAY,
    Vec<i64> => INT8_ARRAY,
    Vec<Option<i64>> => INT8_ARRAY,
    Vec<bool> => BOOL_ARRAY,
    Vec<String> => TEXT_ARRAY,
    Vec<&str> => TEXT_ARRAY,
    Vec<Option<&str>> => TEXT_ARRAY,
    Vec<Option<Uuid>> => UUID_ARRAY,
    Vec<Timestamp> => TIMESTAMPTZ_ARRAY,
    Vec<Vec<u8>> => BYTEA_ARRAY,
    Vec<Value> => JSONB_ARRAY,
    &[String] => TEXT_ARRAY,
}
