//! Answers with a tag: who asks again and has them is told so, and nothing is sent.

use super::error::Error;
use crate::domain::engine::Snapshot;
use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

/// A day's readings; a year of days takes two more steps.
const USUAL: usize = 12 << 10;

/// An answer as JSON, and its tag.
#[derive(Clone)]
pub struct Tagged {
    body: Bytes,
    tag: String,
}

impl Tagged {
    pub fn new<T: Serialize>(answer: &T) -> Result<Tagged, Error> {
        let mut body = Vec::with_capacity(USUAL);
        serde_json::to_writer(&mut body, answer).map_err(|e| Error::Internal(format!("an answer could not be written as JSON: {e}")))?;
        // Of the same content the same program makes the same tag, also after a restart; of another one, not by accident.
        let mut hasher = DefaultHasher::new();
        hasher.write(&body);
        Ok(Tagged { body: body.into(), tag: format!("\"{:016x}\"", hasher.finish()) })
    }

    /// It, or 304 if it is what the client has. The client must ask each time: late readings may change any past.
    pub fn response(self, asked: &HeaderMap) -> Response {
        let mut response = if holds(asked, &self.tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], self.body).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // Hexadecimal digits between quotes are a header's value.
        if let Ok(tag) = HeaderValue::from_str(&self.tag) {
            headers.insert(ETAG, tag);
        }
        response
    }
}

/// Whether the client has what this tag names.
pub fn holds(asked: &HeaderMap, tag: &str) -> bool {
    let known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    known.flat_map(|v| v.split(',')).any(|t| t.trim() == tag)
}

/// What all the answers that are kept may take together; beyond it they are forgotten.
const KEPT: usize = 256 << 10;

/// Answers that follow from the stored readings alone, until more are stored: after each commit every page that shows a chart asks for the same
/// one, all at once.
#[derive(Clone, Default)]
pub struct Answers(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// The state that they were asked under; what was read for them is as new, or newer.
    under: Option<Arc<Snapshot>>,
    of: HashMap<String, Tagged>,
    bytes: usize,
}

impl Answers {
    /// What was answered to the same question since the newest commit.
    pub fn known(&self, snapshot: &Arc<Snapshot>, question: &str) -> Option<Tagged> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.under.as_ref().is_some_and(|under| Arc::ptr_eq(under, snapshot)) { kept.of.get(question).cloned() } else { None }
    }

    pub fn keep(&self, snapshot: &Arc<Snapshot>, question: String, answer: &Tagged) {
        // A panic elsewhere leaves at worst an answer uncounted.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = question.len() + answer.body.len();
        if kept.bytes + bytes > KEPT || !kept.under.as_ref().is_some_and(|under| Arc::ptr_eq(under, snapshot)) {
            *kept = Kept { under: Some(snapshot.clone()), ..Kept::default() };
        }
        if bytes <= KEPT && kept.of.insert(question, answer.clone()).is_none() {
            kept.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_until_the_next_commit_and_never_too_many() {
        let answers = Answers::default();
        let [first, second] = [(); 2].map(|()| Arc::new(Snapshot::default()));
        let answer = Tagged::new(&"x".repeat(KEPT / 4)).unwrap();
        answers.keep(&first, "a".into(), &answer);
        assert_eq!(answers.known(&first, "a").map(|t| t.tag), Some(answer.tag.clone()));
        assert!(answers.known(&first, "b").is_none() && answers.known(&second, "a").is_none());
        for question in ["b", "c", "d", "e"] {
            answers.keep(&first, question.into(), &answer);
        }
        assert!(answers.known(&first, "a").is_none() && answers.known(&first, "e").is_some());
        assert!(answers.0.lock().unwrap().bytes <= KEPT);
        answers.keep(&second, "a".into(), &answer);
        assert!(answers.known(&first, "e").is_none() && answers.known(&second, "a").is_some());
        answers.keep(&second, "long".into(), &Tagged::new(&"x".repeat(KEPT)).unwrap());
        assert!(answers.known(&second, "long").is_none());
    }
}
