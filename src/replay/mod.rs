//! The very same domain over a history in CSV files: what would have been raised, and when.
//!
//! Rows are taken in order of arrival and nothing is known before its time: a register at its own time stamp, a mean flow at the end
//! of its span. The clock is the running maximum of those times, and it stops at every deadline of the engine in between.
//!
//! Reading order: [`meters`] and [`limits`] say which meters there are, [`rows`] and [`stamp`] read a file, [`merge`] joins several
//! files by their clocks, [`series`] and [`topology`] make of both what a config would say, [`past`] stands for the store,
//! [`alerts`] writes what was found, [`drive`] turns the wheel.

mod alerts;
mod drive;
mod error;
mod limits;
mod merge;
mod meters;
mod past;
mod report;
mod rows;
mod series;
mod stamp;
mod topology;

pub use error::{Error, Notice, Problem};
pub use report::{Report, Tally};

use crate::domain::time::Ts;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::time::Instant;

/// Readings with an earlier time stamp are refused: no meter is older, only clocks that were never set. The config's default.
pub const SINCE: Ts = Ts(1_262_304_000_000);

/// What to replay and where to write.
#[derive(Clone, Debug)]
pub struct Settings {
    pub meters: PathBuf,
    /// Each in order of arrival.
    pub readings: Vec<PathBuf>,
    pub alerts_out: PathBuf,
}

/// A bar over the bytes of these files on disk; hides itself where there is no terminal.
pub fn progress(settings: &Settings) -> ProgressBar {
    let bytes = settings.readings.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum();
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {bytes} of {total_bytes}  {elapsed} (still {eta})");
    let bar = ProgressBar::new(bytes);
    // The template is a constant; a wrong one would show as indicatif's own bar.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Replays. `tell` hears of everything that is odd but stops nothing, as it is met.
pub fn run(settings: &Settings, bar: &ProgressBar, tell: &mut dyn FnMut(Notice)) -> Result<Report, Error> {
    let began = Instant::now();
    let result = drive::run(settings, bar, tell);
    bar.finish_and_clear();
    let mut report = result?;
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}
