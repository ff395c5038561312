//! What an endpoint is: its route, who may use it, its handler and what the
//! OpenAPI document says about it.
//!
//! The table in `operations` is the only source of routing, authorization
//! and documentation, so that none of the three can know an endpoint that
//! another does not. Access has no default: an operation cannot be built
//! without saying who may use it.
//!
//! **To add an endpoint**, write a file under `endpoints/` that exports
//! `pub(crate) fn operation() -> Operation`, and add it to the table. What it
//! reads and answers is documented from its handler's types.

use crate::{
    exchange::{Exchange, Extract},
    problem::Problem,
    reply::Reply,
};
use actix_web::{
    HttpResponse,
    dev::Payload,
    http::{Method, StatusCode},
};
use futures_util::future::LocalBoxFuture;
use mainstay_identity::Permission;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::fmt;

/// Who may use an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody.
    Public,
    /// Whoever is logged in and has this permission.
    Requires(Permission),
}

/// Whether an operation waits for the database manager to be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// 503 STARTING until the process is ready.
    Readiness,
    /// Answers from the first moment on, and while draining.
    Nothing,
}

/// Makes a schema in a generator.
pub(crate) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// What an operation reads, collected from its handler's arguments.
#[derive(Default)]
pub(crate) struct Reads {
    pub body: Option<MakeSchema>,
    pub query: Option<MakeSchema>,
    pub if_match: bool,
}

/// What an operation answers, collected from its handler's result.
#[derive(Default)]
pub(crate) struct Replies {
    pub all: Vec<Answers>,
}

/// One documented response.
pub(crate) struct Answers {
    pub status: u16,
    pub content_type: &'static str,
    pub schema: Option<MakeSchema>,
}

impl Replies {
    /// A JSON body of type `T`.
    pub(crate) fn json<T: JsonSchema>(&mut self, status: u16) {
        self.all.push(Answers {
            status,
            content_type: "application/json",
            schema: Some(schemars::SchemaGenerator::subschema_for::<T>),
        });
    }

    /// No body.
    pub(crate) fn empty(&mut self, status: u16) {
        self.all.push(Answers {
            status,
            content_type: "",
            schema: None,
        });
    }
}

/// A handler at work.
pub(crate) type Answering = LocalBoxFuture<'static, Result<HttpResponse, Problem>>;

type Run = Box<dyn Fn(Exchange, Payload) -> Answering + Send + Sync>;

/// One endpoint.
pub(crate) struct Operation {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
    pub needs: Needs,
    pub id: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    pub description: &'static str,
    /// Whether `Idempotency-Key` is honoured.
    pub idempotent: bool,
    pub reads: Reads,
    pub replies: Replies,
    run: Run,
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({:?})", self.method, self.path, self.access)
    }
}

impl Operation {
    /// An operation `id`, such as `personas.create`; the part before the dot
    /// is the tag that it stands under.
    pub(crate) fn new<A, H>(
        method: Method,
        path: &'static str,
        id: &'static str,
        access: Access,
        handler: H,
    ) -> Self
    where
        H: Handler<A>,
    {
        let mut reads = Reads::default();
        let mut replies = Replies::default();
        H::document(&mut reads, &mut replies);
        Self {
            method,
            path,
            access,
            needs: Needs::Readiness,
            id,
            tag: id.split('.').next().unwrap_or(id),
            summary: "",
            description: "",
            idempotent: false,
            reads,
            replies,
            run: Box::new(move |exchange, payload| handler.call(exchange, payload)),
        }
    }

    /// What it does, in one line.
    pub(crate) fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// What else a caller should know, in Markdown.
    pub(crate) fn description(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// It answers while the process starts and drains.
    pub(crate) fn always(mut self) -> Self {
        self.needs = Needs::Nothing;
        self
    }

    /// It honours `Idempotency-Key`.
    pub(crate) fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Documents a response that the handler's type does not tell.
    pub(crate) fn answers<T: JsonSchema>(mut self, status: StatusCode) -> Self {
        self.replies.json::<T>(status.as_u16());
        self
    }

    /// Documents a response of another media type.
    pub(crate) fn answers_text(mut self, status: StatusCode, content_type: &'static str) -> Self {
        self.replies.all.push(Answers {
            status: status.as_u16(),
            content_type,
            schema: Some(schemars::SchemaGenerator::subschema_for::<String>),
        });
        self
    }

    /// Runs the handler.
    pub(crate) fn call(&self, exchange: Exchange, payload: Payload) -> Answering {
        (self.run)(exchange, payload)
    }

    /// The names of the path's parameters, in order.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// An async function over extractable arguments.
pub(crate) trait Handler<Arguments>: Send + Sync + 'static {
    /// Extracts the arguments and runs the function.
    fn call(&self, exchange: Exchange, payload: Payload) -> Answering;

    /// Collects what the arguments read and the result answers.
    fn document(reads: &mut Reads, replies: &mut Replies);
}

macro_rules! handler {
    ($($argument:ident),*) => {
        impl<F, Fut, R, $($argument),*> Handler<(R, $($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Result<R, Problem>> + 'static,
            R: Reply + 'static,
            $($argument: Extract + 'static,)*
        {
            #[allow(non_snake_case, unused_mut, unused_variables, reason = "the macro names values like types")]
            fn call(&self, exchange: Exchange, mut payload: Payload) -> Answering {
                let function = self.clone();
                Box::pin(async move {
                    $(let $argument = $argument::extract(&exchange, &mut payload).await?;)*
                    function($($argument),*).await.map(Reply::respond)
                })
            }

            #[allow(unused_variables, reason = "a handler without arguments reads nothing")]
            fn document(reads: &mut Reads, replies: &mut Replies) {
                $($argument::document(reads);)*
                R::document(replies);
            }
        }
    };
}

handler!();
handler!(A);
handler!(A, B);
handler!(A, B, C);
handler!(A, B, C, D);
handler!(A, B, C, D, E);
