//! One POST over HTTP, and nothing of it in any log.

use super::secret::Secret;
use super::trouble::Trouble;
use crate::domain::time::Ms;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use std::error::Error as _;
use std::time::Duration;
use tokio::sync::OnceCell;

const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(10);
/// More of an answer is not read: what matters stands at its beginning.
const ANSWER_BYTES: usize = 4_096;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Ms>,
    pub body: Vec<u8>,
}

/// Shared by all channels, made when the first message is sent: until then it takes no memory.
#[derive(Debug, Default)]
pub struct Client {
    inner: OnceCell<reqwest::Client>,
}

impl Client {
    async fn get(&self) -> Result<&reqwest::Client, Trouble> {
        // Reads the machine's certificates: a file of some hundred kilobytes.
        let built = self.inner.get_or_try_init(async || tokio::task::spawn_blocking(build).await.map_err(|_| Trouble::Client)?).await;
        built.inspect_err(|_| tracing::error!("no HTTP client can be made; is the package ca-certificates installed?"))
    }

    /// Sends the body as JSON. Any status is an answer; what is no answer is a trouble.
    pub async fn post(&self, url: &Secret, headers: &[(&'static str, String)], body: Vec<u8>) -> Result<Answer, Trouble> {
        let mut map = HeaderMap::with_capacity(headers.len() + 1);
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            // Names are our own, values digits and letters: an error here would be a bug, seen as a missing header.
            if let Ok(value) = HeaderValue::from_str(value) {
                map.insert(HeaderName::from_static(name), value);
            }
        }
        let sent = self.get().await?.post(url.expose()).headers(map).body(body).send().await;
        let mut response = sent.map_err(|e| trouble(&e))?;
        let status = response.status().as_u16();
        let seconds = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse::<u32>().ok());
        let mut body = vec![];
        while body.len() < ANSWER_BYTES
            && let Some(chunk) = response.chunk().await.map_err(|e| trouble(&e))?
        {
            body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES - body.len())]);
        }
        Ok(Answer { status, retry_after: seconds.map(|s| Ms::seconds(i64::from(s))), body })
    }
}

fn build() -> Result<reqwest::Client, Trouble> {
    // Whoever was first has installed the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("heyun/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
        .timeout(WHOLE)
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_secs(30))
        .build()
        .map_err(|_| Trouble::Client)
}

/// The error's kind. Its words hold the address, so they go nowhere.
fn trouble(e: &reqwest::Error) -> Trouble {
    if e.is_timeout() {
        return Trouble::Timeout;
    }
    let mut cause = e.source();
    while let Some(c) = cause {
        if c.is::<rustls::Error>() {
            return Trouble::Certificate;
        }
        // An I/O error that wraps another error names that one's cause, not itself.
        cause = match c.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => c.source(),
        };
    }
    Trouble::Unreachable
}
