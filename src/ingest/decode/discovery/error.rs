//! What is wrong with a discovery message.

use std::fmt;

/// Why a message as a whole cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoveryError {
    /// The topic is none of discovery.
    Topic { found: String, prefix: String },
    /// The payload is larger than `limit`.
    Size { bytes: usize, limit: usize },
    /// Bytes that are no text; `at` is the first bad byte.
    Utf8 { at: usize },
    /// Text that is no JSON; line and column are 1-based.
    Json { line: usize, column: usize },
    /// JSON, but no object.
    Object { found: String },
    /// A key that everything else hangs on.
    Key(KeyError),
    /// More components than `limit`.
    Components { found: usize, limit: usize },
}

/// What is wrong with a key or with what stands under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It must be there.
    Missing { key: Key },
    /// Something of another kind than `want` stands there.
    Kind { key: Key, want: &'static str, found: String },
    /// A topic with a wildcard or a control character, or one of the broker's own (`$…`).
    Topic { key: Key, found: String },
    /// A text of more than `limit` bytes.
    Long { key: Key, limit: usize },
    /// A list of more than `limit` elements.
    Many { key: Key, limit: usize },
}

/// A key in its two spellings; they are the same where there is no short one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub long: &'static str,
    pub short: &'static str,
}

impl Key {
    pub(super) const fn new(long: &'static str, short: &'static str) -> Key {
        Key { long, short }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { long, short } = self;
        if long == short { write!(f, "\"{long}\"") } else { write!(f, "\"{long}\" (\"{short}\")") }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Missing { key } => write!(f, "{key} is missing"),
            KeyError::Kind { key, want, found } => write!(f, "{key} must be {want}, not {found}"),
            KeyError::Topic { key, found } => {
                write!(f, "{key} must be a topic without \"+\", \"#\", control characters and a \"$\" at its beginning, not {found:?}")
            }
            KeyError::Long { key, limit } => write!(f, "{key} is longer than {limit} bytes"),
            KeyError::Many { key, limit } => write!(f, "{key} has more than {limit} elements"),
        }
    }
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiscoveryError::Topic { found, prefix } => write!(
                f,
                "{found:?} is no discovery topic; right is {prefix}/<component>/<object>/config \
                 or {prefix}/<component>/<node>/<object>/config, each of letters A to Z, digits, \"_\" and \"-\""
            ),
            DiscoveryError::Size { bytes, limit } => write!(f, "the message has {bytes} bytes; {limit} are taken"),
            DiscoveryError::Utf8 { at } => write!(f, "the message is no text: byte {at} is not UTF-8"),
            DiscoveryError::Json { line, column } => write!(f, "the message is no JSON: line {line}, column {column}"),
            DiscoveryError::Object { found } => write!(f, "the message must be a JSON object, not {found}"),
            DiscoveryError::Key(error) => error.fmt(f),
            DiscoveryError::Components { found, limit } => write!(f, "the device has {found} components; {limit} are taken"),
        }
    }
}

impl std::error::Error for KeyError {}
impl std::error::Error for DiscoveryError {}
