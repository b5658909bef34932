//! `heyun store`: which database is meant, and a file for each command.

mod backup;
mod check;
mod findings;
mod restore;
mod stats;

use super::args::StoreCommand;
use super::{Error, config};
use crate::store::{Settings, Step};
use indicatif::{ProgressBar, ProgressStyle};
use std::ops::ControlFlow;
use std::path::PathBuf;

pub fn run(command: &StoreCommand) -> Result<(), Error> {
    match command {
        StoreCommand::Check(c) => check::run(c),
        StoreCommand::Backup(b) => backup::run(b),
        StoreCommand::Restore(r) => restore::run(r),
        StoreCommand::Stats(s) => stats::run(s),
    }
}

/// A file, or the one that a config names. The grammar sees to it that one of the two is there.
fn settings(file: Option<&PathBuf>, config: Option<&PathBuf>) -> Result<Settings, Error> {
    let path = match (file, config) {
        (Some(path), _) => path.clone(),
        (None, Some(config)) => config::file(config)?.config().store.path.clone(),
        (None, None) => return Err(Error::NoDatabase),
    };
    Ok(Settings { path })
}

/// Shows on a terminal how far a copy is.
struct Bar(ProgressBar);

impl Bar {
    /// Hides itself where stderr is no terminal.
    fn new() -> Bar {
        let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {bytes} of {total_bytes}  {msg}");
        let bar = ProgressBar::new(0);
        // The template is a constant; a wrong one would show as indicatif's own bar.
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Bar(bar)
    }

    fn step(&self, step: Step) -> ControlFlow<()> {
        match step {
            Step::Copying { done, of } => {
                self.0.set_length(of);
                self.0.set_position(done);
            }
            Step::Verifying => self.0.set_message("reading it again"),
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
