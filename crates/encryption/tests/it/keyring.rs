use mainstay_encryption::Keyring;
use secrecy::{ExposeSecret, SecretString};
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn a_file_is_made_once_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    let made = Keyring::from_file_or_generate(&path).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let found = Keyring::from_file_or_generate(&path).unwrap();
    assert_eq!(made.derive("x").unwrap(), found.derive("x").unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn processes_that_start_together_agree_on_one_keyring() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    let derived = std::thread::scope(|scope| {
        let start = || scope.spawn(|| Keyring::from_file_or_generate(&path).unwrap().derive("x"));
        let threads: Vec<_> = (0..8).map(|_| start()).collect();
        let joined = threads.into_iter().map(|t| t.join().unwrap().unwrap());
        joined.collect::<Vec<_>>()
    });
    assert!(derived.iter().all(|key| key == &derived[0]));
}

#[test]
fn a_saved_rotation_replaces_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    let mut keyring = Keyring::from_file_or_generate(&path).unwrap();
    keyring.rotate().unwrap();
    keyring.save(&path).unwrap();
    assert_eq!(Keyring::from_file(&path).unwrap().current(), 2);
}

#[test]
fn a_file_that_others_can_read_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.json");
    Keyring::generate().unwrap().save(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Keyring::from_file(&path).unwrap_err();
    assert!(refused.is_config());
    assert!(refused.to_string().contains("chmod 600"));
    let missing = Keyring::from_file(&folder.path().join("nowhere")).unwrap_err();
    assert!(missing.to_string().contains("cannot be read"));
}

#[test]
fn a_malformed_keyring_is_explained_without_its_secrets() {
    let good = Keyring::generate().unwrap().to_text();
    let good = good.expose_secret();
    let secret = good.split('"').nth(5).unwrap().to_owned();
    assert_eq!(secret.len(), 44, "the root in base64");
    for (bad, said) in [
        ("nonsense".to_owned(), "line 1"),
        (good.replace("\"format\":1", "\"format\":2"), "format 2"),
        (
            good.replace("\"current\":1", "\"current\":7"),
            "current key 7",
        ),
        (good.replace(&secret, &secret[..40]), "the root"),
        (good.replace("\"root\"", "\"toor\""), "line 1"),
        (good.replace("{\"1\"", "{\"0\""), "numbered from 1"),
    ] {
        let refused = Keyring::from_text(&SecretString::from(bad)).unwrap_err();
        let message = refused.to_string();
        assert!(refused.is_config() && message.contains(said), "{message}");
        assert!(!message.contains(&secret[..20]), "{message}");
    }
    assert!(!format!("{:?}", Keyring::generate().unwrap()).contains("root"));
}
