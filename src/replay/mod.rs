//! The very same domain over a history in CSV files: what would have been raised, and when.
//!
//! Rows are taken in order of arrival and nothing is known before its time: a register at its own time stamp, a mean flow at the end
//! of its span. The clock is the running maximum of those times, and it stops at every deadline of the engine in between.
//!
//! Whoever replays listens ([`Listener`]): the file of alerts, or a back-test that wants the findings themselves.
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

use crate::domain::finding::Finding;
use crate::domain::time::Ts;
use crate::domain::topology::Topology;
use alerts::Alerts;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
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

/// Who hears what a replay finds.
pub trait Listener {
    /// Meters and series are known, no row has been taken yet: what a config would say is here, and may be changed.
    fn begins(&mut self, topology: &mut Topology) -> Result<(), Error>;
    /// A rule spoke at `at`, and somebody would have been told.
    fn found(&mut self, at: Ts, finding: &Finding) -> Result<(), Error>;
    /// Something is odd but stops nothing.
    fn tell(&mut self, notice: Notice);
    /// Asked every few hundred rows; false ends the replay with [`Error::Stopped`].
    fn goes_on(&mut self, rows: u64) -> bool;
}

/// Bytes of these files on disk.
pub fn bytes(readings: &[PathBuf]) -> u64 {
    readings.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum()
}

/// A bar over the bytes of these files on disk; hides itself where there is no terminal.
pub fn progress(settings: &Settings) -> ProgressBar {
    let bytes = bytes(&settings.readings);
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {bytes} of {total_bytes}  {elapsed} (still {eta})");
    let bar = ProgressBar::new(bytes);
    // The template is a constant; a wrong one would show as indicatif's own bar.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Replays. `tell` hears of everything that is odd but stops nothing, as it is met.
pub fn run(settings: &Settings, bar: &ProgressBar, tell: &mut dyn FnMut(Notice)) -> Result<Report, Error> {
    let mut file = ToFile { path: &settings.alerts_out, alerts: None, tell };
    let result = listen(&settings.meters, &settings.readings, bar, &mut file);
    bar.finish_and_clear();
    result
}

/// Replays for whoever listens. `bar` follows the bytes on disk.
pub fn listen(meters: &Path, readings: &[PathBuf], bar: &ProgressBar, listener: &mut dyn Listener) -> Result<Report, Error> {
    let began = Instant::now();
    let mut report = drive::run(meters, readings, bar, listener)?;
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

/// Writes the file of alerts. It is begun only when the list of meters was right.
struct ToFile<'a> {
    path: &'a Path,
    alerts: Option<Alerts>,
    tell: &'a mut dyn FnMut(Notice),
}

impl Listener for ToFile<'_> {
    fn begins(&mut self, _: &mut Topology) -> Result<(), Error> {
        self.alerts = Some(Alerts::create(self.path)?);
        Ok(())
    }

    fn found(&mut self, at: Ts, finding: &Finding) -> Result<(), Error> {
        let Some(alerts) = &mut self.alerts else { return Ok(()) };
        alerts.write(at, &finding.point, finding.kind.code())?;
        // Findings are rare: whoever breaks off has what was found up to there.
        alerts.flush()
    }

    fn tell(&mut self, notice: Notice) {
        (self.tell)(notice);
    }

    fn goes_on(&mut self, _: u64) -> bool {
        true
    }
}
