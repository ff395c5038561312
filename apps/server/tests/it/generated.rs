//! Generated pages are as the code says. `MAINSTAY_REGENERATE=1` writes them.

use std::{env, fs, path::PathBuf};

fn assert_current(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    if env::var_os("MAINSTAY_REGENERATE").is_some() {
        fs::write(&path, text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "docs/{name} is stale: run MAINSTAY_REGENERATE=1 cargo nextest run -p mainstay-server generated"
    );
}

#[test]
fn the_openapi_document_is_current() {
    assert_current("openapi.json", &mainstay_server::openapi_document());
}

#[test]
fn the_page_of_metrics_is_current() {
    assert_current(
        "METRICS.md",
        &mainstay_server::telemetry::describe_metrics().unwrap(),
    );
}
