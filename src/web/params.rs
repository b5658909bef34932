//! Query parameters and JSON bodies: what is taken, and a clear word about what is not.

use super::error::Error;
use crate::texts::say;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// The query of a request, decoded.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Params, Error> {
        let pairs = Query::from_request_parts(parts, state).await.map_err(|e| Error::BadBody { detail: e.body_text() })?;
        Ok(Params(pairs.0))
    }
}

impl Params {
    /// Refuses names that are not in `known`, and names that stand twice: a typing error must not look like an answer.
    pub fn only(self, known: &'static [&'static str]) -> Result<Params, Error> {
        for (i, (name, _)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) || self.0[..i].iter().any(|(n, _)| n == name) {
                return Err(Error::UnknownParameter { name: name.clone(), known });
            }
        }
        Ok(self)
    }

    /// An empty value counts as none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// `limit`: 1 to `most`.
    pub fn limit(&self, default: usize, most: usize) -> Result<usize, Error> {
        let Some(value) = self.get("limit") else { return Ok(default) };
        match value.parse() {
            Ok(n) if (1..=most).contains(&n) => Ok(n),
            _ => {
                let expected = say("expected.whole_number_to", &[("most", most.into())]);
                Err(Error::BadParameter { name: "limit", value: value.to_owned(), expected })
            }
        }
    }

    pub fn number(&self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let expected = || say("expected.whole_number", &[]);
        value.parse().map(Some).map_err(|_| Error::BadParameter { name, value: value.to_owned(), expected: expected() })
    }

    /// One of the words of `choices`.
    pub fn choice<T: Copy>(&self, name: &'static str, choices: &[(&str, T)]) -> Result<Option<T>, Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match choices.iter().find(|(word, _)| *word == value) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                let expected = say("expected.one_of", &[("words", words.join(", ").into())]);
                Err(Error::BadParameter { name, value: value.to_owned(), expected })
            }
        }
    }
}

/// The `{id}` of a path.
#[derive(Debug)]
pub struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Id, Error> {
        let Path(id) = Path::from_request_parts(parts, state).await.map_err(|e| Error::BadBody { detail: e.body_text() })?;
        Ok(Id(id))
    }
}

/// Whether a request says that its body is of this type.
pub fn is_of(request: &Request, wanted: &str) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

/// The body of a request, if it says that it is of this type.
pub async fn raw(request: Request, wanted: &str) -> Result<Option<Bytes>, Error> {
    if !is_of(&request, wanted) {
        return Ok(None);
    }
    let bytes = Bytes::from_request(request, &()).await.map_err(|e| match e {
        BytesRejection::FailedToBufferBody(e) if e.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE => Error::BodyTooLarge,
        other => Error::BadBody { detail: other.body_text() },
    })?;
    Ok(Some(bytes))
}

/// A JSON body. Only with the content type that says so: a foreign page can send it nowhere without being asked first.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Body<T>, Error> {
        let bytes = raw(request, "application/json").await?.ok_or(Error::NotJson)?;
        serde_json::from_slice(&bytes).map(Body).map_err(|e| Error::BadBody { detail: e.to_string() })
    }
}
