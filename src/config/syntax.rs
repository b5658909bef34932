//! Text that is no TOML, explained.

use super::values::Wrong;
use toml::de::Error;

/// The parser's message in words for people who do not know TOML by heart.
pub(super) fn words(e: &Error) -> Wrong {
    // Empty: it stumbled between two characters.
    let (message, empty) = (e.message(), e.span().is_none_or(|s| s.is_empty()));
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let (what, right) = match what {
        "string values must be quoted" if empty => ("the value is missing", "key = \"text\", or key = 12"),
        "string values must be quoted" => {
            ("this is not a number, a date, true or false; a text stands in quotes", "quotes around the text: \"…\"")
        }
        "duplicate key" => ("the key stands here a second time", "each key once in a table"),
        "invalid basic string" | "invalid literal string" => (
            "the text in quotes does not end on its line, or has a character that cannot stand in it",
            "a quote at the end; a backslash is written \\\\",
        ),
        "key with no value" => (what, "key = value"),
        "unexpected leading zero" => (what, "the number without it, or a text in quotes"),
        _ if expected.is_empty() => (what, "a line of the form: key = \"text\", key = 12, or [table]"),
        _ => return Wrong::new(what, format!("expected here: {expected}")),
    };
    Wrong::new(what, right)
}

/// What is right on a line with a character outside of quotes that looks like one of TOML's, but comes from a Chinese input method.
pub(super) fn full_width(line: &str) -> Option<String> {
    let mut quoted = false;
    let c = line.chars().find(|c| {
        quoted ^= *c == '"';
        !quoted && "“”‘’＂＇，＝［］｛｝【】".contains(*c)
    })?;
    Some(format!("switch the input method off: `{c}` is a full-width character, TOML wants the plain one"))
}
