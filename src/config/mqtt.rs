//! `[mqtt]`: the broker and the way in.

use super::credentials::{CredentialsError, SecretFrom, variable};
use super::devices::Catalogue;
use super::reader::{Field, Shape, Table};
use super::subscriptions::{self, Subscription};
use super::topics::{Filter, topic};
use super::values::{Parsed, Wrong};
use crate::domain::announce;
use std::fmt;
use std::path::PathBuf;

pub(super) static MQTT: Shape = Shape {
    path: "mqtt",
    keys: &["url", "client_id", "username", "password_file", "password_env", "ca_file", "announce", "subscriptions"],
    hints: &[
        ("password", "password_file = \"/etc/heyun/mqtt-password\" or password_env = \"NAME\": a config file is copied and shown around"),
        ("host", "url = \"mqtt://HOST:1883\""),
        ("port", "url = \"mqtt://HOST:1883\""),
        ("topic", "[[mqtt.subscriptions]] with name, topic, format and unit"),
    ],
};

/// How the broker is reached. Messages come with QoS 1; this is not a setting, because acknowledged means stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Mqtt {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    /// The certificates to trust; always there with TLS.
    pub ca_file: Option<PathBuf>,
    pub login: Option<Login>,
    /// Stable, because the broker keeps our session under it while we are away.
    pub client_id: String,
    /// Home Assistant's discovery prefix. None: our meters are not announced.
    pub announce: Option<String>,
    pub subscriptions: Vec<Subscription>,
}

/// How the gateway introduces itself to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    pub password: Option<SecretFrom>,
}

/// A user name and the password to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: Option<String>,
}

/// The password stays out of logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Mqtt {
    /// Reads the password. Only for the daemon's start: a check of the config must work without the right to see it.
    pub fn credentials(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Credentials>, CredentialsError> {
        let Some(login) = &self.login else { return Ok(None) };
        let password = login.password.as_ref().map(|p| p.read("mqtt.password", env)).transpose()?;
        Ok(Some(Credentials { username: login.username.clone(), password }))
    }
}

/// `[mqtt]` without its subscriptions, which are read on their own. None where it is wrong.
pub(super) fn mqtt(t: &Table<'_>, gateway: Option<&str>, subscriptions: Option<Vec<Subscription>>) -> Option<Mqtt> {
    let url_field = t.need("url", "url = \"mqtt://127.0.0.1:1883\"");
    let url = url_field.as_ref().and_then(|f| f.parsed(url));
    let login = login(t);
    let ca_file = ca_file(t, url.as_ref());
    let default_id = || gateway.map(|g| format!("heyun-{g}"));
    let client_id = t.get("client_id").map_or_else(default_id, |f| f.parsed(client_id));
    let announce = t.get("announce").map_or(Some(None), |f| announce(&f, gateway?, subscriptions.as_deref()?).map(Some));
    let url = url?;
    Some(Mqtt {
        host: url.host,
        port: url.port,
        tls: url.tls,
        ca_file: ca_file?,
        login: login?,
        client_id: client_id?,
        announce: announce?,
        subscriptions: subscriptions?,
    })
}

struct Url {
    host: String,
    port: u16,
    tls: bool,
}

fn url(s: &str) -> Result<Url, Wrong> {
    let right = "\"mqtt://HOST:1883\", or \"mqtts://HOST:8883\" with TLS";
    let wrong = |what: String| Wrong::new(what, right);
    if s.contains('@') {
        let right = "username = \"…\" and password_file = \"…\" beside a URL without them";
        return Err(Wrong::new("the URL holds a user name or password", right));
    }
    let (scheme, rest) = s.split_once("://").ok_or_else(|| wrong(format!("{s:?} is not a URL")))?;
    let tls = match scheme {
        "mqtt" => false,
        "mqtts" => true,
        other => return Err(wrong(format!("the scheme {other:?} is not spoken here"))),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if let Some(i) = authority.find(['/', '?', '#']) {
        return Err(wrong(format!("{:?} behind the host means nothing to a broker", &authority[i..])));
    }
    // An IPv6 address stands in brackets, as in every URL.
    let (host, port) = match authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => authority.split_once(':').map_or((authority, None), |(h, p)| (h, Some(p))),
    };
    let port = match port {
        None => Ok(if tls { 8883 } else { 1883 }),
        Some(p) => p.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(|| wrong(format!("{p:?} is not a port"))),
    }?;
    let v6 = host.contains(':');
    let good = if v6 {
        host.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    if host.is_empty() || !good {
        return Err(wrong(format!("{host:?} is not a host")));
    }
    Ok(Url { host: host.to_owned(), port, tls })
}

fn client_id(s: &str) -> Result<String, Wrong> {
    if s.len() <= 128 { Ok(s.to_owned()) } else { Err(Wrong::new(format!("the client id is {} bytes long", s.len()), "at most 128 bytes")) }
}

/// A gateway that heard its own words would take its meters for devices.
fn announce(f: &Field<'_>, gateway: &str, subscriptions: &[Subscription]) -> Option<String> {
    let prefix = f.parsed(prefix)?;
    for own in announce::filters(&prefix, gateway).map(Filter::of) {
        let heard = subscriptions.iter().flat_map(|s| s.heard.iter().map(move |h| (s, h))).find(|(_, h)| h.filter.overlaps(&own));
        if let Some((s, h)) = heard {
            return f.dangling(
                format!("the subscription {:?} hears {}, and so what is announced as {}", s.name, h.filter.as_str(), own.as_str()),
                "a narrower topic there",
            );
        }
    }
    Some(prefix)
}

fn prefix(s: &str) -> Parsed<String> {
    let right = "the discovery prefix of Home Assistant: \"homeassistant\"";
    match topic(s) {
        Ok(prefix) if !prefix.is_empty() && !prefix.starts_with('/') && !prefix.ends_with('/') => Ok(prefix),
        _ => Err(Wrong::new(format!("{s:?} is no prefix"), right)),
    }
}

/// Some(None): no login. None: it is wrong.
fn login(t: &Table<'_>) -> Option<Option<Login>> {
    let (user, file, env) = (t.get("username"), t.get("password_file"), t.get("password_env"));
    if let (Some(_), Some(second)) = (&file, &env) {
        return second.wrong("`password_file` gives the password already", "one of password_file and password_env");
    }
    if let (None, Some(password)) = (&user, file.as_ref().or(env.as_ref())) {
        password.dangling::<()>("a password without a user name", "username = \"…\" as well");
    }
    let username = user.map(|f| f.text());
    let file = file.map(|f| f.text().map(|s| SecretFrom::File(PathBuf::from(s))));
    let env = env.map(|f| f.parsed(variable).map(SecretFrom::Env));
    let password = file.or(env).map_or(Some(None), |p| p.map(Some));
    match username {
        Some(username) => Some(Some(Login { username: username?.to_owned(), password: password? })),
        None => password.map(|_| None),
    }
}

fn ca_file(t: &Table<'_>, url: Option<&Url>) -> Option<Option<PathBuf>> {
    let path = |f: Field<'_>| f.text().map(PathBuf::from);
    match (t.get("ca_file"), url) {
        (Some(f), Some(url)) if !url.tls => f.wrong("`ca_file` means nothing without TLS", "url = \"mqtts://…\", or no ca_file"),
        (Some(f), _) => path(f).map(Some),
        (None, Some(url)) if url.tls => {
            t.absent(
                "ca_file",
                "`ca_file` is missing: with mqtts:// nothing is trusted by default",
                "ca_file = \"/etc/ssl/certs/ca-certificates.crt\", or the broker's own CA",
            );
            None
        }
        (None, _) => Some(None),
    }
}

/// What `[[mqtt.subscriptions]]` holds, as far as it can be read.
pub(super) fn drafts<'d>(t: &Table<'d>, catalogue: &Catalogue) -> Vec<subscriptions::Draft<'d>> {
    let right = "[[mqtt.subscriptions]] with name and profile, or name, topic, format and unit: without one, nothing is heard";
    if let Some(f) = t.need("subscriptions", right).filter(super::reader::Field::is_empty_list) {
        f.dangling::<()>("the list is empty", right);
    }
    subscriptions::drafts(&t.tables("subscriptions", &subscriptions::SUBSCRIPTIONS), catalogue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_brokers() {
        let u = |s| url(s).map(|u| (u.host, u.port, u.tls)).ok();
        assert_eq!(u("mqtt://127.0.0.1:1884"), Some(("127.0.0.1".into(), 1884, false)));
        assert_eq!(u("mqtts://broker.example"), Some(("broker.example".into(), 8883, true)));
        assert_eq!(u("mqtt://[::1]:1883/"), Some(("::1".into(), 1883, false)));
        for bad in [
            "",
            "127.0.0.1:1883",
            "tcp://a",
            "mqtt://",
            "mqtt://a:0",
            "mqtt://a:b",
            "mqtt://a/b",
            "mqtt://u:p@a",
            "mqtt://a b",
            "mqtt://::1",
            "mqtt://[::1",
        ] {
            assert_eq!(u(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_password_comes_from_a_file_or_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pw"), "geheim \r\n").unwrap();
        std::fs::write(dir.path().join("empty"), "\n").unwrap();
        let mqtt = |password| Mqtt {
            host: String::new(),
            port: 1,
            tls: false,
            ca_file: None,
            login: Some(Login { username: "heyun".into(), password }),
            client_id: String::new(),
            announce: None,
            subscriptions: vec![],
        };
        let home = dir.path().to_str().unwrap().to_owned();
        let env = |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => Some(home.clone()),
            "PW" => Some("x".to_owned()),
            _ => None,
        };
        let get = |from| mqtt(Some(from)).credentials(&env).map(|c| c.and_then(|c| c.password)).map_err(|e| e.to_string());
        assert_eq!(get(SecretFrom::File(dir.path().join("pw"))), Ok(Some("geheim ".into())));
        assert_eq!(get(SecretFrom::File("$CREDENTIALS_DIRECTORY/pw".into())), Ok(Some("geheim ".into())));
        assert_eq!(get(SecretFrom::Env("PW".into())), Ok(Some("x".into())));
        assert!(get(SecretFrom::Env("NOPE".into())).is_err());
        assert!(get(SecretFrom::File(dir.path().join("empty"))).is_err());
        assert!(get(SecretFrom::File(dir.path().join("none"))).is_err());
        let all = mqtt(Some(SecretFrom::Env("PW".into()))).credentials(&|_| Some("geheim".into())).unwrap();
        assert!(!format!("{all:?}").contains("geheim"));
    }
}
