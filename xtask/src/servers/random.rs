//! Ports and passwords for private servers.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};

/// Below this the kernel hands out no ports by itself, so nobody's outgoing
/// connection can take a port between our look and the server's bind.
const EPHEMERAL: u16 = 32768;
const LOWEST: u16 = 10240;

/// A loopback port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    for _attempt in 0..100 {
        let bytes: [u8; 2] = random()?;
        let port = LOWEST + u16::from_le_bytes(bytes) % (EPHEMERAL - LOWEST);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {LOWEST} and {EPHEMERAL} on 127.0.0.1")
}

/// A password of 128 random bits in hexadecimal.
pub(crate) fn password() -> Result<String> {
    let bytes: [u8; 16] = random()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_can_be_bound_and_is_not_ephemeral() {
        let port = free_port().unwrap();
        assert!((LOWEST..EPHEMERAL).contains(&port));
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn passwords_differ() {
        assert_ne!(password().unwrap(), password().unwrap());
    }
}
