//! `/api/v1/ledger/{id}/photo`: a picture of the dial, or of the seal, beside an entry of the ledger.

use super::clock;
use super::error::{Error, Problem};
use super::handles::{PhotoDoor, Snapshots, Store};
use super::params::{Id, Params, raw};
use crate::store::Photo;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

const JPEG: &str = "image/jpeg";
/// How a JPEG begins and ends.
const BEGINS: [u8; 3] = [0xff, 0xd8, 0xff];
const ENDS: [u8; 2] = [0xff, 0xd9];

/// The picture of an entry
#[utoipa::path(get, path = "/api/v1/ledger/{id}/photo", tag = "state",
    params(("id" = String, Path, description = "number of the entry")),
    responses((status = 200, description = "the picture", content_type = "image/jpeg", body = Vec<u8>),
              (status = 404, description = "there is no such entry, or it has none", body = Problem), (status = "default", body = Problem)))]
pub async fn photo(State(store): State<Store>, Id(id): Id, params: Params) -> Result<Response, Error> {
    params.only(&[])?;
    let entry: u64 = id.parse().map_err(|_| Error::UnknownEntry { id: id.clone() })?;
    let body = store.ask(move |reader| reader.photo(entry)).await?.ok_or(Error::NoPhoto)?;
    // It never changes.
    let headers = [(header::CONTENT_TYPE, JPEG), (header::CACHE_CONTROL, "private, max-age=604800, immutable")];
    Ok((headers, body).into_response())
}

/// Keep a picture with an entry: of the dial that was read, of the meter that was taken out, of the seal
///
/// One to an entry, at most 120 KiB, kept for two years. Answered when it is durable.
#[utoipa::path(post, path = "/api/v1/ledger/{id}/photo", tag = "commands", operation_id = "keep_photo",
    request_body(content_type = "image/jpeg", content = Vec<u8>),
    params(("id" = String, Path, description = "number of the entry")),
    responses((status = 204, description = "it is kept"), (status = 409, description = "the entry has another one", body = Problem),
              (status = 415, description = "no JPEG", body = Problem), (status = "default", body = Problem)))]
pub async fn keep(
    State(snapshots): State<Snapshots>,
    State(door): State<PhotoDoor>,
    Id(id): Id,
    request: Request,
) -> Result<axum::http::StatusCode, Error> {
    // A foreign page can send a picture nowhere without being asked first: no form has this type.
    let body = raw(request, JPEG).await?.ok_or(Error::NoJpeg)?;
    if !body.starts_with(&BEGINS) || !body.ends_with(&ENDS) {
        return Err(Error::NoJpeg);
    }
    let entry = id.parse().ok().filter(|seq| snapshots.borrow().ledger.list().iter().any(|e| e.seq == *seq));
    let entry = entry.ok_or(Error::UnknownEntry { id })?;
    match door.keep(Photo { entry, at: clock::now(), body: body.into() }).await? {
        true => Ok(axum::http::StatusCode::NO_CONTENT),
        false => Err(Error::PhotoThere),
    }
}
