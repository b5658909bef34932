//! The one table from what went wrong to what a client is told: status, stable code, a sentence in both languages, and what would be right.
//!
//! What went wrong inside (the store, a bug) goes to the log in full and to the client as a code only.

use super::adopted::AdoptProblem;
use super::texts;
use crate::domain::engine::CommandError;
use crate::store::ReadError;
use crate::texts::{Text, register};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Everything that a request can fail by.
#[derive(Debug)]
pub enum Error {
    /// A query parameter's value is not understood.
    BadParameter {
        name: &'static str,
        value: String,
        expected: Text,
    },
    /// A query parameter that this path does not know, or knows but once.
    UnknownParameter {
        name: String,
        known: &'static [&'static str],
    },
    UnknownMeter {
        id: String,
    },
    UnknownIncident {
        id: String,
    },
    UnknownEntry {
        id: String,
    },
    NoRegister,
    /// The config names no broker.
    NoBroker,
    /// Somebody hears the broker already.
    Hearing,
    BadSeconds,
    BadFilter,
    /// A back-test is at work, or its files are.
    Backtesting,
    /// The list of meters was not uploaded, or none of their readings.
    NoFiles,
    TooManyFiles {
        limit: usize,
    },
    FileTooLarge {
        limit_mib: u64,
    },
    NotCsv,
    /// The disk is nearly full.
    NoRoom,
    /// What is to be adopted or dropped would not be right.
    NotAdoptable {
        problems: Vec<AdoptProblem>,
    },
    UnknownAdopted {
        what: String,
    },
    NotByHand,
    /// The entry has no picture, or another one.
    NoPhoto,
    PhotoThere,
    /// A finding without a flow: of no leak, or of no meter.
    NoPicture,
    NoJpeg,
    ReadBefore,
    NoReading,
    BadTime,
    DialBehind {
        dial: Text,
        register: Text,
    },
    Unavailable,
    UnknownRoute {
        path: String,
    },
    WrongMethod,
    /// The request names a host that is not this machine.
    ForeignHost {
        host: String,
    },
    /// What changes something must say that it is JSON.
    NotJson,
    /// The body cannot be read as what this path takes; the parser's words, place included.
    BadBody {
        detail: String,
    },
    BodyTooLarge,
    BadField {
        field: &'static str,
        limit: usize,
    },
    AlreadyAccepted {
        by: String,
    },
    AlreadyClosed,
    NothingLearned,
    /// All readers of the store, or the engine's queue, are taken.
    Busy,
    TooManyStreams,
    TooManyExports,
    UnknownPlace {
        key: String,
    },
    /// The engine has the command, but no answer came in time: it may still be done.
    Unanswered,
    Timeout,
    /// The process is ending.
    Stopping,
    Store(ReadError),
    /// A bug, or a store that holds what this version never writes.
    Internal(String),
}

impl Error {
    /// The table.
    fn row(&self) -> (StatusCode, &'static str) {
        match self {
            Error::BadParameter { .. } => (StatusCode::BAD_REQUEST, "bad_parameter"),
            Error::UnknownParameter { .. } => (StatusCode::BAD_REQUEST, "unknown_parameter"),
            Error::UnknownMeter { .. } => (StatusCode::NOT_FOUND, "unknown_meter"),
            Error::UnknownIncident { .. } => (StatusCode::NOT_FOUND, "unknown_incident"),
            Error::UnknownEntry { .. } => (StatusCode::NOT_FOUND, "unknown_entry"),
            Error::NoRegister => (StatusCode::CONFLICT, "no_register"),
            Error::NoBroker => (StatusCode::CONFLICT, "no_broker"),
            Error::Hearing => (StatusCode::CONFLICT, "hearing"),
            Error::BadSeconds => (StatusCode::BAD_REQUEST, "bad_seconds"),
            Error::BadFilter => (StatusCode::BAD_REQUEST, "bad_filter"),
            Error::Backtesting => (StatusCode::CONFLICT, "backtesting"),
            Error::NoFiles => (StatusCode::CONFLICT, "no_files"),
            Error::TooManyFiles { .. } => (StatusCode::CONFLICT, "too_many_files"),
            Error::FileTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "file_too_large"),
            Error::NotCsv => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_csv"),
            Error::NoRoom => (StatusCode::INSUFFICIENT_STORAGE, "no_room"),
            Error::NotAdoptable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "not_adoptable"),
            Error::UnknownAdopted { .. } => (StatusCode::NOT_FOUND, "unknown_adopted"),
            Error::NotByHand => (StatusCode::CONFLICT, "not_by_hand"),
            Error::NoPhoto => (StatusCode::NOT_FOUND, "no_photo"),
            Error::PhotoThere => (StatusCode::CONFLICT, "photo_there"),
            Error::NoPicture => (StatusCode::CONFLICT, "no_picture"),
            Error::NoJpeg => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "no_jpeg"),
            Error::ReadBefore => (StatusCode::CONFLICT, "read_before"),
            Error::NoReading => (StatusCode::CONFLICT, "no_reading"),
            Error::BadTime => (StatusCode::BAD_REQUEST, "bad_time"),
            Error::DialBehind { .. } => (StatusCode::CONFLICT, "dial_behind"),
            Error::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Error::UnknownRoute { .. } => (StatusCode::NOT_FOUND, "unknown_route"),
            Error::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, "wrong_method"),
            Error::ForeignHost { .. } => (StatusCode::MISDIRECTED_REQUEST, "foreign_host"),
            Error::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json"),
            Error::BadBody { .. } => (StatusCode::BAD_REQUEST, "bad_body"),
            Error::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Error::BadField { .. } => (StatusCode::BAD_REQUEST, "bad_field"),
            Error::AlreadyAccepted { .. } => (StatusCode::CONFLICT, "already_accepted"),
            Error::AlreadyClosed => (StatusCode::CONFLICT, "already_closed"),
            Error::NothingLearned => (StatusCode::CONFLICT, "nothing_learned"),
            Error::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Error::TooManyStreams => (StatusCode::SERVICE_UNAVAILABLE, "too_many_streams"),
            Error::TooManyExports => (StatusCode::SERVICE_UNAVAILABLE, "too_many_exports"),
            Error::UnknownPlace { .. } => (StatusCode::NOT_FOUND, "unknown_place"),
            Error::Unanswered => (StatusCode::GATEWAY_TIMEOUT, "unanswered"),
            Error::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            Error::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            Error::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_unreadable"),
            Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// The parameter or field at fault, and the value that it had.
    fn culprit(&self) -> (Option<String>, Option<String>) {
        match self {
            Error::BadParameter { name, value, .. } => (Some((*name).to_owned()), Some(value.clone())),
            Error::UnknownParameter { name, .. } => (Some(name.clone()), None),
            Error::BadField { field, .. } => (Some((*field).to_owned()), None),
            Error::BadSeconds => (Some("seconds".to_owned()), None),
            Error::BadFilter => (Some("filters".to_owned()), None),
            Error::UnknownAdopted { what } => (Some("key".to_owned()), Some(what.clone())),
            Error::UnknownPlace { key } => (Some("place".to_owned()), Some(key.clone())),
            Error::UnknownMeter { id } | Error::UnknownIncident { id } | Error::UnknownEntry { id } => {
                (Some("id".to_owned()), Some(id.clone()))
            }
            _ => (None, None),
        }
    }

    fn retry_after(&self) -> Option<&'static str> {
        match self {
            Error::Busy | Error::Timeout | Error::Unavailable => Some("2"),
            Error::TooManyStreams | Error::TooManyExports | Error::Stopping | Error::Store(_) => Some("10"),
            _ => None,
        }
    }
}

impl From<ReadError> for Error {
    fn from(e: ReadError) -> Error {
        Error::Store(e)
    }
}

impl From<CommandError> for Error {
    fn from(e: CommandError) -> Error {
        match e {
            CommandError::UnknownIncident => Error::UnknownIncident { id: String::new() },
            CommandError::AlreadyAccepted { by } => Error::AlreadyAccepted { by },
            CommandError::AlreadyClosed => Error::AlreadyClosed,
            CommandError::NothingLearned => Error::NothingLearned,
            CommandError::BadField { field, limit } => Error::BadField { field, limit },
            CommandError::UnknownPoint { .. } => Error::NoRegister,
            CommandError::UnknownEntry { entry } => Error::UnknownEntry { id: entry.to_string() },
            CommandError::NotByHand { .. } => Error::NotByHand,
            CommandError::ReadBefore { .. } => Error::ReadBefore,
            CommandError::NoReading { .. } => Error::NoReading,
            CommandError::BadTime { .. } => Error::BadTime,
            CommandError::DialBehind { medium, dial, register: at } => {
                Error::DialBehind { dial: register(medium, dial), register: register(medium, at) }
            }
            CommandError::Unavailable => Error::Unavailable,
        }
    }
}

/// The body of every answer that is an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Stable: programs decide by it.
    pub code: &'static str,
    pub message: Text,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Text>,
    /// The parameter or field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Of `not_adoptable`: all that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<AdoptProblem>,
}

/// Longer values of a client are not sent back whole.
const SHOWN: usize = 120;

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match &self {
            Error::Store(e) => tracing::error!(error = %e, "the store could not be read"),
            Error::Internal(what) => tracing::error!(what, "a request failed by a fault of ours"),
            _ => {}
        }
        let (status, code) = self.row();
        let (message, expected) = texts::error(&self);
        let (parameter, value) = self.culprit();
        let cut = |v: String| if v.chars().count() > SHOWN { v.chars().take(SHOWN).chain(['…']).collect() } else { v };
        let retry_after = self.retry_after();
        let problems = if let Error::NotAdoptable { problems } = self { problems } else { vec![] };
        let problem = Problem { code, message, expected, parameter: parameter.map(cut), value: value.map(cut), problems };
        let mut response = (status, axum::Json(problem)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, axum::http::HeaderValue::from_static(seconds));
        }
        response
    }
}
