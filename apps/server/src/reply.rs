//! What endpoints give back.

use crate::operation::Replies;
use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use schemars::JsonSchema;
use serde::Serialize;

/// Something that an endpoint answers with.
pub(crate) trait Reply {
    /// The response.
    fn respond(self) -> HttpResponse;

    /// Tells the OpenAPI document what this answers.
    fn document(replies: &mut Replies);
}

/// 200 with a JSON body.
#[derive(Debug)]
pub(crate) struct Json<T>(pub T);

/// 201 with a JSON body.
#[derive(Debug)]
pub(crate) struct Created<T>(pub T);

/// 204.
#[derive(Debug)]
pub(crate) struct NoContent;

/// 200 with a JSON body and its version as `ETag`.
#[derive(Debug)]
pub(crate) struct Tagged<T>(pub T, pub i32);

/// 201 with a JSON body and its version as `ETag`.
#[derive(Debug)]
pub(crate) struct CreatedTagged<T>(pub T, pub i32);

/// One page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(crate) struct Page<T> {
    /// The items, newest first unless said otherwise.
    pub items: Vec<T>,
    /// Hand this back as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

fn json(status: StatusCode, value: &impl Serialize) -> HttpResponse {
    match serde_json::to_vec(value) {
        Ok(body) => HttpResponse::build(status)
            .insert_header((header::CONTENT_TYPE, "application/json"))
            .body(body),
        // The outer pipeline turns a bare 500 into a problem.
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            HttpResponse::InternalServerError().finish()
        }
    }
}

fn tagged(status: StatusCode, value: &impl Serialize, version: i32) -> HttpResponse {
    let mut response = json(status, value);
    if let Ok(tag) = header::HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

impl<T: Serialize + JsonSchema> Reply for Json<T> {
    fn respond(self) -> HttpResponse {
        json(StatusCode::OK, &self.0)
    }
    fn document(replies: &mut Replies) {
        replies.json::<T>(200);
    }
}

impl<T: Serialize + JsonSchema> Reply for Created<T> {
    fn respond(self) -> HttpResponse {
        json(StatusCode::CREATED, &self.0)
    }
    fn document(replies: &mut Replies) {
        replies.json::<T>(201);
    }
}

impl<T: Serialize + JsonSchema> Reply for Tagged<T> {
    fn respond(self) -> HttpResponse {
        tagged(StatusCode::OK, &self.0, self.1)
    }
    fn document(replies: &mut Replies) {
        replies.json::<T>(200);
    }
}

impl<T: Serialize + JsonSchema> Reply for CreatedTagged<T> {
    fn respond(self) -> HttpResponse {
        tagged(StatusCode::CREATED, &self.0, self.1)
    }
    fn document(replies: &mut Replies) {
        replies.json::<T>(201);
    }
}

impl Reply for NoContent {
    fn respond(self) -> HttpResponse {
        HttpResponse::NoContent().finish()
    }
    fn document(replies: &mut Replies) {
        replies.empty(204);
    }
}

/// A response made by hand; the endpoint documents it by hand as well.
impl Reply for HttpResponse {
    fn respond(self) -> HttpResponse {
        self
    }
    fn document(_: &mut Replies) {}
}
