//! Why a back-test came to nothing.

use crate::domain::time::Ts;
use crate::replay;
use crate::store::ReadError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Of what was asked for nothing is stored.
    #[error("no reading is stored from {from} to {to}")]
    Nothing { from: Ts, to: Ts },
    #[error("no reading is stored")]
    Empty,
    /// Somebody ended it.
    #[error("stopped")]
    Stopped,
    /// The files cannot be read; in the words of `heyun replay`, with the names that they were uploaded by.
    #[error("{0}")]
    Files(String),
    #[error(transparent)]
    Store(#[from] ReadError),
}

impl Error {
    /// `folder` is ours, and nobody's business.
    pub(super) fn of_replay(e: replay::Error, folder: &str) -> Error {
        match e {
            replay::Error::Stopped => Error::Stopped,
            e => {
                let why = std::error::Error::source(&e).map(|s| format!(": {s}")).unwrap_or_default();
                Error::Files(format!("{e}{why}").replace(folder, ""))
            }
        }
    }
}
