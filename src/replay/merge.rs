//! Several files as one stream, by their clocks: each file keeps its own order, and of two files that one goes on whose clock (the
//! running maximum of known times) is behind; equal clocks go in the order of the command line.

use super::Error;
use super::rows::{Item, Row, Rows};
use super::series::SeriesTable;
use crate::domain::reading::Reject;
use crate::domain::time::{Ms, Ts};
use indicatif::ProgressBar;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// The most rows of a file that are read before the first is handed on, to learn what the meters measure.
const LOOK_AHEAD: usize = 100_000;

/// A single stamp that jumps further than this ahead of the rows before and after it comes of a wrong clock. It would carry the
/// replay's own clock away with it; the daemon has the system's clock to judge by.
const LEAP: Ms = Ms::days(31);

/// So many unreadable rows are skipped to find the row after a leap.
const BAD_SKIPPED: usize = 100;

/// The files of a replay.
pub struct Merge {
    inputs: Vec<Input>,
}

struct Input {
    rows: Rows,
    /// Read, but not yet due.
    ahead: VecDeque<Item>,
    /// What stopped the reading; told when the rows before it are through.
    failed: Option<Error>,
    /// The file's clock.
    reached: Option<Ts>,
    /// The next item; None at the end or when it was not asked for yet.
    head: Option<Item>,
}

impl Merge {
    pub fn open(paths: &[PathBuf], bar: &ProgressBar) -> Result<Merge, Error> {
        let open = |p: &PathBuf| Ok(Input { rows: Rows::open(p, bar)?, ahead: VecDeque::new(), failed: None, reached: None, head: None });
        Ok(Merge { inputs: paths.iter().map(open).collect::<Result<_, Error>>()? })
    }

    /// Reads until `enough` says so, or [`LOOK_AHEAD`] rows of each file. Nothing is lost: the rows come by [`Merge::next`].
    pub fn look_ahead(&mut self, series: &mut SeriesTable, enough: impl Fn(&SeriesTable) -> bool) {
        for input in &mut self.inputs {
            while input.ahead.len() < LOOK_AHEAD && (input.ahead.len() % 64 != 0 || !enough(series)) {
                if !input.read_one_ahead(series) {
                    break;
                }
            }
        }
    }

    /// The next item and its file.
    pub fn next(&mut self, series: &mut SeriesTable) -> Result<Option<(usize, Item)>, Error> {
        if let [only] = &mut *self.inputs {
            return Ok(only.next(series)?.map(|i| (0, i)));
        }
        for input in self.inputs.iter_mut().filter(|i| i.head.is_none()) {
            input.head = input.next(series)?;
        }
        // Of equals `min_by_key` takes the first.
        let next = self.inputs.iter_mut().enumerate().filter(|(_, i)| i.head.is_some()).min_by_key(|(_, i)| i.reached);
        Ok(next.and_then(|(at, i)| Some((at, i.head.take()?))))
    }

    pub fn path(&self, file: usize) -> &Path {
        &self.inputs[file].rows.path
    }
}

impl Input {
    fn next(&mut self, series: &mut SeriesTable) -> Result<Option<Item>, Error> {
        let row = match self.pull(series)? {
            Some(Item::Row(row)) => row,
            other => return Ok(other),
        };
        if self.reached.is_none_or(|r| row.known - r > LEAP)
            && let Some(next) = self.next_row(series)
            && row.known - next.known > LEAP
        {
            let now = self.reached.unwrap_or(next.known);
            return Ok(Some(Item::Bad { line: row.line, reason: Reject::TimeAhead { ts: row.ts, now } }));
        }
        self.reached = self.reached.max(Some(row.known));
        Ok(Some(Item::Row(row)))
    }

    fn pull(&mut self, series: &mut SeriesTable) -> Result<Option<Item>, Error> {
        match (self.ahead.pop_front(), self.failed.take()) {
            (Some(item), failed) => {
                self.failed = failed;
                Ok(Some(item))
            }
            (None, Some(e)) => Err(e),
            (None, None) => self.rows.next(series),
        }
    }

    /// The first row that was understood after the current one.
    fn next_row(&mut self, series: &mut SeriesTable) -> Option<Row> {
        for i in 0..BAD_SKIPPED {
            if i == self.ahead.len() && !self.read_one_ahead(series) {
                return None;
            }
            if let Some(Item::Row(row)) = self.ahead.get(i) {
                return Some(*row);
            }
        }
        None
    }

    /// False at the end.
    fn read_one_ahead(&mut self, series: &mut SeriesTable) -> bool {
        if self.failed.is_some() {
            return false;
        }
        match self.rows.next(series) {
            Ok(Some(item)) => {
                self.ahead.push_back(item);
                return true;
            }
            Ok(None) => {}
            Err(e) => self.failed = Some(e),
        }
        false
    }
}
