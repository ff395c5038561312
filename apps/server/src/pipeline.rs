//! The one way through which every request goes, in this order:
//!
//! 1. correlation id and span, so that whatever follows can be traced;
//! 2. panic guard, so that a defect costs one request and not a worker;
//! 3. metrics, which therefore count what everything below answers;
//! 4. CORS (`actix-cors`, wrapped around this when origins are configured);
//! 5. security headers on every answer;
//! 6. limits by address, before anything costs;
//! 7. load shedding: refuse at once what would be answered too late;
//! 8. body limits, by the announced length here and while reading later;
//! 9. authentication and authorization, from the operation's own `Access`;
//! 10. limits by principal;
//! 11. readiness: nothing that needs the database before it is there;
//! 12. deadline, carried down to every wait;
//!
//! then the operation. It is one function instead of twelve wrappers, since
//! every wrapper costs an allocation per request, and the order can be read.

mod address;
mod correlation;
mod headers;
mod idempotency;
mod quotas;
pub(crate) mod trace;

pub(crate) use quotas::Quotas;

use crate::{
    exchange::{Exchange, Known},
    operation::{Access, Needs, Operation},
    problem::{Code, Problem},
    routing::Found,
    services::Services,
};
use actix_web::{
    HttpRequest, HttpResponse,
    dev::Payload,
    http::{Method, StatusCode, header},
};
use futures_util::FutureExt as _;
use mainstay_domain::Principal;
use mainstay_identity::{Verified, permits};
use mainstay_resilience::Deadline;
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tracing::Instrument as _;

/// How long past its deadline a request may linger before it is cut off here.
/// Whatever waits knows the deadline itself; this is for what does not.
const GRACE: Duration = Duration::from_millis(500);

/// Answers one request.
pub(crate) async fn serve(
    services: Arc<Services>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let arrived = services.clock.now();
    let correlation_id = correlation::of(&http, &services);
    let route = services.router.find(http.method(), http.path());
    let route_name = match &route {
        Found::Operation(operation, _) => operation.path,
        Found::OtherMethods(_) | Found::Nothing => "unmatched",
    };
    let span = correlation::span(&http, correlation_id, route_name, &services);
    let known = Known {
        correlation_id,
        arrived,
        deadline: Deadline::after(&*services.clock, services.settings.server.request_timeout()),
        address: address::of(&http, &services.settings.server),
        principal: None,
        body_limit: body_limit(http.path(), &services),
    };
    let mut limits = quotas::Shown::default();
    let work = admit(&services, &http, payload, route, known, &mut limits);
    // What a panic leaves behind is dropped with the request.
    let outcome = AssertUnwindSafe(work)
        .catch_unwind()
        .instrument(span.clone())
        .await
        .unwrap_or_else(|panic| Err(span.in_scope(|| panicked(&*panic))));
    let mut response = span.in_scope(|| match outcome {
        Ok(response) if is_bare_failure(&response) => {
            refuse(&Problem::unexplained(), &services, correlation_id)
        }
        Ok(response) => response,
        Err(problem) => refuse(&problem, &services, correlation_id),
    });
    headers::secure(&mut response);
    headers::correlate(&mut response, correlation_id);
    limits.write(&mut response);
    observe(&services, &http, route_name, &response, arrived, &span);
    response
}

/// Steps 6 to 12, then the operation.
async fn admit(
    services: &Arc<Services>,
    http: &HttpRequest,
    payload: Payload,
    route: Found<'_>,
    mut known: Known,
    limits: &mut quotas::Shown,
) -> Result<HttpResponse, Problem> {
    // Whatever the path leads to, nobody gets to send more than its limit.
    check_announced_length(http, known.body_limit)?;
    let (operation, parameters) = match route {
        Found::Operation(operation, parameters) => (operation, parameters),
        Found::OtherMethods(allowed) if http.method() == Method::OPTIONS => {
            return Ok(HttpResponse::NoContent()
                .insert_header((header::ALLOW, allowed))
                .finish());
        }
        Found::OtherMethods(allowed) => {
            services.quotas.anonymous(known.address, limits)?;
            return Err(Problem::new(
                Code::MethodNotAllowed,
                format!("this path answers {allowed}"),
            )
            .allow(allowed));
        }
        Found::Nothing => {
            services.quotas.anonymous(known.address, limits)?;
            return Err(Problem::not_found("path"));
        }
    };
    if operation.needs == Needs::Nothing && operation.access == Access::Public {
        return run(services, http, payload, operation, parameters, known).await;
    }
    let token = bearer(http);
    if operation.access == Access::Public || token.is_none() {
        services.quotas.anonymous(known.address, limits)?;
    }
    let _in_flight = shed(services)?;
    if let Access::Requires(permission) = operation.access {
        let principal = match authenticate(services, token) {
            Ok(principal) => principal,
            Err(problem) => {
                // Guessing tokens is not free either.
                if token.is_some() {
                    services.quotas.anonymous(known.address, limits)?;
                }
                return Err(problem);
            }
        };
        services.quotas.principal(&principal, operation, limits)?;
        if !permits(principal.role, permission) {
            return Err(Problem::new(
                Code::Forbidden,
                format!("this needs the permission {}", permission.as_str()),
            ));
        }
        known.principal = Some(principal);
    }
    if operation.needs == Needs::Readiness {
        check_readiness(services)?;
    }
    run(services, http, payload, operation, parameters, known).await
}

/// The operation, within the deadline.
async fn run(
    services: &Arc<Services>,
    http: &HttpRequest,
    payload: Payload,
    operation: &Operation,
    parameters: Vec<String>,
    known: Known,
) -> Result<HttpResponse, Problem> {
    let patience = known
        .deadline
        .remaining(&*services.clock)
        .saturating_add(GRACE);
    let exchange = Exchange {
        http: http.clone(),
        known,
        services: Arc::clone(services),
        parameters,
    };
    let work = async {
        if operation.idempotent {
            idempotency::run(exchange, payload, operation).await
        } else {
            operation.call(exchange, payload).await
        }
    };
    tokio::time::timeout(patience, work)
        .await
        .unwrap_or_else(|_| {
            Err(Problem::new(
                Code::DeadlineExceeded,
                "the answer was not there in time",
            ))
        })
}

/// One place in the process's work, given back when it is dropped.
struct InFlight<'a>(&'a Services);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

fn shed(services: &Services) -> Result<InFlight<'_>, Problem> {
    let place = InFlight(services);
    if services.in_flight.fetch_add(1, Ordering::AcqRel) < services.settings.limits.max_in_flight {
        Ok(place)
    } else {
        Err(Problem::new(
            Code::Overloaded,
            "there is more to do than can be done in time",
        ))
    }
}

fn body_limit(path: &str, services: &Services) -> usize {
    if path.starts_with("/v1/") {
        services.settings.server.gateway_body_limit_bytes
    } else {
        services.settings.server.body_limit_bytes
    }
}

fn check_announced_length(http: &HttpRequest, limit: usize) -> Result<(), Problem> {
    let announced = http
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    match announced {
        Some(length) if length > limit => Err(crate::extract::too_large(limit)),
        _ => Ok(()),
    }
}

/// The bearer token, if one was sent.
fn bearer(http: &HttpRequest) -> Option<&str> {
    let value = http.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start())
}

fn authenticate(services: &Services, token: Option<&str>) -> Result<Principal, Problem> {
    let Some(token) = token else {
        return Err(Problem::new(
            Code::Unauthenticated,
            "send Authorization: Bearer <access_token>",
        ));
    };
    services
        .authenticate(token)
        .map(|verified| verified.principal)
}

impl Services {
    /// Who a token speaks for. Why it is refused stands in the log only.
    pub(crate) fn authenticate(&self, token: &str) -> Result<Verified, Problem> {
        let refused = || {
            Problem::new(
                Code::Unauthenticated,
                "the access token is not valid or has expired; refresh it or log in again",
            )
        };
        let verified = self.verifier.verify(token, self.now()).map_err(|error| {
            tracing::debug!(%error, "access token refused");
            refused()
        })?;
        if self
            .revocations
            .is_revoked(&verified.principal, verified.issued_at)
        {
            return Err(refused());
        }
        Ok(verified)
    }
}

fn check_readiness(services: &Services) -> Result<(), Problem> {
    if services.readiness.is_open() {
        return Ok(());
    }
    let phase = services
        .readiness
        .report()
        .components
        .into_iter()
        .find_map(|part| part.phase)
        .map_or_else(String::new, |phase| {
            format!(": {} ({} of {})", phase.name, phase.index, phase.of)
        });
    Err(Problem::new(
        Code::Starting,
        format!("the server is starting{phase}"),
    ))
}

/// A 5xx without a body comes from a place that has logged its cause.
fn is_bare_failure(response: &HttpResponse) -> bool {
    use actix_web::body::{BodySize, MessageBody as _};
    response.status() == StatusCode::INTERNAL_SERVER_ERROR
        && matches!(response.body().size(), BodySize::None | BodySize::Sized(0))
}

fn refuse(
    problem: &Problem,
    services: &Services,
    correlation_id: mainstay_domain::CorrelationId,
) -> HttpResponse {
    let code = problem.code().as_str();
    services.metrics.errors.with_label_values(&[code]).inc();
    tracing::debug!(code, reason = problem.detail(), "refused");
    problem.respond(correlation_id.uuid())
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Problem {
    let reason = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message");
    tracing::error!(critical = true, reason, "a request panicked");
    Problem::unexplained()
}

fn observe(
    services: &Services,
    http: &HttpRequest,
    route: &str,
    response: &HttpResponse,
    arrived: Duration,
    span: &tracing::Span,
) {
    let status = response.status();
    let elapsed = services.clock.now().saturating_sub(arrived);
    services
        .metrics
        .request_duration
        .with_label_values(&[method(http.method()), route, status.as_str()])
        .observe(elapsed.as_secs_f64());
    span.record("status", status.as_u16());
    span.in_scope(|| {
        let elapsed_ms = elapsed.as_millis() as u64;
        tracing::debug!(elapsed_ms, "answered");
    });
}

/// A method as a label: strangers' inventions must not make new time series.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
