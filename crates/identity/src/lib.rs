//! Issue, rotate, verify and revoke credentials; roles and permissions.
//!
//! Nothing here stores or sends anything, and nothing reads a clock: the
//! caller passes `now`. What has to be stored (password hashes, hashes of
//! opaque tokens, signing keys) leaves in a form that is safe to store.
//!
//! - [`TokenIssuer`] and [`TokenVerifier`]: access tokens, `EdDSA` only.
//! - [`KeySet`]: the signing keys, rotated on schedule with overlap.
//! - [`Revocations`]: what was revoked before it expired.
//! - [`OpaqueToken`]: 256-bit refresh, invitation and single-use tokens.
//! - [`ApiKey`]: keys of programs, with [`Scopes`].
//! - [`PasswordHasher`]: argon2id behind a bounded queue; [`check_strength`]
//!   for new passwords.
//! - [`TotpSecret`] and [`RecoveryCode`]: the second factor.
//! - [`permits`]: what a role may do.

mod api_key;
mod hasher;
mod issue;
mod keys;
mod keyset;
mod opaque;
mod password;
mod permission;
mod random;
mod revocation;
mod strength;
mod totp;
mod verified;
mod verify;

pub use api_key::{ApiKey, Scopes, UnknownScope};
pub use hasher::{HashError, InvalidPasswordConfig, PasswordConfig, PasswordHasher, Pepper};
pub use issue::{AccessToken, TokenConfig, TokenIssuer};
pub use keys::{Jwk, Jwks, KeyError, SigningKey};
pub use keyset::{KeyRotation, KeySet};
pub use opaque::{
    EmailToken, InvitationToken, MalformedToken, OpaqueToken, PasswordResetToken, Purpose,
    RefreshToken, TokenHash,
};
pub use password::{InvalidPassword, Password};
pub use permission::{Permission, permits};
pub use random::RandomnessUnavailable;
pub use revocation::{Revocation, Revocations};
pub use strength::{GuessablePassword, check_strength};
pub use totp::{RecoveryCode, TotpSecret, TotpStep};
pub use verify::{InvalidToken, TokenVerifier, Verified};
