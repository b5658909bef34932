//! How much passed today, and how much passes on a usual day until the same time.
//!
//! One pass over the rows of the last days serves all meters that are asked for; what it brings is good for a quarter of an hour, and today
//! goes on from where it ended. It passes over the rows of all sources: 8 days of 150 meters at 15 minutes are 115 000.

use super::Span;
use super::account::{Account, Interval};
use super::register::Register;
use super::share::{overlap, share};
use crate::domain::meter::Ledger;
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::{Day, Ms, Ts};
use crate::domain::topology::{PointIx, Topology};
use crate::domain::units::Amount;
use crate::store::{ReadError, Reader};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// How many days before today are looked at.
pub const USUAL_DAYS: usize = 7;

const QUARTER: Ms = Ms::minutes(15);

/// Before the first day, for the ledgers to begin; and after the last, for an interval that reaches over its end.
const MARGIN: Ms = Ms::hours(2);

/// A meter's clock may run ahead of ours.
const AHEAD: Ms = Ms::hours(1);

/// A meter that is asked for.
pub type Head = (PointIx, Register);

/// How much passed through a meter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Water {
    /// Since local midnight, as far as it was read; None where nothing was.
    pub today: Option<Amount>,
    /// Until the same time of each of the days before, yesterday first; None where a tenth of that time or more is not known.
    pub before: [Option<Amount>; USUAL_DAYS],
}

/// What the days before say, with the ledgers as they stood at midnight.
#[derive(Clone, Debug)]
pub struct Basis {
    day: Day,
    /// The quarter of an hour of the day, since midnight, that it is good for.
    quarter: (Ms, Ms),
    heads: Vec<Head>,
    ledgers: Vec<Ledger>,
    before: Vec<[Part; USUAL_DAYS]>,
}

/// What passed on a day until the beginning and until the end of the quarter.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    begun: Amount,
    over: Amount,
    known: Ms,
}

impl Basis {
    pub fn of(reader: &Reader, topology: &Topology, heads: &[Head], now: Ts) -> Result<Basis, ReadError> {
        let day = Day::of(now, &topology.tz);
        let begun = Ms((now - day.from).0.div_euclid(QUARTER.0) * QUARTER.0);
        let quarter = (begun, Ms(begun.0 + QUARTER.0));
        let mut days = [day; USUAL_DAYS];
        let mut later = day;
        for d in &mut days {
            *d = Day::of(later.from - Ms(1), &topology.tz);
            later = *d;
        }
        let mut accounts = accounts(topology, heads, None);
        let mut before = vec![[Part::default(); USUAL_DAYS]; heads.len()];
        let mut ledgers = None;
        let span = Span { from: later.from - MARGIN, to: day.from + MARGIN };
        each(reader, &mut accounts, span, |accounts, row, at| {
            if row.ts >= day.from && ledgers.is_none() {
                ledgers = Some(standing(accounts));
            }
            accounts[at].each(row, &mut |i| before[at].iter_mut().zip(&days).for_each(|(part, d)| part.add(&i, *d, quarter)));
        })?;
        let ledgers = ledgers.unwrap_or_else(|| standing(&accounts));
        Ok(Basis { day, quarter, heads: heads.to_vec(), ledgers, before })
    }

    /// It is still what [`Basis::of`] would tell, but for rows that came late for the days before.
    pub fn holds(&self, heads: &[Head], now: Ts) -> bool {
        let since = now - self.day.from;
        self.quarter.0 <= since && since < self.quarter.1 && now < self.day.to && self.heads == heads
    }

    /// For each head, in their order. `now` must be in the quarter.
    pub fn water(&self, reader: &Reader, topology: &Topology, now: Ts) -> Result<Vec<Water>, ReadError> {
        let today = Span { from: self.day.from, to: now };
        let mut accounts = accounts(topology, &self.heads, Some(&self.ledgers));
        let mut out: Vec<Water> = self.before.iter().map(|parts| self.until(parts, now)).collect();
        each(reader, &mut accounts, Span { from: today.from, to: now + AHEAD }, |accounts, row, at| {
            accounts[at].each(row, &mut |i| {
                if let Some(volume) = i.volume.filter(|_| i.from < today.to && i.to > today.from) {
                    out[at].today = Some(out[at].today.unwrap_or_default() + share(&i, volume, today));
                }
            });
        })?;
        Ok(out)
    }

    fn until(&self, parts: &[Part; USUAL_DAYS], now: Ts) -> Water {
        let (long, gone) = (self.quarter.1 - self.quarter.0, now - self.day.from - self.quarter.0);
        let at = |p: &Part| {
            let known = p.known.0.saturating_mul(10) > self.quarter.1.0.saturating_mul(9);
            known.then(|| p.begun + (p.over - p.begun).scaled(gone.0, long.0))
        };
        Water { today: None, before: std::array::from_fn(|i| at(&parts[i])) }
    }
}

impl Part {
    fn add(&mut self, i: &Interval, day: Day, quarter: (Ms, Ms)) {
        let until = |ms: Ms| Span { from: day.from, to: (day.from + ms).min(day.to) };
        if i.to <= day.from || i.from >= until(quarter.1).to {
            return;
        }
        if let Some(volume) = i.volume {
            self.begun += share(i, volume, until(quarter.0));
            self.over += share(i, volume, until(quarter.1));
            self.known = Ms(self.known.0 + overlap(i, until(quarter.1)).0);
        }
    }
}

fn accounts<'a>(topology: &'a Topology, heads: &[Head], ledgers: Option<&[Ledger]>) -> Vec<Account<'a>> {
    let begin = |i: usize| ledgers.and_then(|l| l.get(i)).cloned().unwrap_or_default();
    let account =
        |(i, (point, register)): (usize, &Head)| Account::resume(&topology.point(*point).meter, register.clone(), topology.since, begin(i));
    heads.iter().enumerate().map(account).collect()
}

fn standing(accounts: &[Account<'_>]) -> Vec<Ledger> {
    accounts.iter().map(|a| a.ledger().clone()).collect()
}

/// One pass over all rows of the span: `f` is told the position of each account that a row is for.
fn each<'a>(
    reader: &Reader,
    accounts: &mut [Account<'a>],
    span: Span,
    mut f: impl FnMut(&mut [Account<'a>], &Row, usize),
) -> Result<(), ReadError> {
    let mut of: HashMap<SourceId, Vec<usize>> = HashMap::new();
    for (i, a) in accounts.iter().enumerate() {
        of.entry(a.register().source).or_default().push(i);
    }
    if of.is_empty() {
        return Ok(());
    }
    reader.scan(span.from, span.to, &mut |row| {
        for at in of.get(&row.source).into_iter().flatten() {
            f(accounts, &row, *at);
        }
        ControlFlow::Continue(())
    })
}
