//! Just enough HTTP to talk to a server on loopback.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, read whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: String,
}

/// Whether `GET /ready` answers 200.
pub(crate) fn is_ready(port: u16) -> bool {
    exchange(port, "GET", "/ready", None, "").is_ok_and(|answer| answer.status == 200)
}

/// Posts JSON and returns the JSON of a successful answer.
pub(crate) fn post(port: u16, path: &str, token: Option<&str>, body: &Value) -> Result<Value> {
    let answer = exchange(port, "POST", path, token, &body.to_string())?;
    if !(200..300).contains(&answer.status) {
        bail!("POST {path} answered {}: {}", answer.status, answer.body);
    }
    serde_json::from_str(&answer.body).with_context(|| format!("POST {path} answered no JSON"))
}

/// Sends one request on a connection of its own and reads the answer to its end.
pub(crate) fn exchange(
    port: u16,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> Result<Answer> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("nobody listens on 127.0.0.1:{port}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let authorization = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    // In one piece: a server may answer and close before a second piece arrives.
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{authorization}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    parse(&text).with_context(|| format!("{method} {path} was not answered in HTTP"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer {
        status,
        body: body.to_owned(),
    })
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
            let mut request = [0; 1024];
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

    #[test]
    fn a_problem_is_an_error_that_shows_it() {
        let port = answer_once("HTTP/1.1 401 Unauthorized\r\n\r\n{\"code\":\"UNAUTHENTICATED\"}");
        let error = post(port, "/x", None, &Value::Null)
            .unwrap_err()
            .to_string();
        assert!(error.contains("UNAUTHENTICATED"), "{error}");
    }
}
