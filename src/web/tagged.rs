//! Answers with a tag: who asks again and has them is told so, and nothing is sent.

use super::error::Error;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::hash::{DefaultHasher, Hasher};

/// An answer as JSON, or 304 if it is what the client has. It must ask each time: late readings may change any past.
pub fn tagged<T: Serialize>(asked: &HeaderMap, answer: &T) -> Result<Response, Error> {
    let body = serde_json::to_vec(answer).map_err(|e| Error::Internal(format!("an answer could not be written as JSON: {e}")))?;
    // Of the same content the same program makes the same tag, also after a restart; of another one, not by accident.
    let mut hasher = DefaultHasher::new();
    hasher.write(&body);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let mut response = if holds(asked, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Hexadecimal digits between quotes are a header's value.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    Ok(response)
}

/// Whether the client has what this tag names.
pub fn holds(asked: &HeaderMap, tag: &str) -> bool {
    let known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    known.flat_map(|v| v.split(',')).any(|t| t.trim() == tag)
}
