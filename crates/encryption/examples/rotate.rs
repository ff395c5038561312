//! Rotates a keyring file: `cargo run --example rotate -- keyring.json`.
//!
//! The former keys stay in the file until nothing is wrapped by them any more.

use mainstay_encryption::Keyring;
use std::{io::Write, path::Path};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("name the keyring file")?;
    let path = Path::new(&path);
    let mut keyring = Keyring::from_file_or_generate(path)?;
    let number = keyring.rotate()?;
    keyring.save(path)?;
    writeln!(
        std::io::stdout(),
        "new data keys are wrapped by key {number}"
    )?;
    Ok(())
}
