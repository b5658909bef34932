//! The config's words as each part's own settings.

use super::clock;
use super::error::Error;
use crate::config::{Config, Format, Mqtt, Subscription};
use crate::ingest::decode::{self, Pointer};
use crate::ingest::mqtt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;

/// What the MQTT thread is told. Reads the password and the certificate.
pub fn mqtt(config: &Config, m: &Mqtt) -> Result<mqtt::Settings, Error> {
    let credentials = m.credentials(&|name| std::env::var(name).ok())?;
    let ca = match &m.ca_file {
        Some(path) => Some(certificates(path)?),
        None => None,
    };
    Ok(mqtt::Settings {
        host: m.host.clone(),
        port: m.port,
        client_id: m.client_id.clone(),
        credentials: credentials.map(|c| (c.username, c.password.unwrap_or_default())),
        ca,
        subscriptions: m.subscriptions.iter().map(|s| subscription(config, s)).collect::<Result<_, _>>()?,
        since: config.topology.since,
        clock: clock::now_and_sure,
    })
}

/// The file's bytes, if there is a certificate in them: otherwise every connection would fail, and look like a broker that is away.
fn certificates(path: &Path) -> Result<Vec<u8>, Error> {
    let pem = std::fs::read(path).map_err(|source| Error::CaFile { path: path.to_owned(), source })?;
    match CertificateDer::pem_slice_iter(&pem).next() {
        Some(Ok(_)) => Ok(pem),
        _ => Err(Error::NoCertificate { path: path.to_owned() }),
    }
}

fn subscription(config: &Config, s: &Subscription) -> Result<mqtt::Subscription, Error> {
    let pointer = |p: &str| Pointer::parse(p).map_err(|e| Error::Subscription { name: s.name.clone(), what: format!("{p}: {e}") });
    let format = match &s.format {
        Format::Plain { unit } => decode::Format::Plain { unit: *unit },
        Format::Json { time, columns } => decode::Format::Json {
            time: time.as_deref().map(pointer).transpose()?,
            columns: columns
                .iter()
                .map(|c| Ok(decode::JsonColumn { pointer: pointer(&c.pointer)?, unit: c.unit }))
                .collect::<Result<_, Error>>()?,
        },
    };
    let spec = decode::Spec { feed: s.feed, format, tz: config.topology.tz.clone() };
    Ok(mqtt::Subscription { filter: s.filter.as_str().to_owned(), spec })
}
