//! What was: stored readings, folded by the ledger that the rules use, as volumes over time.
//!
//! [`Register`] says where a point's register stands in the store; [`intervals`] tells reading by reading what flowed, [`passed`] how much
//! in a span, [`buckets`] how much in each hour or day of it; an [`Account`] takes the rows of one point from a caller who reads those of all.
//! Late readings fall into place here, because rows are read by their own time; the running ledger took them in order of
//! arrival and moved no total for them. So the flow of a day that is over may be finer than what the rules saw, never another volume.
//!
//! Domain values in and out, no words and no formats. Who calls: web, export and notify, from threads that may block.

mod account;
mod buckets;
mod days;
mod historian;
mod intervals;
mod leak;
mod ledger;
mod picture;
mod register;
mod share;
mod tally;
mod today;
mod totals;
mod walk;

pub use account::{Account, Ignored, Interval, Kind, Taken, Why};
pub use buckets::{Scale, buckets};
pub use historian::{Historian, Step, StepError, settle};
pub use intervals::{Intervals, Passed, intervals, passed};
pub use leak::{SinceStart, since_start};
pub use ledger::entries;
pub use picture::{Picture, picture};
pub use register::Register;
pub use tally::Bucket;
pub use today::{Basis, Head, USUAL_DAYS, Water};
pub use totals::{Period, PointTotals, Total, Totals, totals};

use crate::domain::time::Ts;

/// A half-open span of time: `from` belongs to it, `to` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Ts,
    pub to: Ts,
}
