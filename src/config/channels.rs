//! `[[channels]]`: the ways to tell people.

use super::credentials::SecretFrom;
use super::reader::{Field, Shape, Table};
use super::values::Wrong;
use super::values::slug;
use std::path::PathBuf;

pub(super) static CHANNELS: Shape = Shape {
    path: "channels[]",
    keys: &["name", "kind", "url", "url_file", "url_env", "secret_file", "secret_env", "language", "mention_mobiles", "mention_all"],
    hints: &[
        ("key", "url_file = \"FILE\": the robot's address with its key in it, or the key alone"),
        ("key_file", "url_file = \"FILE\": the robot's address with its key in it, or the key alone"),
        ("secret", "secret_file = \"FILE\" or secret_env = \"NAME\": a config file is copied and shown around"),
        ("mention", "mention_mobiles = [\"13800001111\"], or mention_all = true"),
        ("id", "name = \"…\""),
    ],
};

/// The most channels: each is a task that tells everything.
const MOST: usize = 16;

/// A way to tell people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Permanent: what waits for a channel hangs on it.
    pub name: String,
    pub kind: ChannelKind,
    pub language: Language,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    Webhook { url: Address, secret: Option<SecretFrom> },
    Wecom { url: SecretFrom, mention_mobiles: Vec<String>, mention_all: bool },
}

/// Where a program listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Written in the config: nothing in it is a secret.
    Plain(String),
    Kept(SecretFrom),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Chinese,
    English,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Webhook,
    Wecom,
}

/// None where one of them is wrong.
pub(super) fn channels(root: &Table<'_>) -> Option<Vec<Channel>> {
    let tables = root.tables("channels", &CHANNELS);
    if tables.len() > MOST
        && let Some(f) = root.get("channels")
    {
        f.wrong::<()>(format!("{} channels", tables.len()), format!("at most {MOST}"));
    }
    let mut names: Vec<(String, usize)> = vec![];
    let mut out = vec![];
    for t in &tables {
        let name = t.need("name", "name = \"office\"").and_then(|f| {
            let name = f.parsed(slug)?;
            if let Some((_, line)) = names.iter().find(|(n, _)| *n == name) {
                return f.wrong(format!("the name {name:?} stands in line {line} already"), "a name of its own for every channel");
            }
            names.push((name.clone(), f.line()));
            Some(name)
        });
        out.push(channel(t, name));
    }
    // A list that is no list was noted while it was read; so many wrong ones as there are is no reason to go on.
    out.into_iter().collect()
}

fn channel(t: &Table<'_>, name: Option<String>) -> Option<Channel> {
    let kind =
        t.need("kind", "kind = \"wecom\" or \"webhook\"").and_then(|f| f.choice(&[("webhook", Kind::Webhook), ("wecom", Kind::Wecom)]));
    let languages = [("zh", Language::Chinese), ("en", Language::English)];
    let language = t.get("language").map_or(Some(Language::Chinese), |f| f.choice(&languages));
    let kept = secret_from(t, "url_file", "url_env");
    let plain = t.get("url").map(|f| (f.parsed(plain_url), f));
    let secret = secret_from(t, "secret_file", "secret_env");
    let mobiles = t.get("mention_mobiles").map(|f| (f.texts(mobile), f));
    let all = t.get("mention_all").map(|f| (f.boolean(), f));
    let of_robots = "only a robot calls people by name: leave it out";
    let kind = match kind? {
        Kind::Webhook => {
            for (f, key) in mobiles.iter().map(|(_, f)| (f, "mention_mobiles")).chain(all.iter().map(|(_, f)| (f, "mention_all"))) {
                f.wrong::<()>(format!("`{key}` means nothing to a webhook"), of_robots);
            }
            let url = match (plain, kept) {
                (Some((_, f)), Some(_)) => f.wrong("the address is given twice", "one of url, url_file and url_env"),
                (Some((url, _)), None) => url.map(Address::Plain),
                (None, Some(kept)) => kept.map(Address::Kept),
                (None, None) => {
                    t.absent("url", "the address is missing", "url = \"https://…\", or url_file = \"FILE\" where it holds a secret");
                    None
                }
            };
            let secret = secret.map_or(Some(None), |s| s.map(Some));
            ChannelKind::Webhook { url: url?, secret: secret? }
        }
        Kind::Wecom => {
            let right = "url_file = \"/etc/heyun/wecom-url\": a file with the robot's address (or its key alone), or url_env = \"NAME\"";
            if let Some((_, f)) = plain {
                return f.wrong("the address of a robot holds its key", right);
            }
            if let Some(f) = t.get("secret_file").or_else(|| t.get("secret_env")) {
                return f.wrong("a robot of this kind signs nothing: its key is in its address", "leave it out");
            }
            let Some(url) = kept else {
                t.absent("url_file", "the robot's address is missing", right);
                return None;
            };
            let mention_mobiles = mobiles.map_or(Some(vec![]), |(m, _)| m);
            let mention_all = all.map_or(Some(false), |(a, _)| a);
            ChannelKind::Wecom { url: url?, mention_mobiles: mention_mobiles?, mention_all: mention_all? }
        }
    };
    Some(Channel { name: name?, kind, language: language? })
}

/// None: neither key is there. Some(None): one is there, and wrong.
fn secret_from(t: &Table<'_>, file: &'static str, env: &'static str) -> Option<Option<SecretFrom>> {
    let path = |f: Field<'_>| match f.text()? {
        s if s.contains("://") => {
            f.wrong("an address stands where the name of a file belongs", format!("{file} = \"/etc/heyun/…\", with the address in it"))
        }
        s => Some(SecretFrom::File(PathBuf::from(s))),
    };
    match (t.get(file), t.get(env)) {
        (Some(_), Some(second)) => Some(second.wrong(format!("`{file}` gives it already"), format!("one of {file} and {env}"))),
        (Some(f), None) => Some(path(f)),
        (None, Some(f)) => Some(f.parsed(super::credentials::variable).map(SecretFrom::Env)),
        (None, None) => None,
    }
}

fn plain_url(s: &str) -> Result<String, Wrong> {
    let right = "\"https://HOST/PATH\", or \"http://…\" within the house; url_file = \"FILE\" where it holds a secret";
    // What is wrong with it is not quoted: it may be a secret all the same.
    let (scheme, rest) = s.split_once("://").ok_or_else(|| Wrong::new("this is not an address", right))?;
    if !matches!(scheme, "http" | "https") {
        return Err(Wrong::new(format!("the scheme {scheme:?} is not spoken here"), right));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(Wrong::new("the address holds a user name or password", "url_file = \"FILE\""));
    }
    if authority.is_empty() || s.contains(char::is_whitespace) {
        return Err(Wrong::new("this is not an address", right));
    }
    Ok(s.to_owned())
}

fn mobile(s: &str) -> Result<String, Wrong> {
    let digits = s.strip_prefix('+').unwrap_or(s);
    if (5..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        Ok(s.to_owned())
    } else {
        Err(Wrong::new(format!("{s:?} is not a mobile number"), "digits in quotes: \"13800001111\""))
    }
}
