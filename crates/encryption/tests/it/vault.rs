use mainstay_encryption::{Aad, KeyOwner, Keyring, Vault, WrappedKey};
use uuid::Uuid;

const OWNER: KeyOwner = KeyOwner {
    workspace: Uuid::from_u128(1),
    subject: Uuid::from_u128(2),
};

fn aad() -> Aad<'static> {
    Aad {
        workspace: OWNER.workspace,
        table: "users",
        column: "email",
        row: OWNER.subject,
        subject: OWNER.subject,
    }
}

fn same(keyring: &Keyring) -> Keyring {
    Keyring::from_text(&keyring.to_text()).unwrap()
}

#[test]
fn a_wrapped_key_opens_for_its_owner_only() {
    let vault = Vault::new(Keyring::generate().unwrap());
    let (key, wrapped) = vault.new_data_key(OWNER).unwrap();
    let sealed = key.seal(&aad(), b"ada").unwrap();
    let again = vault.unwrap(OWNER, &wrapped).unwrap();
    assert_eq!(again.open(&aad(), &sealed).unwrap().as_slice(), b"ada");
    let other = KeyOwner {
        subject: Uuid::from_u128(3),
        ..OWNER
    };
    assert!(vault.unwrap(other, &wrapped).unwrap_err().is_tampered());
    // The number is bound as well: it cannot be relabelled.
    let mut keyring = Keyring::generate().unwrap();
    keyring.rotate().unwrap();
    let vault = Vault::new(keyring);
    let (_, wrapped) = vault.new_data_key(OWNER).unwrap();
    let relabelled = WrappedKey {
        wrapped_by: 1,
        ..wrapped
    };
    assert!(vault.unwrap(OWNER, &relabelled).unwrap_err().is_tampered());
}

#[test]
fn rotation_rewraps_keys_and_leaves_what_they_sealed() {
    let mut keyring = Keyring::generate().unwrap();
    let vault = Vault::new(same(&keyring));
    let (key, old) = vault.new_data_key(OWNER).unwrap();
    let sealed = key.seal(&aad(), b"ada").unwrap();
    assert_eq!(vault.rewrap(OWNER, &old).unwrap(), None);

    assert_eq!(keyring.rotate().unwrap(), 2);
    vault.replace_keyring(same(&keyring));
    assert_eq!(vault.current(), 2);
    let new = vault.rewrap(OWNER, &old).unwrap().unwrap();
    assert_eq!(new.wrapped_by, 2);

    assert!(keyring.retire(2).unwrap_err().is_config());
    keyring.retire(1).unwrap();
    vault.replace_keyring(keyring);
    let key = vault.unwrap(OWNER, &new).unwrap();
    assert_eq!(key.open(&aad(), &sealed).unwrap().as_slice(), b"ada");
    let gone = vault.unwrap(OWNER, &old).unwrap_err();
    assert!(gone.is_unknown_key());
    assert!(gone.to_string().contains("key 1"));
}

#[test]
fn derived_keys_differ_by_purpose_and_survive_rotation() {
    let mut keyring = Keyring::generate().unwrap();
    let pepper = keyring.derive("pepper").unwrap();
    assert_ne!(pepper, keyring.derive("cache").unwrap());
    keyring.rotate().unwrap();
    assert_eq!(pepper, keyring.derive("pepper").unwrap());
    assert_eq!(pepper, same(&keyring).derive("pepper").unwrap());
    let other = Keyring::generate().unwrap();
    assert_ne!(pepper, other.derive("pepper").unwrap());
}
