//! What is wrong in a config file, and what would be right.

use std::fmt::{self, Write as _};
use std::path::Path;

/// One mistake in a config file: where it stands, what it is, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// Dotted path of the key, list entries counted from 0: `meters[3].serial`. `syntax` where the text is no TOML.
    pub key: String,
    /// What is wrong, naming the value.
    pub what: String,
    /// What would be right.
    pub right: String,
    /// The source line, secrets masked, cut where it is long.
    pub quote: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}\n    right: {}", self.line, self.key, self.what, self.right)
    }
}

/// All problems of `file` as a text for people: `FILE:LINE: KEY: WHAT`, the line itself, what would be right, and their number at the end.
pub fn render(file: &Path, problems: &[Problem]) -> String {
    let mut out = String::new();
    for p in problems {
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{}:{}: {}: {}", file.display(), p.line, p.key, p.what);
        if !p.quote.is_empty() {
            let _ = writeln!(out, "    {} | {}", p.line, p.quote);
        }
        let _ = writeln!(out, "    right: {}\n", p.right);
    }
    let noun = if problems.len() == 1 { "problem" } else { "problems" };
    let _ = writeln!(out, "{} {noun} in {}", problems.len(), file.display());
    out
}

/// The most characters of a source line that are quoted: a meter on one line may be much longer.
const QUOTE_CHARS: usize = 120;

/// The line as it may be shown, with the neighbourhood of `column` in view.
pub(super) fn quote(line: &str, column: usize) -> String {
    let line: Vec<char> = mask(line.trim_end()).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() <= QUOTE_CHARS {
        return line.into_iter().collect::<String>().trim_start().to_owned();
    }
    let start = column.saturating_sub(QUOTE_CHARS / 3).min(line.len() - QUOTE_CHARS);
    let end = start + QUOTE_CHARS;
    let head = if start > 0 { "…" } else { "" };
    let tail = if end < line.len() { "…" } else { "" };
    format!("{head}{}{tail}", line[start..end].iter().collect::<String>())
}

/// Hides what stands behind `password =` and before `@` in a URL: problems end in logs, and logs are passed around.
pub(super) fn mask(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(i) = rest.find("password") {
        let after = i + "password".len();
        let value = rest[after..].trim_start_matches(['"', '\'', ' ', '\t']);
        let Some(value) = value.strip_prefix('=') else {
            out.push_str(&rest[..after]);
            rest = &rest[after..];
            continue;
        };
        out.push_str(&rest[..after]);
        out.push_str(" = ***");
        let value = value.trim_start();
        rest = match value.chars().next() {
            Some(q @ ('"' | '\'')) => value[1..].split_once(q).map_or("", |(_, r)| r),
            _ => value.find([',', '}', ' ']).map_or("", |i| &value[i..]),
        };
    }
    out.push_str(rest);
    mask_url(&out)
}

fn mask_url(line: &str) -> String {
    let Some(start) = line.find("://").map(|i| i + 3) else { return line.to_owned() };
    let end = line[start..].find(['"', '\'', '/', ' ']).map_or(line.len(), |i| start + i);
    match line[start..end].rfind('@') {
        Some(at) => format!("{}***{}", &line[..start], &line[start + at..]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_quoted() {
        assert_eq!(mask(r#"password = "geheim", x = 1"#), r#"password = ***, x = 1"#);
        assert_eq!(mask(r#"mqtt = { password='a"b', url = "mqtt://u:p@host" }"#), r#"mqtt = { password = ***, url = "mqtt://***@host" }"#);
        assert_eq!(mask(r#"password = geheim"#), "password = ***");
        assert_eq!(mask(r#"password_file = "/etc/x""#), r#"password_file = "/etc/x""#);
        assert_eq!(mask(r#"url = "mqtt://heyun:a@b@host:1""#), r#"url = "mqtt://***@host:1""#);
    }

    #[test]
    fn a_long_line_is_cut_around_the_mistake() {
        let line = format!("{}XX{}", "a".repeat(300), "b".repeat(300));
        let q = quote(&line, 301);
        assert!(q.contains("XX") && q.starts_with('…') && q.ends_with('…'), "{q}");
        assert_eq!(q.chars().count(), QUOTE_CHARS + 2);
    }
}
