//! Verifying access tokens.
//!
//! The token's own header chooses nothing: the algorithm is fixed, the key
//! comes from the [`KeySet`], and a header with any member beyond `alg`,
//! `typ` and `kid` (`jwk`, `jku`, `x5u`, `crit`, `zip`, …) is refused before
//! any cryptography.

use crate::{
    issue::{ALGORITHM, Claims, Header, TYPE, TokenConfig},
    keyset::KeySet,
    verified::VerifiedTokens,
};
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use mainstay_domain::{Principal, Role};
use std::sync::Arc;
use uuid::Uuid;

/// Why a token is not accepted. The reason is for logs; clients are told
/// only that they are not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InvalidToken {
    /// Longer than any token that is issued here.
    #[error("the token is too long")]
    TooLong,
    /// Not three base64url parts with the expected JSON in them.
    #[error("the token is malformed")]
    Malformed,
    /// The header names another algorithm or type, or brings members that
    /// would have the verifier trust the token itself.
    #[error("the token's header is not acceptable")]
    Header,
    /// Signed by no key that is accepted now.
    #[error("the token names no accepted key")]
    UnknownKey,
    /// The signature is not the key's.
    #[error("the token's signature is wrong")]
    Signature,
    /// Another issuer's.
    #[error("the token comes from another issuer")]
    Issuer,
    /// Meant for somebody else.
    #[error("the token is meant for another audience")]
    Audience,
    /// Too late.
    #[error("the token has expired")]
    Expired,
    /// Too early.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// What a genuine token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Who speaks.
    pub principal: Principal,
    /// The token's id.
    pub jti: Uuid,
    /// When it was issued, to the millisecond.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Verifies access tokens. Cheap to share; remembers a bounded number of
/// tokens that it has verified, so that a busy client costs one hash instead
/// of one signature check per request.
#[derive(Debug)]
pub struct TokenVerifier {
    config: TokenConfig,
    keys: Arc<KeySet>,
    verified: VerifiedTokens,
}

impl TokenVerifier {
    /// The most bytes of a token. Issued ones are below 700.
    pub const MAX_BYTES: usize = 2048;
    /// How far another instance's clock may be ahead, in seconds.
    const SKEW_SECONDS: i64 = 5;
    /// The default of how many verified tokens are remembered; at about
    /// 200 bytes each this is 2 MB.
    pub const DEFAULT_REMEMBERED: usize = 10_000;

    /// A verifier that accepts `config`'s tokens signed by `keys` and
    /// remembers at most `remembered` of them; 0 switches remembering off.
    #[must_use]
    pub fn new(config: TokenConfig, keys: Arc<KeySet>, remembered: usize) -> Self {
        Self {
            config,
            keys,
            verified: VerifiedTokens::new(remembered),
        }
    }

    /// Who the token speaks for at `now`. Revocations are a separate question:
    /// see [`Revocations`](crate::Revocations).
    ///
    /// # Errors
    /// [`InvalidToken`] with the first reason found.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, InvalidToken> {
        if token.len() > Self::MAX_BYTES {
            return Err(InvalidToken::TooLong);
        }
        let mut id = [0; 32];
        id.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        let generation = self.keys.generation();
        if let Some(known) = self.verified.find(&id, generation, now) {
            return Ok(known);
        }
        let (verified, trusted_until) = self.examine(token, now)?;
        self.verified
            .remember(id, generation, trusted_until, verified);
        Ok(verified)
    }

    /// Examines every part of the token. Also tells until when the answer
    /// holds: the earlier of the token's and its key's end.
    fn examine(&self, token: &str, now: Timestamp) -> Result<(Verified, Timestamp), InvalidToken> {
        let (message, signature) = token.rsplit_once('.').ok_or(InvalidToken::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(InvalidToken::Malformed)?;
        if claims.contains('.') {
            return Err(InvalidToken::Malformed);
        }
        let header = decode(header)?;
        let header: Header<'_> = read_header(&header)?;
        if header.alg != ALGORITHM || header.typ != TYPE {
            return Err(InvalidToken::Header);
        }
        let (genuine, key_until) = self
            .keys
            .verify(&header.kid, message.as_bytes(), signature, now)
            .ok_or(InvalidToken::UnknownKey)?;
        if !genuine {
            return Err(InvalidToken::Signature);
        }
        let claims = decode(claims)?;
        let claims: Claims<'_> =
            serde_json::from_slice(&claims).map_err(|_| InvalidToken::Malformed)?;
        let verified = self.accept(&claims, now)?;
        Ok((verified, verified.expires_at.min(key_until)))
    }

    fn accept(&self, claims: &Claims<'_>, now: Timestamp) -> Result<Verified, InvalidToken> {
        if claims.iss != self.config.issuer.as_str() {
            return Err(InvalidToken::Issuer);
        }
        if claims.aud != self.config.audience.as_str() {
            return Err(InvalidToken::Audience);
        }
        let second = now.as_second();
        if claims.exp <= second {
            return Err(InvalidToken::Expired);
        }
        let earliest = claims.nbf.max(claims.iat);
        if earliest > second.saturating_add(Self::SKEW_SECONDS) {
            return Err(InvalidToken::NotYetValid);
        }
        let role: Role = claims.role.parse().map_err(|_| InvalidToken::Malformed)?;
        Ok(Verified {
            principal: Principal {
                user_id: claims.sub.into(),
                workspace_id: claims.wid.into(),
                role,
                session_id: claims.sid.into(),
            },
            jti: claims.jti,
            issued_at: issued_at(claims.jti).ok_or(InvalidToken::Malformed)?,
            expires_at: Timestamp::from_second(claims.exp).map_err(|_| InvalidToken::Malformed)?,
        })
    }
}

fn decode(part: &str) -> Result<Vec<u8>, InvalidToken> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| InvalidToken::Malformed)
}

/// A header that is JSON but has other members is told apart from one that is
/// no JSON at all, since the first is an attack worth counting.
fn read_header(json: &[u8]) -> Result<Header<'_>, InvalidToken> {
    serde_json::from_slice(json).map_err(|error| {
        if error.is_data() {
            InvalidToken::Header
        } else {
            InvalidToken::Malformed
        }
    })
}

/// The time part of a UUIDv7.
fn issued_at(jti: Uuid) -> Option<Timestamp> {
    let (seconds, nanos) = jti.get_timestamp()?.to_unix();
    Timestamp::new(seconds.try_into().ok()?, nanos.try_into().ok()?).ok()
}
