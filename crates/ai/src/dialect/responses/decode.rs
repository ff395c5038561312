//! A whole answer of Responses.

use super::super::{Answer, ErrorBody, garbled};
use super::WireResponse;
use crate::error::Failure;

pub(crate) fn decode_answer(body: &[u8]) -> Result<Answer, Failure> {
    match serde_json::from_slice::<WireResponse>(body) {
        Ok(response) if response.status.is_some() => response.into_answer(),
        // Some servers answer 200 with an error object in the body.
        _ => Err(serde_json::from_slice::<ErrorBody>(body).map_or_else(
            |_| garbled("the body is not a response"),
            |body| body.error.into_failure(),
        )),
    }
}
