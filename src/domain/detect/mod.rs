//! Rules that turn volumes into findings.
//!
//! A rule's state changes by readings alone, so that folding the stored readings gives it again. What time alone brings about
//! (silence) is remembered by the incident's events instead; see [`silence`].

pub mod balance;
pub mod heat;
pub mod home;
pub mod hourly;
pub mod learned;
pub mod least;
pub mod monthly;
pub mod picture;
pub mod sight;
pub mod silence;
mod steps;
pub mod sudden;

use super::finding::{FindingKind, Mark, StartRange};
use super::time::{Ms, Ts};
use super::units::Amount;

/// A finding that was over this long before it was found is only recorded.
pub const HISTORIC_AFTER: Ms = Ms::hours(24);

/// Water that passed between two accepted readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    pub from: Mark,
    pub to: Mark,
    pub volume: Amount,
}

/// Whether what a rule says is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    First,
    /// It spoke before, and it has grown by half since.
    Grown,
    /// It spoke a day ago, and nothing has changed. Only worth hearing if somebody has closed the matter since.
    Still,
}

impl News {
    /// What it is to say something at `at`, after what was `told`; None on the day on which it was told, unless it is news.
    fn of<T: Copy>(told: Option<(T, Ts)>, at: Ts, is_news: impl Fn((T, Ts)) -> bool) -> Option<News> {
        match told {
            None => Some(News::First),
            Some(before) if is_news(before) => Some(News::Grown),
            Some((_, said)) => (at - said >= Ms::days(1)).then_some(News::Still),
        }
    }
}

/// What the rule says: its arguments, the range of the start, the readings.
pub struct Said {
    pub kind: FindingKind,
    pub start: StartRange,
    pub news: News,
    pub evidence: Vec<Mark>,
}

/// True if an excess that was reported at `before` is worth another word at `now`: it has grown by half.
fn grown_by_half(before: Amount, now: Amount) -> bool {
    now.0 >= before.0.saturating_add(before.0 / 2)
}
