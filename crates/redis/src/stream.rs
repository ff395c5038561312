//! Streams: a log that a reader can come back to.

use std::{fmt, time::Duration};

use bytes::Bytes;
use fred::{
    clients::Client, interfaces::ClientLike, interfaces::StreamsInterface, types::config::Options,
};

use crate::{ConfigError, Error, Redis, Value, connection::ConnectTask, error::Kind};

/// One entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its position, `milliseconds-sequence`.
    pub id: String,
    /// Its fields in the order in which they were written.
    pub fields: Vec<(String, Bytes)>,
}

impl StreamEntry {
    /// The first field called `name`.
    pub fn field(&self, name: &str) -> Option<&Bytes> {
        self.fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value)
    }
}

impl Redis {
    /// Appends an entry and returns its id. The stream is trimmed to about
    /// `max_len` entries.
    ///
    /// # Errors
    /// The server is away, stalled, or `key` holds no stream.
    pub async fn stream_append(
        &self,
        key: &str,
        fields: Vec<(String, Bytes)>,
        max_len: u64,
    ) -> Result<String, Error> {
        let cap = ("MAXLEN", "~", i64::try_from(max_len).unwrap_or(i64::MAX));
        self.run("xadd", |redis| async move {
            redis.xadd(key, false, cap, "*", fields).await
        })
        .await
    }

    /// Up to `count` entries of `key` after the position `after` (`0` for the
    /// beginning), without waiting for new ones.
    ///
    /// # Errors
    /// The server is away, stalled, or `key` holds no stream.
    pub async fn stream_read(
        &self,
        key: &str,
        after: &str,
        count: u64,
    ) -> Result<Vec<StreamEntry>, Error> {
        let answer: fred::types::Value = self
            .run("xread", |redis| async move {
                redis.xread(Some(count), None, key, after).await
            })
            .await?;
        entries_of_read(answer.into()).ok_or_else(|| Error::new("xread", Kind::Unexpected))
    }

    /// The oldest and the newest entry that the stream still holds.
    ///
    /// # Errors
    /// As [`stream_read`](Self::stream_read).
    pub async fn stream_ends(&self, key: &str) -> Result<Option<(String, String)>, Error> {
        let oldest: fred::types::Value = self
            .run("xrange", |redis| async move {
                redis.xrange(key, "-", "+", Some(1)).await
            })
            .await?;
        let newest: fred::types::Value = self
            .run("xrevrange", |redis| async move {
                redis.xrevrange(key, "+", "-", Some(1)).await
            })
            .await?;
        let unexpected = || Error::new("xrange", Kind::Unexpected);
        let oldest = entries(&Value::from(oldest)).ok_or_else(unexpected)?;
        let newest = entries(&Value::from(newest)).ok_or_else(unexpected)?;
        Ok(oldest
            .into_iter()
            .next()
            .zip(newest.into_iter().next())
            .map(|(oldest, newest)| (oldest.id, newest.id)))
    }

    /// A reader that waits for new entries, on a connection of its own, which
    /// it keeps for its life. It connects in the background.
    ///
    /// `longest_wait` bounds the `wait` of [`StreamReader::read`].
    ///
    /// # Errors
    /// The settings of this client cannot be used.
    pub fn stream_reader(&self, longest_wait: Duration) -> Result<StreamReader, ConfigError> {
        let limit = longest_wait.saturating_add(self.config().command_timeout);
        let client = self
            .builder(limit)?
            .build()
            .map_err(|_| ConfigError::new("url", "is not one that the client can use"))?;
        let task = ConnectTask::start(&client);
        Ok(StreamReader {
            client,
            longest_wait,
            grace: self.config().command_timeout,
            _task: task,
        })
    }
}

/// Waits for new entries of a stream.
pub struct StreamReader {
    client: Client,
    longest_wait: Duration,
    grace: Duration,
    _task: ConnectTask,
}

impl StreamReader {
    /// Whether the reader has its connection.
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Up to `count` entries of `key` after the position `after`, waiting for
    /// one at most `wait`. Nothing new is an empty list.
    ///
    /// # Errors
    /// The server is away, stalled, or `key` holds no stream. The position is
    /// the caller's, so that reading can go on where it stopped.
    pub async fn read(
        &mut self,
        key: &str,
        after: &str,
        count: u64,
        wait: Duration,
    ) -> Result<Vec<StreamEntry>, Error> {
        if !self.client.is_connected() {
            return Err(Error::new("xread", Kind::Disconnected));
        }
        let wait = wait.min(self.longest_wait).max(Duration::from_millis(1));
        let limit = wait.saturating_add(self.grace);
        let client = self.client.with_options(&Options {
            fail_fast: true,
            max_attempts: Some(1),
            timeout: Some(limit),
            ..Options::default()
        });
        let block = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let answer: fred::types::Value =
            tokio::time::timeout(limit, client.xread(Some(count), Some(block), key, after))
                .await
                .map_err(|_| Error::new("xread", Kind::Timeout))?
                .map_err(|error| Error::from_engine("xread", error))?;
        entries_of_read(answer.into()).ok_or_else(|| Error::new("xread", Kind::Unexpected))
    }
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader")
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

/// The entries in the answer to `XREAD` of one stream: `[[key, entries]]` in
/// RESP2, `[key, entries]` in RESP3, or nothing.
fn entries_of_read(answer: Value) -> Option<Vec<StreamEntry>> {
    match answer {
        Value::Null => Some(Vec::new()),
        Value::Array(streams) => match streams.as_slice() {
            [] => Some(Vec::new()),
            [Value::Array(stream)] => entries(stream.get(1)?),
            [Value::Bytes(_), list] => entries(list),
            _ => None,
        },
        _ => None,
    }
}

fn entries(list: &Value) -> Option<Vec<StreamEntry>> {
    if *list == Value::Null {
        return Some(Vec::new());
    }
    list.as_array()?.iter().map(entry).collect()
}

fn entry(value: &Value) -> Option<StreamEntry> {
    let [id, fields] = value.as_array()? else {
        return None;
    };
    let fields = fields
        .as_array()?
        .chunks_exact(2)
        .map(|pair| Some((pair[0].text()?, pair[1].as_bytes()?.clone())))
        .collect::<Option<_>>()?;
    Some(StreamEntry {
        id: id.text()?,
        fields,
    })
}
