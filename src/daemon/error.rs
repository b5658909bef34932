//! Why the daemon did not start, or ended by itself.

use crate::config::{CredentialsError, LoadError};
use crate::ingest::mqtt::StartError;
use crate::store::{CommitError, OpenError, ReadError};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] LoadError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("mqtt.ca_file: cannot read {}: {source}", .path.display())]
    CaFile { path: PathBuf, source: io::Error },
    #[error("mqtt.ca_file: {} holds no certificate: a PEM file with BEGIN CERTIFICATE would be right", .path.display())]
    NoCertificate { path: PathBuf },
    #[error("subscription {name:?}: {what}")]
    Subscription { name: String, what: String },
    #[error("channel {name:?}: its url {what}")]
    Channel { name: String, what: &'static str },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the stored state cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error("stored event {seq} cannot be read ({source}); was it written by a newer heyun?")]
    Event { seq: u64, source: serde_json::Error },
    #[error("web.listen: {addr} cannot be bound: {source}; is another heyun running, or another program on this port?")]
    Bind { addr: SocketAddr, source: io::Error },
    #[error(transparent)]
    Mqtt(#[from] StartError),
    #[error("no thread or runtime: {0}")]
    Thread(io::Error),
    #[error("the store failed for good: {0}")]
    Commit(#[from] CommitError),
    #[error("the stop came while the store could not be written ({0}); what was not stored comes again from the broker")]
    Uncommitted(CommitError),
    #[error("the stop came while the store could not be read ({0}); what was not stored comes again from the broker")]
    Unread(ReadError),
    #[error("web: {0}")]
    Web(io::Error),
    #[error("a part could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0} ended by itself; see the log above")]
    Died(&'static str),
    #[error("the stop took longer than {0} s; what was not stored comes again from the broker")]
    Slow(u64),
    #[error("stopped at once by a second signal; what was not committed will come again from the broker")]
    Interrupted,
}
