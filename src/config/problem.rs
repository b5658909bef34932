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

/// Cuts the line off where a password begins: problems end in logs, and logs are passed around. Rather too much than too little.
pub(super) fn mask(line: &str) -> String {
    for (i, _) in line.match_indices('=') {
        let key = line[..i].trim_end_matches([' ', '\t', '"', '\'']);
        let key = key.rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).next().unwrap_or("").to_lowercase();
        let (value, names_a_file) = (&line[i..], key.ends_with("_file"));
        let secret = !names_a_file && ["passw", "pwd", "secret", "token"].iter().any(|word| key.contains(word));
        // A key that is told instead of its place, or an address with one in it.
        let key_itself = ["key", "url_env"].contains(&key.as_str()) || key.ends_with("_key");
        let query =
            ["key=", "token=", "secret="].iter().any(|word| value.contains(&format!("?{word}")) || value.contains(&format!("&{word}")));
        // user:password@host
        let login = value.contains('@') && (key == "url" || value.contains("://"));
        if secret || key_itself || query || login {
            return format!("{}= ***", &line[..i]);
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_quoted() {
        for line in [
            r#"password = "geheim", x = 1"#,
            r#"mqtt = { 'Password'='a"geheim', url = "mqtt://host" }"#,
            "password = geheim",
            r#"mqtt.password = """geheim"#,
            r#"password_env = "geheim""#,
            r#"url = "mqtt://heyun:ge/hei@m@host:1" # geheim"#,
            r#"broker = "mqtt://heyun:geheim@host""#,
            r#"url = "heyun:geheim@host""#,
            r#"url = "https://robot.example/send?key=geheim""#,
            r#"url_file = "https://robot.example/send?a=1&key=geheim""#,
            r#"{ kind = "wecom", url_env = "geheim" }"#,
            r#"key = "geheim""#,
        ] {
            let masked = mask(line);
            assert!(masked.ends_with("= ***") && !masked.contains("hei"), "{masked}");
        }
        for line in [r#"password_file = "/etc/x""#, r#"url = "mqtt://host:1""#, "a = 1"] {
            assert_eq!(mask(line), line);
        }
    }

    #[test]
    fn a_long_line_is_cut_around_the_mistake() {
        let line = format!("{}XX{}", "a".repeat(300), "b".repeat(300));
        let q = quote(&line, 301);
        assert!(q.contains("XX") && q.starts_with('…') && q.ends_with('…'), "{q}");
        assert_eq!(q.chars().count(), QUOTE_CHARS + 2);
    }
}
