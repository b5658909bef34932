//! `heyun store`: which database is meant, and a file for each command.

mod stats;

use super::Error;
use super::args::{Database, StoreCommand};
use crate::config;
use crate::store::Settings;

pub fn run(command: &StoreCommand) -> Result<(), Error> {
    match command {
        StoreCommand::Stats(s) => stats::run(s),
    }
}

/// The grammar sees to it that one of the two is there.
fn settings(database: &Database) -> Result<Settings, Error> {
    let path = match (&database.store, &database.config) {
        (Some(path), _) => path.clone(),
        (None, Some(config)) => config::load(config).map_err(|e| Error::config(config, e))?.store.path,
        (None, None) => return Err(Error::NoDatabase),
    };
    Ok(Settings { path })
}
