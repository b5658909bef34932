//! Places in a JSON document (RFC 6901), parsed once when the config is read.

use std::fmt;

/// The deepest place that can be named: deeper than any meter's JSON, shallower than what the JSON reader follows.
const DEPTH_LIMIT: usize = 32;

/// A JSON pointer: `/m/total`, `/data/0/value`; `~1` stands for `/` and `~0` for `~` within a name. `""` is the whole document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pointer {
    text: Box<str>,
    tokens: Box<[Token]>,
}

/// One step of a pointer: a member's name, and an element's index where it looks like one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    name: Box<str>,
    index: Option<usize>,
}

/// Why a text is no pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerError {
    /// It is neither empty nor begins with `/`.
    NoSlash,
    /// A `~` is followed by neither `0` nor `1`; `at` is the byte where it stands.
    Escape { at: usize },
    /// It has more steps than `limit`.
    TooDeep { limit: usize },
}

impl Pointer {
    pub fn parse(text: &str) -> Result<Pointer, PointerError> {
        let tokens = match text.strip_prefix('/') {
            None if text.is_empty() => Vec::new(),
            None => return Err(PointerError::NoSlash),
            Some(steps) => {
                if let Some((at, _)) = text.match_indices('~').find(|(i, _)| !matches!(text.as_bytes().get(i + 1), Some(b'0' | b'1'))) {
                    return Err(PointerError::Escape { at });
                }
                // In this order, or `~01` would become `/` instead of `~1`.
                steps.split('/').map(|step| Token::new(step.replace("~1", "/").replace("~0", "~"))).collect()
            }
        };
        if tokens.len() > DEPTH_LIMIT {
            return Err(PointerError::TooDeep { limit: DEPTH_LIMIT });
        }
        Ok(Pointer { text: text.into(), tokens: tokens.into() })
    }

    /// The pointer as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }
}

impl Token {
    fn new(name: String) -> Token {
        let digits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
        let index = if digits && (name == "0" || !name.starts_with('0')) { name.parse().ok() } else { None };
        Token { name: name.into(), index }
    }

    pub fn names(&self, key: &str) -> bool {
        *self.name == *key
    }

    pub fn indexes(&self, i: usize) -> bool {
        self.index == Some(i)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for PointerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PointerError::NoSlash => write!(f, "a JSON pointer begins with \"/\""),
            PointerError::Escape { at } => write!(f, "the \"~\" at byte {at} must be written \"~0\", or \"~1\" if a \"/\" is meant"),
            PointerError::TooDeep { limit } => write!(f, "a JSON pointer has at most {limit} steps"),
        }
    }
}

impl std::error::Error for PointerError {}

#[cfg(test)]
mod tests {
    use super::*;

    type Step = (String, Option<usize>);

    fn steps(text: &str) -> Result<Vec<Step>, PointerError> {
        let p = Pointer::parse(text)?;
        assert_eq!(p.to_string(), text);
        Ok(p.tokens().iter().map(|t| (t.name.to_string(), t.index)).collect())
    }

    #[test]
    fn pointers_are_those_of_rfc_6901() {
        type Step = (&'static str, Option<usize>);
        let cases: &[(&str, &[Step])] = &[
            ("", &[]),
            ("/", &[("", None)]),
            ("/m/total", &[("m", None), ("total", None)]),
            ("/a~1b", &[("a/b", None)]),
            ("/m~0n", &[("m~n", None)]),
            ("/~01", &[("~1", None)]),
            ("/input:2/counts", &[("input:2", None), ("counts", None)]),
            ("/data/0/10/01/-", &[("data", None), ("0", Some(0)), ("10", Some(10)), ("01", None), ("-", None)]),
            ("/水表/读数 ", &[("水表", None), ("读数 ", None)]),
            ("/99999999999999999999999", &[("99999999999999999999999", None)]),
        ];
        for (text, want) in cases {
            let want = want.iter().map(|(n, i)| (n.to_string(), *i)).collect();
            assert_eq!(steps(text), Ok(want), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        assert_eq!(steps("total"), Err(PointerError::NoSlash));
        assert_eq!(steps("$.total"), Err(PointerError::NoSlash));
        assert_eq!(steps("/a~"), Err(PointerError::Escape { at: 2 }));
        assert_eq!(steps("/a~0/~2"), Err(PointerError::Escape { at: 5 }));
        assert_eq!(steps(&"/a".repeat(33)), Err(PointerError::TooDeep { limit: 32 }));
        assert!(steps(&"/a".repeat(32)).is_ok());
    }
}
