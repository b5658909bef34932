//! What the web itself has to say: why a request failed, why the gateway is not well.

use super::error::Error;
use crate::texts::{Text, say};

/// Why `/healthz` says that the gateway is not well.
pub fn unhealthy(code: &str) -> Text {
    match code {
        "not_ready" => say("health.not_ready", &[]),
        "store_failing" => say("health.store_failing", &[]),
        other => Text::same(other),
    }
}

/// What went wrong, and what would be right.
pub fn error(e: &Error) -> (Text, Option<Text>) {
    let only = |key| (say(key, &[]), None);
    match e {
        Error::BadParameter { name, expected, .. } => (say("error.bad_parameter", &[("name", (*name).into())]), Some(expected.clone())),
        Error::UnknownParameter { known, .. } => {
            let expected = if known.is_empty() {
                say("expected.no_parameters", &[])
            } else {
                say("expected.parameters", &[("known", known.join(", ").into())])
            };
            (say("error.unknown_parameter", &[]), Some(expected))
        }
        Error::UnknownMeter { .. } => (say("error.unknown_meter", &[]), Some(say("expected.meter", &[]))),
        Error::UnknownIncident { .. } => (say("error.unknown_incident", &[]), Some(say("expected.incident", &[]))),
        Error::UnknownEntry { .. } => only("error.unknown_entry"),
        Error::NoRegister => only("error.no_register"),
        Error::NoReading => (say("error.no_reading", &[]), Some(say("expected.reading", &[]))),
        Error::NoBroker => only("error.no_broker"),
        Error::Hearing => only("error.hearing"),
        Error::BadSeconds => (say("error.bad_seconds", &[]), Some(say("expected.seconds", &[]))),
        Error::BadFilter => (say("error.bad_filter", &[]), Some(say("expected.filter", &[]))),
        Error::Backtesting => only("error.backtesting"),
        Error::NoFiles => (say("error.no_files", &[]), Some(say("expected.files", &[]))),
        Error::TooManyFiles { limit } => (say("error.too_many_files", &[("limit", (*limit).into())]), Some(say("expected.files", &[]))),
        Error::FileTooLarge { limit_mib } => (say("error.file_too_large", &[("limit", (*limit_mib).into())]), None),
        Error::NotCsv => (say("error.not_csv", &[]), Some(Text::same("Content-Type: text/csv, application/gzip"))),
        Error::NoRoom => only("error.no_room"),
        Error::NotAdoptable { .. } => only("error.not_adoptable"),
        Error::UnknownAdopted { .. } => only("error.unknown_adopted"),
        Error::NotByHand => only("error.not_by_hand"),
        Error::NoPhoto => only("error.no_photo"),
        Error::PhotoThere => only("error.photo_there"),
        Error::NoPicture => only("error.no_picture"),
        Error::NoJpeg => (say("error.no_jpeg", &[]), Some(Text::same("Content-Type: image/jpeg"))),
        Error::ReadBefore => only("error.read_before"),
        Error::BadTime => only("error.bad_time"),
        Error::DialBehind { dial, register } => {
            (say("error.dial_behind", &[("dial", dial.clone().into()), ("register", register.clone().into())]), None)
        }
        Error::Unavailable => only("error.unavailable"),
        Error::UnknownRoute { path } => (say("error.unknown_route", &[("path", path.into())]), Some(say("expected.route", &[]))),
        Error::WrongMethod => only("error.wrong_method"),
        Error::ForeignHost { host } => {
            (say("error.foreign_host", &[("host", format!("{host:?}").into())]), Some(say("expected.host", &[])))
        }
        Error::NotJson => (say("error.not_json", &[]), Some(Text::same("Content-Type: application/json"))),
        Error::BadBody { detail } => (say("error.bad_body", &[("detail", detail.into())]), Some(say("expected.body", &[]))),
        Error::BodyTooLarge => only("error.body_too_large"),
        Error::BadField { field, limit } => {
            (say("error.bad_field", &[("field", (*field).into())]), Some(say("expected.characters", &[("limit", (*limit).into())])))
        }
        Error::AlreadyAccepted { by } => (say("error.already_accepted", &[("by", by.into())]), None),
        Error::AlreadyClosed => only("error.already_closed"),
        Error::NothingLearned => only("error.nothing_learned"),
        Error::Busy => only("error.busy"),
        Error::TooManyStreams => only("error.too_many_streams"),
        Error::TooManyExports => only("error.too_many_exports"),
        Error::UnknownPlace { .. } => (say("error.unknown_place", &[]), Some(say("expected.place", &[]))),
        Error::Unanswered => only("error.unanswered"),
        Error::Timeout => only("error.timeout"),
        Error::Stopping => only("error.stopping"),
        Error::Store(_) => only("error.store_unreadable"),
        Error::Internal(_) => only("error.internal"),
    }
}
