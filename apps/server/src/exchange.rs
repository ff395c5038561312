//! One request on its way through the server: what the pipeline found out
//! about it, and the services that it may use.

use crate::{
    pipeline::trace,
    problem::{Code, Problem},
    services::Services,
};
use actix_web::{HttpRequest, dev::Payload};
use mainstay_domain::{Caller, CorrelationId, Principal};
use mainstay_persistence::Call;
use mainstay_resilience::Deadline;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// What the pipeline knows about a request before its endpoint runs.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The thread through logs, audit rows and upstream calls.
    pub correlation_id: CorrelationId,
    /// When it arrived, on the server's monotonic clock.
    pub arrived: Duration,
    /// By when it must be answered.
    pub deadline: Deadline,
    /// The client's address, as seen or as a trusted proxy tells it.
    pub address: IpAddr,
    /// Who speaks, once authenticated.
    pub principal: Option<Principal>,
    /// The largest body that is read, in bytes.
    pub body_limit: usize,
}

/// A request with its services.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub http: HttpRequest,
    pub known: Known,
    pub services: Arc<Services>,
    /// The values of the route's parameters, in order.
    pub parameters: Vec<String>,
}

impl Exchange {
    /// A header as text; `None` when it is absent or not text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.http.headers().get(name)?.to_str().ok()
    }

    /// The caller, for endpoints that demand a permission.
    pub(crate) fn caller(&self) -> Result<Caller, Problem> {
        match self.known.principal {
            Some(principal) => Ok(Caller {
                principal,
                correlation_id: self.known.correlation_id,
            }),
            None => Err(Problem::new(Code::Unauthenticated, "log in first")),
        }
    }
}

impl Exchange {
    /// The W3C trace that this belongs to, for whoever works for it elsewhere:
    /// our own span where spans are exported, else what the client sent.
    pub(crate) fn traceparent(&self) -> Option<String> {
        let exports = self.services.settings.telemetry.otlp_endpoint.is_some();
        let sent = self.header(trace::HEADER);
        trace::onwards(sent, exports)
    }

    /// What repositories and use cases are called with.
    pub(crate) fn call(&self) -> Result<Call, Problem> {
        Ok(Call {
            caller: self.caller()?,
            deadline: self.known.deadline,
        })
    }
}

/// Something that an endpoint takes, made from the request.
pub(crate) trait Extract: Sized {
    /// Makes it, or says what is wrong with the request.
    async fn extract(exchange: &Exchange, payload: &mut Payload) -> Result<Self, Problem>;

    /// Tells the OpenAPI document what this reads.
    fn document(_parts: &mut crate::operation::Reads) {}
}

/// The caller of an endpoint that demands a permission.
impl Extract for Caller {
    async fn extract(exchange: &Exchange, _: &mut Payload) -> Result<Self, Problem> {
        exchange.caller()
    }
}

/// The caller with the request's deadline.
impl Extract for Call {
    async fn extract(exchange: &Exchange, _: &mut Payload) -> Result<Self, Problem> {
        exchange.call()
    }
}

/// The request's stream of bytes, for endpoints that read it themselves.
impl Extract for actix_web::web::Payload {
    async fn extract(exchange: &Exchange, payload: &mut Payload) -> Result<Self, Problem> {
        <Self as actix_web::FromRequest>::from_request(&exchange.http, payload)
            .await
            .map_err(|_| Problem::unexplained())
    }
}

/// Everything at once, for endpoints that answer in more than one form.
impl Extract for Exchange {
    async fn extract(exchange: &Exchange, _: &mut Payload) -> Result<Self, Problem> {
        Ok(exchange.clone())
    }
}

/// What the pipeline found out.
impl Extract for Known {
    async fn extract(exchange: &Exchange, _: &mut Payload) -> Result<Self, Problem> {
        Ok(exchange.known.clone())
    }
}

/// Two handles where one argument is left.
impl<A: Extract, B: Extract> Extract for (A, B) {
    async fn extract(exchange: &Exchange, payload: &mut Payload) -> Result<Self, Problem> {
        Ok((
            A::extract(exchange, payload).await?,
            B::extract(exchange, payload).await?,
        ))
    }

    fn document(reads: &mut crate::operation::Reads) {
        A::document(reads);
        B::document(reads);
    }
}
