//! Headers that every answer carries.

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderName, HeaderValue},
};
use mainstay_domain::CorrelationId;

const ALWAYS: [(HeaderName, HeaderValue); 4] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
];

const CORRELATION: HeaderName = HeaderName::from_static(super::correlation::HEADER);

/// Tells browsers to trust nothing about an answer beyond what it says. An
/// endpoint that serves pages sets its own policy, and answers may not be
/// stored unless they say so.
pub(super) fn secure(response: &mut HttpResponse) {
    let headers = response.headers_mut();
    for (name, value) in &ALWAYS {
        if !headers.contains_key(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Gives the correlation id back.
pub(super) fn correlate(response: &mut HttpResponse, correlation_id: CorrelationId) {
    let mut text = uuid::Uuid::encode_buffer();
    let text = correlation_id.uuid().hyphenated().encode_lower(&mut text);
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(CORRELATION, value);
    }
}
