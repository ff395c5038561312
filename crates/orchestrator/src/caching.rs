//! The cache as operators see it: entries of the workspace's own, and dropping
//! what is stored. Every change is recorded before it is made.

use crate::{Error, Orchestrator, RegistrationPolicy};
use mainstay_cache::{Cached, Invalidated, Key, Options, Tier};
use mainstay_persistence::{CacheChange, Call};
use std::time::Duration;

/// The namespace of what operators store themselves. It shares no key with answers.
const NAMESPACE: &str = "operator";

impl Orchestrator {
    /// An entry that the workspace stored itself, while it is fresh.
    pub async fn cache_entry(&self, call: &Call, name: &str) -> Option<Cached> {
        self.0.cache.get(&entry(call, name)).await
    }

    /// Stores an entry of the workspace for `ttl`, under its own tags.
    ///
    /// # Errors
    /// When the change cannot be recorded; then nothing is stored.
    pub async fn put_cache_entry(
        &self,
        call: &Call,
        name: &str,
        value: Vec<u8>,
        ttl: Duration,
        tags: &[String],
    ) -> Result<Invalidated, Error> {
        self.0.cache_log.record(call, CacheChange::Written).await?;
        let tags = tags.iter().map(|tag| own_tag(call, tag));
        let options = Options::ttl(ttl)
            .jitter(0.0)
            .stale_if_error(Duration::ZERO)
            .tags(tags.chain([workspace_tag(call)]));
        let key = entry(call, name);
        Ok(self.0.cache.put(&key, value, &options).await)
    }

    /// Drops entries of the workspace, by name and by tag, in every tier and instance.
    ///
    /// # Errors
    /// When the change cannot be recorded; then nothing is dropped.
    pub async fn drop_cache_entries(
        &self,
        call: &Call,
        names: &[String],
        tags: &[String],
    ) -> Result<Invalidated, Error> {
        let change = CacheChange::Invalidated {
            keys: names.len(),
            tags: tags.len(),
        };
        self.0.cache_log.record(call, change).await?;
        let keys: Vec<Key> = names.iter().map(|name| entry(call, name)).collect();
        let tags: Vec<String> = tags.iter().map(|tag| own_tag(call, tag)).collect();
        let cache = &self.0.cache;
        let by_key = cache.invalidate(&keys).await;
        let by_tag = cache.invalidate_tags(&tags).await;
        Ok(Invalidated {
            durable: by_key.durable && by_tag.durable,
            shared: by_key.shared && by_tag.shared,
        })
    }

    /// Drops what the cache holds for the workspace, answers included; or, with
    /// a tier, everything in that tier, which every workspace of this server notices.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a tier where strangers may register, since one
    /// of them could slow down all others; else when the change cannot be recorded.
    pub async fn clear_cache(&self, call: &Call, tier: Option<Tier>) -> Result<Invalidated, Error> {
        let open = self.0.config.registration == RegistrationPolicy::Open;
        if tier.is_some() && open {
            return Err(Error::Forbidden(
                "a tier serves every workspace, so it is not cleared while anybody may register; \
                 leave tier out to drop what this workspace has stored",
            ));
        }
        let change = CacheChange::Cleared {
            tier: tier.map(Tier::as_str),
        };
        self.0.cache_log.record(call, change).await?;
        let cache = &self.0.cache;
        Ok(match tier {
            Some(tier) => cache.clear(Some(tier)).await,
            None => cache.invalidate_tags(&[workspace_tag(call)]).await,
        })
    }
}

/// The tag of everything that the cache holds for a workspace.
pub(crate) fn workspace_tag(call: &Call) -> String {
    format!("workspace:{}", call.principal().workspace_id)
}

/// A tag that an operator chose, which is the workspace's own.
fn own_tag(call: &Call, tag: &str) -> String {
    format!("operator:{}:{tag}", call.principal().workspace_id)
}

fn entry(call: &Call, name: &str) -> Key {
    let workspace = call.principal().workspace_id.uuid();
    Key::hashed(NAMESPACE, &[workspace.as_bytes(), name.as_bytes()])
}
