//! The config's words as each part's own settings.

use super::clock;
use super::error::Error;
use crate::announce;
use crate::broker::Broker;
use crate::config::{Address, Channel, ChannelKind, Config, Language, Mqtt, Subscription};
use crate::domain::device::Says;
use crate::ingest::decode::Spec;
use crate::ingest::mqtt;
use crate::notify::{self, Secret};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use tracing::warn;

/// What the MQTT thread is told. Reads the password and the certificate.
pub fn mqtt(config: &Config, m: &Mqtt) -> Result<mqtt::Settings, Error> {
    Ok(mqtt::Settings {
        broker: broker(m)?,
        subscriptions: subscriptions(config, m),
        former: vec![],
        since: config.topology.since,
        clock: clock::now_and_sure,
    })
}

/// Where the broker is, and how the daemon introduces itself.
pub fn broker(m: &Mqtt) -> Result<Broker, Error> {
    let credentials = m.credentials(&|name| std::env::var(name).ok())?;
    let ca = match &m.ca_file {
        Some(path) => Some(certificates(path)?),
        None => None,
    };
    Ok(Broker {
        host: m.host.clone(),
        port: m.port,
        client_id: m.client_id.clone(),
        credentials: credentials.map(|c| (c.username, c.password.unwrap_or_default())),
        ca,
    })
}

/// What the announcer is told, where the config wants one: the same broker, under a name of its own.
pub fn announce(m: &Mqtt, same: &mqtt::Settings) -> Option<announce::Settings> {
    let prefix = m.announce.clone()?;
    let client_id = format!("{}-announce", same.broker.client_id);
    Some(announce::Settings { broker: Broker { client_id, ..same.broker.clone() }, prefix })
}

/// Where a robot's key belongs, if the key alone is given.
const WECOM: &str = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=";

/// The ways to tell people, with their addresses and keys.
pub fn channels(config: &Config) -> Result<Vec<notify::Settings>, Error> {
    config.channels.iter().map(channel).collect()
}

fn channel(c: &Channel) -> Result<notify::Settings, Error> {
    let wrong = |what| Error::Channel { name: c.name.clone(), what };
    let env = |name: &str| std::env::var(name).ok();
    let key = |what: &str| format!("channels.{}.{what}", c.name);
    let (url, form) = match &c.kind {
        ChannelKind::Webhook { url, secret } => {
            let url = match url {
                Address::Plain(url) => url.clone(),
                Address::Kept(from) => from.read(&key("url"), &env)?,
            };
            let secret = secret.as_ref().map(|s| s.read(&key("secret"), &env)).transpose()?;
            (url, notify::Form::Webhook { secret: secret.map(Secret::new) })
        }
        ChannelKind::Wecom { url, mention_mobiles, mention_all } => {
            let text = url.read(&key("url"), &env)?;
            let is_key = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let url = if is_key { format!("{WECOM}{text}") } else { text };
            if !url.contains("key=") {
                return Err(wrong("holds neither a robot's address (https://…?key=…) nor its key"));
            }
            (url, notify::Form::Wecom { mentions: notify::Mentions { mobiles: mention_mobiles.clone(), all: *mention_all } })
        }
    };
    if !(url.starts_with("https://") || url.starts_with("http://")) || url.contains(char::is_whitespace) {
        return Err(wrong("is no address: https://… would be right, and nothing else in it"));
    }
    if url.starts_with("http://") {
        warn!(channel = %c.name, "http: whoever is on the way can read and change what this channel tells; https would be better");
    }
    let language = match c.language {
        Language::Chinese => notify::Language::Chinese,
        Language::English => notify::Language::English,
    };
    Ok(notify::Settings { name: c.name.as_str().into(), url: Secret::new(url), form, language })
}

/// The file's bytes, if there is a certificate in them: otherwise every connection would fail, and look like a broker that is away.
fn certificates(path: &Path) -> Result<Vec<u8>, Error> {
    let pem = std::fs::read(path).map_err(|source| Error::CaFile { path: path.to_owned(), source })?;
    match CertificateDer::pem_slice_iter(&pem).next() {
        Some(Ok(_)) => Ok(pem),
        _ => Err(Error::NoCertificate { path: path.to_owned() }),
    }
}

/// What is heard, and how it is read.
pub fn subscriptions(config: &Config, m: &Mqtt) -> Vec<mqtt::Subscription> {
    m.subscriptions.iter().flat_map(|s| subscription(config, s)).collect()
}

/// One for each filter of a subscription.
fn subscription<'a>(config: &'a Config, s: &'a Subscription) -> impl Iterator<Item = mqtt::Subscription> + 'a {
    s.heard.iter().map(|heard| {
        let spec = Spec::new(s.feed, config.topology.tz.clone(), &s.profile, heard.messages.iter().copied());
        // A word about presence that names no device speaks of all.
        let of = |i: &usize| s.profile.messages.get(*i).is_some_and(|m| matches!(m.says, Says::Presence { .. }));
        let of_all = heard.source.has_device() && !heard.filter.has_device() && heard.messages.iter().all(of);
        let source = (!of_all).then(|| heard.source.as_str().to_owned());
        mqtt::Subscription { filter: heard.filter.as_str().to_owned(), source, spec }
    })
}
