//! The commands, each bounded and failing fast.

use std::time::Duration;

use bytes::Bytes;
use fred::{
    interfaces::{ClientLike, KeysInterface, LuaInterface, PubsubInterface},
    types::{Expiration, SetOptions},
};

use crate::{Error, Redis, Script, Value};

/// Redis expires in whole milliseconds; less than one would mean "never".
fn expiration(ttl: Duration) -> Expiration {
    Expiration::PX(millis(ttl))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis())
        .unwrap_or(i64::MAX)
        .max(1)
}

impl Redis {
    /// The value of `key`.
    ///
    /// # Errors
    /// The server is away, stalled, or `key` holds no string.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        self.run("get", |redis| async move { redis.get(key).await })
            .await
    }

    /// Sets `key`, for `ttl` or for good.
    ///
    /// # Errors
    /// The server is away or stalled. After a timeout the value may still be
    /// written later.
    pub async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), Error> {
        self.run("set", |redis| async move {
            redis
                .set(key, value, ttl.map(expiration), None, false)
                .await
        })
        .await
    }

    /// Sets `key` unless it exists, and tells whether it did.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn set_if_absent(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<bool, Error> {
        let answer: fred::types::Value = self
            .run("set", |redis| async move {
                redis
                    .set(key, value, ttl.map(expiration), Some(SetOptions::NX), false)
                    .await
            })
            .await?;
        Ok(!answer.is_null())
    }

    /// Deletes `keys` and tells how many existed.
    ///
    /// # Errors
    /// The server is away or stalled.
    pub async fn delete(&self, keys: &[&str]) -> Result<u64, Error> {
        if keys.is_empty() {
            return Ok(0);
        }
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        self.run("del", |redis| async move { redis.del(keys).await })
            .await
    }

    /// Adds `by` to the number at `key`, which counts from zero, and returns
    /// the sum.
    ///
    /// # Errors
    /// The server is away, stalled, or `key` holds something else.
    pub async fn increment(&self, key: &str, by: i64) -> Result<i64, Error> {
        self.run(
            "incrby",
            |redis| async move { redis.incr_by(key, by).await },
        )
        .await
    }

    /// Lets `key` expire after `ttl` and tells whether it exists.
    ///
    /// # Errors
    /// The server is away or stalled.
    pub async fn expire(&self, key: &str, ttl: Duration) -> Result<bool, Error> {
        let answer: i64 = self
            .run("pexpire", |redis| async move {
                redis.pexpire(key, millis(ttl), None).await
            })
            .await?;
        Ok(answer == 1)
    }

    /// Runs `script` as one step on the server. In a cluster all `keys` must
    /// share a hash tag.
    ///
    /// # Errors
    /// The server is away, stalled, or the script failed.
    pub async fn script(
        &self,
        script: &Script,
        keys: &[&str],
        args: Vec<Bytes>,
    ) -> Result<Value, Error> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let (by_digest, digest) = (keys.clone(), script.sha1().to_owned());
        let first_args = args.clone();
        let first: Result<fred::types::Value, Error> = self
            .run("evalsha", |redis| async move {
                redis.evalsha(digest, by_digest, first_args).await
            })
            .await;
        let answer = match first {
            // The full text runs it and teaches it to the server.
            Err(error) if error.is_no_script() => {
                let lua = script.lua().to_owned();
                self.run(
                    "eval",
                    |redis| async move { redis.eval(lua, keys, args).await },
                )
                .await?
            }
            answer => answer?,
        };
        Ok(Value::from(answer))
    }

    /// Sends `payload` to the subscribers of `channel` and tells how many
    /// there are.
    ///
    /// # Errors
    /// The server is away or stalled.
    pub async fn publish(&self, channel: &str, payload: Bytes) -> Result<u64, Error> {
        self.run("publish", |redis| async move {
            redis.publish(channel, payload).await
        })
        .await
    }

    /// Asks the server for a sign of life.
    ///
    /// # Errors
    /// The server is away or stalled.
    pub async fn ping(&self) -> Result<(), Error> {
        let _: fred::types::Value = self
            .run("ping", |redis| async move { redis.ping(None).await })
            .await?;
        Ok(())
    }
}
