//! What stands at one place of a payload.

use super::blank;
use std::borrow::Cow;

/// As it was found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'p> {
    /// One valid JSON value.
    Json(&'p str),
    /// A text by itself.
    Text(&'p str),
}

impl<'p> Raw<'p> {
    /// It is there and not `null`: an empty text says that nothing is the matter.
    pub fn speaks(self) -> bool {
        !matches!(self, Raw::Json(json) if json == "null")
    }

    /// The elements of a JSON array; itself if it is none.
    pub fn each(self) -> Vec<Raw<'p>> {
        match self {
            Raw::Json(json) if json.starts_with('[') => {
                super::json::elements(json).unwrap_or_default().into_iter().map(Raw::Json).collect()
            }
            one => vec![one],
        }
    }
}

#[derive(Debug)]
pub(super) enum Scalar<'p> {
    /// `null`, or a text of nothing.
    Nothing,
    Number(&'p str),
    Text(Cow<'p, str>),
    Bool(bool),
    /// An object, an array, or a string that is no Unicode.
    Other,
}

impl<'p> Scalar<'p> {
    pub fn of(raw: Raw<'p>) -> Scalar<'p> {
        let json = match raw {
            Raw::Text(t) if t.chars().all(blank) => return Scalar::Nothing,
            Raw::Text(t) => return Scalar::Text(Cow::Borrowed(t)),
            Raw::Json(json) => json,
        };
        match json.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Scalar::Number(json),
            Some(b'"') => match string(json) {
                Some(t) if t.chars().all(blank) => Scalar::Nothing,
                Some(t) => Scalar::Text(t),
                None => Scalar::Other,
            },
            Some(b't') => Scalar::Bool(true),
            Some(b'f') => Scalar::Bool(false),
            Some(b'n') => Scalar::Nothing,
            _ => Scalar::Other,
        }
    }

    /// As a word to be looked up; None where nothing or no single thing stands there.
    pub fn word(&self) -> Option<&str> {
        match self {
            Scalar::Number(n) => Some(n),
            Scalar::Text(t) => Some(t.trim_matches(blank)),
            Scalar::Bool(true) => Some("true"),
            Scalar::Bool(false) => Some("false"),
            Scalar::Nothing | Scalar::Other => None,
        }
    }
}

fn string(raw: &str) -> Option<Cow<'_, str>> {
    if raw.contains('\\') {
        // Only an escape that is half of a surrogate pair can fail here.
        return serde_json::from_str(raw).ok().map(Cow::Owned);
    }
    raw.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
}
