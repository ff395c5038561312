//! Just enough HTTP to ask a server on loopback whether it is ready.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// Whether `GET /ready` answers 200.
pub(crate) fn is_ready(port: u16) -> bool {
    status(port, "/ready").is_some_and(|status| status == 200)
}

/// The status of a GET, or nothing when nobody answers.
fn status(port: u16, path: &str) -> Option<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    std::str::from_utf8(&head)
        .ok()?
        .strip_prefix("HTTP/1.1 ")?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answer_once(with: &'static str) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let _length = stream.read(&mut request).unwrap();
            stream.write_all(with.as_bytes()).unwrap();
        });
        port
    }

    #[test]
    fn starting_is_not_ready_and_ok_is() {
        assert!(is_ready(answer_once("HTTP/1.1 200 OK\r\n\r\n")));
        assert!(!is_ready(answer_once(
            "HTTP/1.1 503 Service Unavailable\r\n\r\n"
        )));
    }
}
