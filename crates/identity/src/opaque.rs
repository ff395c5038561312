//! Opaque tokens: 256 random bits that mean nothing until they are looked up.
//!
//! They are stored only as a SHA-256 hash. A slow hash is not needed, since
//! nobody can try out 2²⁵⁶ secrets, and looking up by the hash leaks nothing
//! through timing.

use crate::random::{self, RandomnessUnavailable};
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, marker::PhantomData};
use zeroize::Zeroizing;

/// What is stored of an opaque token: its SHA-256 hash.
pub type TokenHash = [u8; 32];

/// What an opaque token is for; the prefix shows it to people and to secret
/// scanners, and keeps one kind from being taken for another.
pub trait Purpose: sealed::Sealed {
    /// The first characters of every token of this kind.
    const PREFIX: &'static str;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! purposes {
    ($($(#[$doc:meta])* $alias:ident = $kind:ident, $prefix:literal;)+) => {$(
        #[doc = concat!("Marks tokens that start with `", $prefix, "`.")]
        #[derive(Debug, Clone, Copy)]
        pub enum $kind {}
        impl sealed::Sealed for $kind {}
        impl Purpose for $kind {
            const PREFIX: &'static str = $prefix;
        }
        $(#[$doc])*
        pub type $alias = OpaqueToken<$kind>;
    )+};
}

purposes! {
    /// Buys the next pair of tokens, once.
    RefreshToken = Refresh, "msr_";
    /// Lets its holder join a workspace, once.
    InvitationToken = Invitation, "msi_";
    /// Proves that its holder reads the mail of an address, once.
    EmailToken = EmailProof, "mse_";
    /// Lets its holder set a new password, once.
    PasswordResetToken = PasswordReset, "msp_";
}

/// An opaque token of 256 random bits. It cannot be printed by accident:
/// only [`OpaqueToken::reveal`] gives the text away.
pub struct OpaqueToken<P> {
    secret: Zeroizing<[u8; 32]>,
    purpose: PhantomData<P>,
}

/// The text is not a token of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a token of the expected kind")]
pub struct MalformedToken;

impl<P: Purpose> OpaqueToken<P> {
    /// The characters of every token: its prefix and 43 of base64url.
    pub const LENGTH: usize = P::PREFIX.len() + 43;

    /// A new token and the hash to store.
    ///
    /// # Errors
    /// [`RandomnessUnavailable`] when the system gives no random bytes.
    pub fn generate() -> Result<(Self, TokenHash), RandomnessUnavailable> {
        let token = Self {
            secret: Zeroizing::new(random::bytes()?),
            purpose: PhantomData,
        };
        let hash = token.hash();
        Ok((token, hash))
    }

    /// Reads a token that a client sent.
    ///
    /// # Errors
    /// [`MalformedToken`] for anything that [`OpaqueToken::generate`] cannot have made.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        let encoded = text.strip_prefix(P::PREFIX).ok_or(MalformedToken)?;
        if text.len() != Self::LENGTH {
            return Err(MalformedToken);
        }
        let mut secret = Zeroizing::new([0; 32]);
        match URL_SAFE_NO_PAD.decode_slice(encoded, secret.as_mut_slice()) {
            Ok(32) => Ok(Self {
                secret,
                purpose: PhantomData,
            }),
            _ => Err(MalformedToken),
        }
    }

    /// What to store and to look up by.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(P::PREFIX.as_bytes());
        context.update(self.secret.as_slice());
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }

    /// The token's text, for the one answer or mail that hands it over.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(Self::LENGTH));
        text.push_str(P::PREFIX);
        URL_SAFE_NO_PAD.encode_string(self.secret.as_slice(), &mut text);
        text
    }
}

impl<P: Purpose> fmt::Debug for OpaqueToken<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpaqueToken({}[redacted])", P::PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_found_again_by_what_was_stored() {
        let (token, stored) = RefreshToken::generate().unwrap();
        let sent = token.reveal();
        assert_eq!(sent.len(), RefreshToken::LENGTH);
        assert_eq!(RefreshToken::parse(&sent).unwrap().hash(), stored);
    }

    #[test]
    fn no_two_tokens_are_alike() {
        let (_, one) = RefreshToken::generate().unwrap();
        let (_, other) = RefreshToken::generate().unwrap();
        assert_ne!(one, other);
    }

    #[test]
    fn one_kind_is_never_taken_for_another() {
        let (token, stored) = RefreshToken::generate().unwrap();
        let text = token.reveal();
        assert_eq!(
            InvitationToken::parse(&text).unwrap_err(),
            MalformedToken,
            "the prefix differs"
        );
        let renamed = text.replacen("msr_", "msi_", 1);
        assert_ne!(
            InvitationToken::parse(&renamed).unwrap().hash(),
            stored,
            "the prefix is part of the hash"
        );
    }

    #[test]
    fn what_was_never_issued_is_refused() {
        let good = RefreshToken::generate().unwrap().0.reveal();
        for bad in [
            String::new(),
            "msr_".to_owned(),
            good[..good.len() - 1].to_owned(),
            format!("{}A", *good),
            format!("{}=", &good[..good.len() - 1]),
            good.replacen("msr_", "MSR_", 1),
            // The last character carries two unused bits; setting one gives a
            // second spelling of the same bytes, which must not be accepted.
            format!("msr_{}B", "A".repeat(42)),
            format!(" {}", *good),
        ] {
            assert!(RefreshToken::parse(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_token_is_not_printed_by_debug() {
        let (token, _) = RefreshToken::generate().unwrap();
        assert_eq!(format!("{token:?}"), "OpaqueToken(msr_[redacted])");
    }

    proptest! {
        #[test]
        fn hostile_text_is_refused_without_harm(text in "\\PC{0,80}") {
            prop_assert!(RefreshToken::parse(&text).is_err());
        }
    }
}
