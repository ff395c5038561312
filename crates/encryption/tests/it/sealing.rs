use mainstay_encryption::{Aad, BlindIndexKey, DataKey, KeyOwner, Keyring, OVERHEAD, Vault};
use proptest::prelude::*;
use uuid::Uuid;

fn key() -> DataKey {
    let vault = Vault::new(Keyring::generate().unwrap());
    let owner = KeyOwner {
        workspace: Uuid::from_u128(1),
        subject: Uuid::from_u128(2),
    };
    vault.new_data_key(owner).unwrap().0
}

fn place() -> Aad<'static> {
    Aad {
        workspace: Uuid::from_u128(1),
        table: "messages",
        column: "content",
        row: Uuid::from_u128(3),
        subject: Uuid::from_u128(2),
    }
}

#[test]
fn a_value_opens_only_at_its_place() {
    let key = key();
    let sealed = key.seal(&place(), b"hello").unwrap();
    assert_eq!(key.open(&place(), &sealed).unwrap().as_slice(), b"hello");
    let other = Uuid::from_u128(9);
    let elsewhere = [
        Aad {
            workspace: other,
            ..place()
        },
        Aad {
            table: "conversations",
            ..place()
        },
        Aad {
            column: "title",
            ..place()
        },
        Aad {
            row: other,
            ..place()
        },
        Aad {
            subject: other,
            ..place()
        },
        // The same letters, cut elsewhere.
        Aad {
            table: "message",
            column: "scontent",
            ..place()
        },
    ];
    for aad in elsewhere {
        assert!(key.open(&aad, &sealed).is_err(), "{aad:?}");
    }
}

#[test]
fn equal_values_look_different_and_one_persons_key_opens_nothing_of_anothers() {
    let (ada, eve) = (key(), key());
    let (one, two) = (
        ada.seal(&place(), b"same").unwrap(),
        ada.seal(&place(), b"same").unwrap(),
    );
    assert_ne!(one, two);
    assert!(eve.open(&place(), &one).is_err());
}

#[test]
fn keys_do_not_print() {
    let printed = format!("{:?} {:?}", key(), BlindIndexKey::new(&[7; 32]));
    assert_eq!(printed, "DataKey([redacted]) BlindIndexKey([redacted])");
}

#[test]
fn a_blind_index_is_equal_for_equals_under_one_key_only() {
    let (one, two) = (BlindIndexKey::new(&[1; 32]), BlindIndexKey::new(&[2; 32]));
    assert_eq!(one.index("ada@example.org"), one.index("ada@example.org"));
    assert_ne!(one.index("ada@example.org"), one.index("eve@example.org"));
    assert_ne!(one.index("ada@example.org"), two.index("ada@example.org"));
}

/// RFC 4231, test case 2 has a short key; this vector was made with
/// `openssl dgst -sha256 -mac HMAC -macopt hexkey:00…` for an empty text.
#[test]
fn a_blind_index_is_hmac_sha_256() {
    let index = BlindIndexKey::new(&[0; 32]).index("");
    let hex: String = index.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
    );
}

proptest! {
    #[test]
    fn what_is_sealed_opens_and_what_is_altered_does_not(
        text in proptest::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let key = key();
        let mut sealed = key.seal(&place(), &text).unwrap();
        prop_assert_eq!(sealed.len(), text.len() + OVERHEAD);
        prop_assert_eq!(key.open(&place(), &sealed).unwrap().to_vec(), text);
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(key.open(&place(), &sealed).is_err());
        sealed.truncate(at);
        prop_assert!(key.open(&place(), &sealed).is_err());
    }
}
