//! The office pages, out of the binary: compressed when they were built, sent as they are to who takes that, unpacked for who does not.

use super::error::Error;
use super::tagged::holds;
use axum::body::Bytes;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use flate2::read::GzDecoder;
use rust_embed::{EmbeddedFile, RustEmbed};
use std::io::Read;

/// What `npm run build` left, as far as it is compressed; nothing where it was not run.
#[derive(RustEmbed)]
#[folder = "dashboards/office/dist/"]
#[include = "*.gz"]
#[allow_missing = true]
struct Dist;

/// Says where the pages are to be had, in a binary that was built without them.
const NO_PAGES: &str = include_str!("index.html");

/// Files under this path have their content's hash in their name.
const HASHED: &str = "assets/";

/// `/` and every path that no other route has.
pub async fn page(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let name = if path.is_empty() { "index.html" } else { path };
    match Dist::get(&format!("{name}.gz")) {
        Some(file) => sent(name, &file, &headers),
        None if path.is_empty() => Html(NO_PAGES).into_response(),
        None => Error::UnknownRoute { path: uri.path().chars().take(200).collect() }.into_response(),
    }
}

fn sent(name: &str, file: &EmbeddedFile, asked: &HeaderMap) -> Response {
    let tag = tag(file);
    // A new name for every new content: such a file may be kept for ever. All others are asked for again, and cost one short answer.
    let keep = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if holds(asked, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if takes_gzip(asked) {
        ([(CONTENT_ENCODING, "gzip")], Bytes::copy_from_slice(&file.data)).into_response()
    } else {
        let mut plain = Vec::new();
        match GzDecoder::new(&*file.data).read_to_end(&mut plain) {
            Ok(_) => Bytes::from(plain).into_response(),
            Err(e) => return Error::Internal(format!("{name} of the pages cannot be unpacked: {e}")).into_response(),
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    // Hexadecimal digits between quotes are a header's value.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}

/// Weak, for the same content goes out packed and unpacked.
fn tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let digits: String = hash.iter().take(12).map(|b| format!("{b:02x}")).collect();
    format!("W/\"{digits}\"")
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let encodings = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    encodings.flat_map(|v| v.split(',')).any(|e| {
        let (name, quality) = e.split_once(';').unwrap_or((e, ""));
        name.trim().eq_ignore_ascii_case("gzip") && quality.trim().trim_start_matches("q=").parse() != Ok(0.0)
    })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json" | "webmanifest") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::IF_NONE_MATCH;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use rust_embed::Metadata;
    use std::io::Write;

    const PAGE: &[u8] = b"<!doctype html>";

    fn file() -> EmbeddedFile {
        let mut gz = GzEncoder::new(Vec::new(), Compression::best());
        gz.write_all(PAGE).unwrap();
        EmbeddedFile { data: gz.finish().unwrap().into(), metadata: Metadata::__rust_embed_new([7; 32], None, None) }
    }

    fn asked(pairs: &[(axum::http::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    async fn body(response: Response) -> Vec<u8> {
        axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()
    }

    #[tokio::test]
    async fn pages_go_out_packed_to_who_takes_that_and_unpacked_to_who_does_not() {
        let packed = sent("index.html", &file(), &asked(&[(ACCEPT_ENCODING, "br, gzip;q=0.8")]));
        assert_eq!(packed.headers()[CONTENT_ENCODING], "gzip");
        assert_eq!(packed.headers()[CACHE_CONTROL], "no-cache");
        assert_eq!(body(packed).await, &*file().data);
        for refusing in [asked(&[]), asked(&[(ACCEPT_ENCODING, "gzip;q=0, br")])] {
            let plain = sent("index.html", &file(), &refusing);
            assert!(!plain.headers().contains_key(CONTENT_ENCODING));
            assert_eq!(plain.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
            assert_eq!(body(plain).await, PAGE);
        }
    }

    #[tokio::test]
    async fn what_the_browser_holds_is_not_sent_again() {
        let first = sent("assets/a-1.js", &file(), &asked(&[]));
        assert!(first.headers()[CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        let again = HeaderMap::from_iter([(IF_NONE_MATCH, first.headers()[ETAG].clone())]);
        let second = sent("assets/a-1.js", &file(), &again);
        assert_eq!((second.status(), body(second).await), (StatusCode::NOT_MODIFIED, vec![]));
        assert_eq!(sent("assets/a-1.js", &file(), &asked(&[(IF_NONE_MATCH, "W/\"00\"")])).status(), StatusCode::OK);
    }
}
