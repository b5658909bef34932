//! `heyun run`.

use super::Error;
use crate::daemon;
use std::path::Path;

pub fn run(path: &Path) -> Result<(), Error> {
    daemon::run(path).map_err(|e| match e {
        daemon::Error::Config(e) => Error::config(path, e),
        e => Error::Daemon(e),
    })
}
