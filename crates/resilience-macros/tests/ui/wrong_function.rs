use std::sync::LazyLock;

use mainstay_resilience::{Pipeline, resilient, timeout};

static PIPELINE: LazyLock<Pipeline> =
    LazyLock::new(|| Pipeline::standard("p").build().expect("no settings"));

#[timeout("5s")]
fn synchronous() -> Result<(), mainstay_resilience::Error<()>> {
    Ok(())
}

#[resilient(PIPELINE)]
async fn nothing() {}

struct Client;

impl Client {
    #[resilient(PIPELINE)]
    async fn consumed(self) -> Result<(), mainstay_resilience::Error<()>> {
        Ok(())
    }
}

fn main() {}
