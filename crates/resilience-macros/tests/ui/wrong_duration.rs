use mainstay_resilience::timeout;

#[timeout("5 parsecs")]
async fn units() -> Result<(), mainstay_resilience::Error<()>> {
    Ok(())
}

#[timeout("0s")]
async fn zero() -> Result<(), mainstay_resilience::Error<()>> {
    Ok(())
}

fn main() {}
