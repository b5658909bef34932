//! What every request passes before a handler sees it, and every answer on its way out.
//!
//! Loopback keeps strangers' machines out, but not strangers' pages: a name that an attacker's DNS points at 127.0.0.1 makes a browser treat
//! our answers as that page's own. So the request must name this machine as its host.

use super::error::Error;
use axum::extract::Request;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::any::Any;
use std::time::Duration;

/// The largest body that is read.
pub const BODY: usize = 128 * 1024;
/// From the whole head of a request to the head of its answer.
const PATIENCE: Duration = Duration::from_secs(30);

const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The vendored Swagger UI sets styles of its own and draws from data URLs; still, nothing comes from elsewhere.
const DOCS_POLICY: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Refuses foreign hosts, ends what takes too long, marks every answer.
pub async fn guard(request: Request, next: Next) -> Response {
    let docs = request.uri().path().starts_with("/api/docs");
    let answer = async {
        host(&request)?;
        tokio::time::timeout(PATIENCE, next.run(request)).await.map_err(|_| Error::Timeout)
    };
    let mut response = answer.await.unwrap_or_else(IntoResponse::into_response);
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, if docs { DOCS_POLICY } else { POLICY });
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    // The pages say themselves how long they may be kept.
    if !docs && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The host stands in the `Host` header, or in the target of the request, or in both.
fn host(request: &Request) -> Result<(), Error> {
    let named = request.headers().get_all(header::HOST).iter().map(|v| v.to_str().unwrap_or("?"));
    let mut named = named.chain(request.uri().authority().map(Authority::as_str)).peekable();
    if named.peek().is_none() {
        return Err(Error::ForeignHost { host: String::new() });
    }
    match named.find(|n| !is_here(n)) {
        Some(foreign) => Err(Error::ForeignHost { host: foreign.chars().take(80).collect() }),
        None => Ok(()),
    }
}

fn is_here(named: &str) -> bool {
    // `user@host` is an authority, too, but no browser sends one.
    let Ok(authority) = named.parse::<Authority>() else { return false };
    !named.contains('@') && HOSTS.iter().any(|h| authority.host().eq_ignore_ascii_case(h))
}

/// A handler that panicked is a bug of ours, and of this one request only.
pub fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let what = match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other.downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned()),
    };
    Error::Internal(format!("a handler panicked: {what}")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_500_without_its_words() {
        let response = panicked(Box::new(String::from("secret")));
        assert_eq!(response.status(), axum::http::StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn only_this_machine_is_here() {
        for host in ["localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1:80", "[::1]:8080", "[::1]"] {
            assert!(is_here(host), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example", "127.0.0.1.nip.io:80", "a@localhost", "192.168.1.5:80", "::1", "?"] {
            assert!(!is_here(host), "{host}");
        }
    }
}
