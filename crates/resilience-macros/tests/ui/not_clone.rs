use std::sync::LazyLock;

use mainstay_resilience::{Error, Pipeline, resilient};

static PIPELINE: LazyLock<Pipeline> =
    LazyLock::new(|| Pipeline::standard("p").build().expect("no settings"));

struct Body;

#[resilient(PIPELINE)]
async fn send(id: u32, body: Body) -> Result<u32, Error<()>> {
    drop(body);
    Ok(id)
}

fn main() {}
