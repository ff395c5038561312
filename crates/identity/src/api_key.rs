//! API keys: `msk_<prefix>_<secret>`.
//!
//! The prefix is public: it finds the row and names the key in lists and
//! logs. The secret is 256 random bits, shown once and stored as a hash.

use crate::{
    opaque::{MalformedToken, TokenHash},
    permission::{Permission, permits},
    random::{self, RandomnessUnavailable},
};
use aws_lc_rs::{constant_time, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use mainstay_domain::Role;
use std::{collections::BTreeSet, fmt};
use zeroize::Zeroizing;

const MARK: &str = "msk_";
const PREFIX: usize = 12;
const SECRET: usize = 43;

/// A key as its holder has it. Only [`ApiKey::reveal`] gives the text away.
pub struct ApiKey {
    prefix: String,
    text: Zeroizing<String>,
}

impl ApiKey {
    /// The characters of every key.
    pub const LENGTH: usize = MARK.len() + PREFIX + 1 + SECRET;

    /// A new key. Store [`ApiKey::prefix`], which has to be unique, and
    /// [`ApiKey::hash`].
    ///
    /// # Errors
    /// [`RandomnessUnavailable`] when the system gives no random bytes.
    pub fn generate() -> Result<Self, RandomnessUnavailable> {
        let prefix: String = random::bytes::<{ PREFIX / 2 }>()?
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let secret = Zeroizing::new(random::bytes::<32>()?);
        let mut text = Zeroizing::new(String::with_capacity(Self::LENGTH));
        text.push_str(MARK);
        text.push_str(&prefix);
        text.push('_');
        URL_SAFE_NO_PAD.encode_string(secret.as_slice(), &mut text);
        Ok(Self { prefix, text })
    }

    /// Reads a key that a client sent.
    ///
    /// # Errors
    /// [`MalformedToken`] for anything that [`ApiKey::generate`] cannot have made.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        let rest = text.strip_prefix(MARK).ok_or(MalformedToken)?;
        let (prefix, secret) = rest.split_at_checked(PREFIX).ok_or(MalformedToken)?;
        let secret = secret.strip_prefix('_').ok_or(MalformedToken)?;
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let mut bytes = Zeroizing::new([0; 32]);
        let decoded = URL_SAFE_NO_PAD.decode_slice(secret, bytes.as_mut_slice());
        if decoded != Ok(32) || text.len() != Self::LENGTH || !prefix.bytes().all(is_hex) {
            return Err(MalformedToken);
        }
        Ok(Self {
            prefix: prefix.to_owned(),
            text: Zeroizing::new(text.to_owned()),
        })
    }

    /// The public part.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What to store: the SHA-256 hash of the whole key.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, self.text.as_bytes()).as_ref());
        hash
    }

    /// Whether this is the key whose hash was stored; takes the same time for
    /// every wrong key.
    #[must_use]
    pub fn matches(&self, stored: &TokenHash) -> bool {
        constant_time::verify_slices_are_equal(&self.hash(), stored).is_ok()
    }

    /// The key's text, for the one answer that hands it over.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({MARK}{}_[redacted])", self.prefix)
    }
}

/// What a key may be used for: never more than its holder's role permits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(BTreeSet<&'static str>);

/// A scope that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no scope of this name")]
pub struct UnknownScope;

impl Scopes {
    /// Everything that the role permits.
    #[must_use]
    pub fn all() -> Self {
        Self(Permission::ALL.iter().map(|p| p.as_str()).collect())
    }

    /// Reads scopes by the names of their permissions.
    ///
    /// # Errors
    /// [`UnknownScope`] when a name is none; nothing is granted then.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownScope> {
        names
            .into_iter()
            .map(|name| {
                let permission = Permission::ALL.iter().find(|p| p.as_str() == name);
                permission.map(|p| p.as_str()).ok_or(UnknownScope)
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a key with these scopes, held by `role`, may do it.
    #[must_use]
    pub fn permit(&self, role: Role, permission: Permission) -> bool {
        permits(role, permission) && self.0.contains(permission.as_str())
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_prefix_and_known_by_its_hash() {
        let key = ApiKey::generate().unwrap();
        let sent = ApiKey::parse(key.reveal()).unwrap();
        assert_eq!(sent.prefix(), key.prefix());
        assert!(sent.matches(&key.hash()));
        assert!(!ApiKey::generate().unwrap().matches(&key.hash()));
    }

    #[test]
    fn what_was_never_issued_is_refused() {
        let key = ApiKey::generate().unwrap();
        let good = key.reveal();
        for bad in [
            String::new(),
            "msk_".to_owned(),
            good[..good.len() - 1].to_owned(),
            format!("{good}A"),
            good.replacen("msk_", "msr_", 1),
            good.replacen(key.prefix(), &"A".repeat(12), 1),
            good.replacen(key.prefix(), "ääääää", 1),
            format!("msk_{}-{}", key.prefix(), "A".repeat(43)),
        ] {
            assert!(ApiKey::parse(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_secret_is_not_printed() {
        let key = ApiKey::generate().unwrap();
        let debug = format!("{key:?}");
        assert!(debug.contains(key.prefix()));
        assert!(!debug.contains(&key.reveal()[20..]));
    }

    #[test]
    fn a_key_never_does_more_than_its_holder_or_its_scopes() {
        let scopes = Scopes::parse(["ai.execute", "cache.manage"]).unwrap();
        assert!(scopes.permit(Role::Member, Permission::Execute));
        assert!(!scopes.permit(Role::Member, Permission::ManageCache));
        assert!(scopes.permit(Role::Operator, Permission::ManageCache));
        assert!(!scopes.permit(Role::Administrator, Permission::ReadAudit));
        assert!(!Scopes::default().permit(Role::Administrator, Permission::Execute));
        assert!(Scopes::all().permit(Role::Administrator, Permission::ReadAudit));
        assert_eq!(Scopes::parse(["ai.execute", "root"]), Err(UnknownScope));
        let names: Vec<_> = scopes.names().collect();
        assert_eq!(Scopes::parse(names).unwrap(), scopes);
    }
}
