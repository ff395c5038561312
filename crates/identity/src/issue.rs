//! Issuing access tokens.

use crate::{keys::KeyError, keyset::KeySet};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use mainstay_domain::Principal;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};
use uuid::Uuid;

/// Whose tokens these are and how long they live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenConfig {
    /// The `iss` claim: who vouches. Default `mainstay`.
    pub issuer: String,
    /// The `aud` claim: whom the token is meant for. Default `mainstay`.
    pub audience: String,
    /// How long an access token lives, in seconds. Default 600; the key
    /// overlap must be longer.
    pub access_token_seconds: u64,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self {
            issuer: "mainstay".to_owned(),
            audience: "mainstay".to_owned(),
            access_token_seconds: 600,
        }
    }
}

/// The claims of an access token.
#[derive(Serialize, Deserialize)]
pub(crate) struct Claims<'a> {
    pub(crate) iss: std::borrow::Cow<'a, str>,
    pub(crate) aud: std::borrow::Cow<'a, str>,
    /// The person.
    pub(crate) sub: Uuid,
    /// The workspace.
    pub(crate) wid: Uuid,
    /// The login session.
    pub(crate) sid: Uuid,
    pub(crate) role: std::borrow::Cow<'a, str>,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
    /// UUIDv7: its time part is the moment of issue in milliseconds, which
    /// `iat` in whole seconds is too coarse for when revocations are compared.
    pub(crate) jti: Uuid,
}

/// Only these three members: a token never brings its own key or algorithm.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header<'a> {
    pub(crate) alg: std::borrow::Cow<'a, str>,
    pub(crate) typ: std::borrow::Cow<'a, str>,
    pub(crate) kid: std::borrow::Cow<'a, str>,
}

/// The only algorithm.
pub(crate) const ALGORITHM: &str = "EdDSA";
/// The media type of access tokens (RFC 9068), which no other token has.
pub(crate) const TYPE: &str = "at+jwt";

/// A signed access token. `Debug` hides its text.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The compact JWS, to be handed to the client and to nobody else.
    pub token: String,
    /// How long it lives, in seconds.
    pub expires_in: u64,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Its id.
    pub jti: Uuid,
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("jti", &self.jti)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Issues access tokens with the keys of a [`KeySet`].
#[derive(Debug, Clone)]
pub struct TokenIssuer {
    config: TokenConfig,
    keys: Arc<KeySet>,
}

impl TokenIssuer {
    /// An issuer that signs with `keys`.
    #[must_use]
    pub const fn new(config: TokenConfig, keys: Arc<KeySet>) -> Self {
        Self { config, keys }
    }

    /// A token that speaks for `principal` from `now` on.
    ///
    /// # Errors
    /// [`KeyError`] when there is no key or it cannot sign.
    pub fn issue(&self, principal: &Principal, now: Timestamp) -> Result<AccessToken, KeyError> {
        let lifetime = self.config.access_token_seconds;
        let issued = now.as_second();
        let expires = issued.saturating_add_unsigned(lifetime);
        let expires_at = Timestamp::from_second(expires).unwrap_or(Timestamp::MAX);
        // The same construction as every other id, so that its time part is `now`.
        let jti = mainstay_domain::CorrelationId::at(now).uuid();
        let claims = Claims {
            iss: self.config.issuer.as_str().into(),
            aud: self.config.audience.as_str().into(),
            sub: principal.user_id.uuid(),
            wid: principal.workspace_id.uuid(),
            sid: principal.session_id.uuid(),
            role: principal.role.as_str().into(),
            iat: issued,
            nbf: issued,
            exp: expires,
            jti,
        };
        let token = self.keys.signing(now, |key| {
            let header = Header {
                alg: ALGORITHM.into(),
                typ: TYPE.into(),
                kid: key.kid().into(),
            };
            let mut token = encode(&header)?;
            token.push('.');
            token.push_str(&encode(&claims)?);
            let signature = key.sign(token.as_bytes())?;
            token.push('.');
            token.push_str(&signature);
            Ok(token)
        })?;
        Ok(AccessToken {
            token,
            expires_in: lifetime,
            expires_at,
            jti,
        })
    }
}

fn encode(part: &impl Serialize) -> Result<String, KeyError> {
    serde_json::to_vec(part)
        .map(|json| URL_SAFE_NO_PAD.encode(json))
        .map_err(|_| KeyError::Signing)
}
