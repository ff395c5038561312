//! The HTTP side: connections, routes, and faults that come before an answer.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fault::Fault;
use super::plan::{Body, Event, Reply};
use super::script::{Ended, RecordedRequest, Script};
use super::{anthropic, control, openai, responses};

/// The largest request it reads, as the vendors have it.
const LARGEST_BODY: usize = 32 << 20;

/// A model of this prefix names the fault it wants.
const FAULT_MODEL: &str = "fault/";

/// Accepts connections until it is dropped, and with it all of them.
pub(super) async fn run(listener: TcpListener, script: Arc<Script>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&script)));
                }
                // Out of file descriptors, most likely: let some come free.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, script: Arc<Script>) {
    // Without it each small event waits for the acknowledgement of the last.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, Arc::clone(&script)));
    // An error here is a client that left or a scripted break.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Which vendor's rules a path follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Anthropic,
    OpenAi,
    /// OpenAI's, but for the event of a failure.
    Responses,
}

impl Dialect {
    fn of(request: &RecordedRequest) -> Self {
        let says_so = request.headers.contains_key("anthropic-version");
        if request.path.starts_with("/v1/messages") || says_so {
            Self::Anthropic
        } else if request.path == "/v1/responses" {
            Self::Responses
        } else {
            Self::OpenAi
        }
    }

    fn scripted_error(self, status: u16, serial: u64) -> Reply {
        match self {
            Self::Anthropic => anthropic::scripted_error(status, serial),
            Self::OpenAi | Self::Responses => openai::scripted_error(status, serial),
        }
    }

    fn error_event(self, kind: &str) -> Event {
        match self {
            Self::Anthropic => anthropic::error_event(kind),
            Self::OpenAi => openai::error_event(kind),
            Self::Responses => responses::error_event(kind),
        }
    }

    /// The header by which a good answer says that no request is left.
    fn rate_headers(self, reply: Reply, remaining: u64, seconds: u64) -> Reply {
        match self {
            Self::OpenAi | Self::Responses => reply
                .header("x-ratelimit-remaining-requests", remaining.to_string())
                .header("x-ratelimit-reset-requests", format!("{seconds}s")),
            Self::Anthropic => reply
                .header(
                    "anthropic-ratelimit-requests-remaining",
                    remaining.to_string(),
                )
                .header("anthropic-ratelimit-requests-reset", far_off(seconds)),
        }
    }
}

/// A time so many seconds from now, without a calendar: the vendor writes RFC
/// 3339, and the seconds of the last minute of a day are all that is needed.
fn far_off(seconds: u64) -> String {
    let now = mainstay_resilience::system_clock().unix_time().as_secs();
    civil(now + seconds)
}

/// Unix seconds as RFC 3339 in UTC (Howard Hinnant's `civil_from_days`).
fn civil(unix: u64) -> String {
    let (days, second) = (unix / 86_400 + 719_468, unix % 86_400);
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<Script>,
) -> Result<Response<Body>, io::Error> {
    let (head, body) = request.into_parts();
    let bytes = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_) => return Err(io::Error::other("the request broke off or is too large")),
    };
    let path = head.uri.path().to_owned();
    if path == control::PATH {
        return Ok(control::answer(&head.method, &bytes, &script).plain());
    }
    let headers: BTreeMap<String, String> = head
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let recorded = RecordedRequest {
        method: head.method.to_string(),
        path,
        headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
        fault: Fault::None,
        ended: Ended::NotYet,
    };
    scripted(recorded, &head.method, &script).await
}

async fn scripted(
    request: RecordedRequest,
    method: &Method,
    script: &Arc<Script>,
) -> Result<Response<Body>, io::Error> {
    let dialect = Dialect::of(&request);
    let own = own_fault(&request);
    let mut orders = script.record(request.clone(), own);
    tokio::time::sleep(orders.pace.first()).await;
    match &orders.fault {
        Fault::Disconnect => {
            orders.watch.answered();
            return Err(io::Error::other("scripted"));
        }
        Fault::Hang { after_bytes: None } => {
            // The client's leaving drops this future, and with it the watch.
            std::future::pending::<()>().await;
        }
        Fault::Status {
            status,
            retry_after,
        } => {
            let mut reply = dialect.scripted_error(*status, orders.serial);
            if let Some(wait) = retry_after {
                reply = reply.header("retry-after", wait.clone());
            }
            return Ok(reply.carry_out(orders, |kind| dialect.error_event(kind)));
        }
        _ => {}
    }
    let mut reply = route(dialect, &request, method, &mut orders);
    if let Fault::RateHeaders {
        remaining,
        reset_seconds,
    } = orders.fault
    {
        reply = dialect.rate_headers(reply, remaining, reset_seconds);
    }
    Ok(reply.carry_out(orders, |kind| dialect.error_event(kind)))
}

fn own_fault(request: &RecordedRequest) -> Option<Fault> {
    let by_header = request.headers.get("x-scripted-fault").map(String::as_str);
    by_header
        .or_else(|| request.model().strip_prefix(FAULT_MODEL))?
        .parse()
        .ok()
}

fn has_key(request: &RecordedRequest) -> bool {
    let header = |name: &str| {
        request
            .headers
            .get(name)
            .is_some_and(|value| !value.trim().is_empty())
    };
    header("x-api-key") || header("authorization") || header("api-key")
}

fn route(
    dialect: Dialect,
    request: &RecordedRequest,
    method: &Method,
    orders: &mut super::script::Orders,
) -> Reply {
    let serial = orders.serial;
    if !has_key(request) {
        return dialect.scripted_error(401, serial);
    }
    let body = &request.body;
    let version = request.headers.get("anthropic-version").map(String::as_str);
    let is_object = matches!(body, Value::Object(_));
    match (method, request.path.as_str()) {
        (&Method::GET, "/v1/models") if version.is_some() => anthropic::models(),
        (&Method::GET, "/v1/models") => openai::models(),
        (&Method::POST, _) if !is_object => dialect.scripted_error(400, serial),
        (&Method::POST, "/v1/messages") => anthropic::messages(version, body, orders),
        (&Method::POST, "/v1/messages/count_tokens") => anthropic::count_tokens(body),
        (&Method::POST, "/v1/chat/completions") => openai::chat_completions(body, orders),
        (&Method::POST, "/v1/responses") => responses::responses(body, orders),
        (&Method::POST, "/v1/embeddings") => openai::embeddings(body, serial),
        _ => dialect.scripted_error(404, serial),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_by_the_calendar() {
        assert_eq!(civil(0), "1970-01-01T00:00:00Z");
        assert_eq!(civil(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(civil(1_795_392_000 + 3_661), "2026-11-23T01:01:01Z");
    }
}
