//! The command line.

use mainstay_testkit::database::TestDatabase;
use std::process::{Command, Output};

fn mainstay(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mainstay"))
        .args(arguments)
        .env_remove("ANTHROPIC_API_KEY")
        .env_remove("OPENAI_API_KEY")
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn migrations_are_planned_then_applied_and_then_there_are_none() {
    let database = TestDatabase::create().await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let config = state.path().join("mainstay.toml");
    let text = format!(
        "[server]\nstate_dir = {:?}\n[database]\nurl = {:?}\n",
        state.path(),
        database.url()
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let migrate = |more: &[&str]| {
        let arguments = [&["migrate", "--config", config], more].concat();
        printed(&mainstay(&arguments, &[]))
    };
    let client = database.connect().await.unwrap();
    let migrated = async || {
        let there = "SELECT to_regclass('refinery_schema_history') IS NOT NULL";
        client
            .query_one(there, &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
    };
    let plan = migrate(&["--plan"]);
    assert!(plan.starts_with("V1 "), "{plan}");
    assert!(plan.lines().count() > 1, "{plan}");
    assert!(!migrated().await, "a plan changed the database");
    migrate(&[]);
    assert!(migrated().await);
    assert!(migrate(&["--plan"]).contains("up to date"));
}

#[test]
fn settings_are_checked_and_what_is_wrong_is_named() {
    let check = ["config", "check"];
    printed(&mainstay(&check, &[]));
    let output = mainstay(&check, &[("MAINSTAY__SERVER__PROT", "1")]);
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("server.prot"), "{errors}");
    assert!(errors.contains("MAINSTAY__SERVER__PROT"), "{errors}");
}

#[test]
fn the_vendors_variables_are_honoured_and_not_printed() {
    let shown = printed(&mainstay(
        &["config", "show"],
        &[
            ("ANTHROPIC_API_KEY", "hunter2"),
            ("OPENAI_API_KEY", "hunter3"),
        ],
    ));
    let settings: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(settings["ai"]["providers"][0]["name"], "anthropic");
    assert_eq!(settings["ai"]["providers"][1]["name"], "openai");
    assert!(!shown.contains("hunter"), "{shown}");
}
