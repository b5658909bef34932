//! Goes through the rows of all metering points once, day after day, and has the store keep what passed.
//!
//! All series whose days are told up to the same instant form the *front*: one pass over the rows of all sources serves them all. A source that
//! got rows behind it falls back: its folds are dropped, and once it is quiet its series follow, from the first day that is not told.

use super::Span;
use super::days::{Days, Over};
use super::ledger::entries;
use super::register::Register;
use super::walk::before;
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::{Day, Ms, Ts};
use crate::domain::topology::{PointIx, Topology};
use crate::store::{Before, CommitError, DayVolume, ReadError, Reader, Seen, Series, Told, ToldSeries, Volumes, Watch};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

/// A day is over when the readings have gone on so long after it: what is late by less is usual.
const PATIENCE: Ms = Ms::hours(2);

/// A source that got late rows is gone through again when none came for so long: a history that comes meter by meter disturbs all the time.
const QUIET: Ms = Ms::minutes(1);
/// Or when the first of them came so long ago.
const LONG: Ms = Ms::hours(1);

/// Rows that are read before what they tell is stored: with 150 meters at 15 minutes a week.
const ROWS: usize = 100_000;

/// Up to so many sources their rows are asked for one by one: beyond, all rows are passed over.
const FEW: usize = 8;
/// Then so many rows are held at once: a megabyte and a half.
const PART: usize = 16_000;
/// Who came no further than this behind its first day that is not told fell silent then.
const SHORT: Ms = Ms::days(3);

/// Why a step was not done; nothing that was stored is wrong for it.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] CommitError),
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do. Days are told up to `at`, and will be up to `to`.
    More { at: Ts, to: Ts },
    /// All is told that is over; to be asked again after so long, or when [`Volumes::wait`] ends.
    Done { again: Option<Ms> },
}

/// Removes what was told of series that are others now: by another calendar, of another meter or of another point. Before anybody reads.
pub fn settle(reader: &Reader, volumes: &Volumes, topology: &Topology) -> Result<(), StepError> {
    let told = reader.told()?;
    if told.is_empty() {
        return Ok(());
    }
    // Days whose rows are gone stay as they were told.
    let of_told = |source| told.iter().any(|t| t.series.source == source);
    let gone = reader.expired()?.into_iter().filter(|(source, _)| of_told(*source)).map(|(_, e)| e.until).max();
    let other = |day: &Day| Some(day.from) > gone && Day::numbered(day.number, &topology.tz) != Some(*day);
    if reader.calendar()?.iter().any(other) {
        tracing::info!(series = told.len(), "another calendar: all days are told anew");
        return Ok(volumes.forget(None)?);
    }
    let wanted = wanted(reader, topology)?;
    let other = |t: &&ToldSeries| wanted.get(&t.series).is_some_and(|w| w.point != t.point || w.made_with != t.made_with);
    let others: Vec<Series> = told.iter().filter(other).map(|t| t.series).collect();
    if !others.is_empty() {
        tracing::info!(series = others.len(), "other meters or limits: their days are told anew");
        volumes.forget(Some(others))?;
        // What is left is told on as this meter's.
        let left = reader.told()?.into_iter().filter_map(|t| {
            let w = wanted.get(&t.series).filter(|w| w.made_with != t.made_with || w.point != t.point)?;
            let series = ToldSeries { point: w.point.clone(), made_with: w.made_with.clone(), ..t };
            Some(Told { series, days: vec![] })
        });
        let never = Watch { before: Ts(i64::MIN), until: Ts(i64::MIN) };
        volumes.tell(left.collect(), never)?;
    }
    Ok(())
}

/// The series of the metering points, as they are to be told. Where two points share one, it is the first one's.
struct Wanted {
    ix: PointIx,
    register: Register,
    point: String,
    made_with: String,
}

fn wanted(reader: &Reader, topology: &Topology) -> Result<BTreeMap<Series, Wanted>, ReadError> {
    let (sources, ledger) = (reader.sources()?, entries(reader.ledger()?)?);
    let mut out = BTreeMap::new();
    for ix in topology.point_ixs() {
        let Some(register) = Register::stored(topology, &sources, &ledger, ix) else { continue };
        let (Some(series), point) = (register.series(), topology.point(ix)) else { continue };
        let made_with = register.made_with(point, topology.since);
        out.entry(series).or_insert_with(|| Wanted { ix, register, point: point.key.clone(), made_with });
    }
    Ok(out)
}

/// A series on its way. Its rows before the place of its [`Front`] were taken.
struct Teller<'a> {
    told: ToldSeries,
    days: Days<'a>,
}

/// Series that are told up to the same instant.
struct Front<'a> {
    at: Ts,
    tellers: Vec<Teller<'a>>,
}

/// When late rows came for a source.
struct Fallen {
    first: Ms,
    last: Ms,
}

/// All that is in memory of it; what is lost is made again from what is told.
struct State<'a> {
    front: Front<'a>,
    /// Series that are behind, on their way to the front.
    behind: Option<Front<'a>>,
    /// Sources whose series wait until they are quiet.
    fallen: BTreeMap<SourceId, Fallen>,
    reached: Option<Ts>,
}

/// Tells the days of all metering points.
pub struct Historian<'a> {
    topology: &'a Topology,
    /// None at the beginning, and after an error.
    state: Option<State<'a>>,
}

impl<'a> Historian<'a> {
    pub fn new(topology: &'a Topology) -> Historian<'a> {
        Historian { topology, state: None }
    }

    /// Does a part of what there is to do: at most [`ROWS`] rows are read, and stored is what they tell. `now`: time on a clock that only goes
    /// forward. After an error the next step begins with what is stored.
    pub fn step(&mut self, reader: &Reader, volumes: &Volumes, now: Ms) -> Result<Step, StepError> {
        let state = match self.state.take() {
            Some(state) => Some(state),
            None => self.begin(reader, volumes)?,
        };
        let Some(mut state) = state else { return Ok(Step::Done { again: None }) };
        let step = self.go_on(&mut state, reader, volumes, now)?;
        self.state = Some(state);
        Ok(step)
    }

    /// Everything stands behind, at the farthest that is told. None while nothing is stored.
    fn begin(&self, reader: &Reader, volumes: &Volumes) -> Result<Option<State<'a>>, StepError> {
        let stats = reader.stats()?;
        let first = stats.first;
        let told = reader.told()?;
        let next = told.iter().filter_map(|t| Day::numbered(t.next, &self.topology.tz)).map(|d| d.from).max();
        let begins = first.map(|ts| Day::of(ts.max(self.topology.since), &self.topology.tz).from);
        let Some(at) = next.or(begins) else {
            // The first row of all wakes.
            volumes.watch(Watch { before: Ts(i64::MIN), until: Ts(i64::MIN) })?;
            return Ok(None);
        };
        let seen = volumes.watch(Watch { before: at, until: Ts::LATEST })?;
        // What came before this process began counts as well: whose days were taken back need not wait for the next reading.
        let stored = stats.last.zip(reader.last_batch()?).map(|(last, head)| last.min(head.received));
        let reached = seen.reached.max(stored);
        let mut state = State { front: Front { at, tellers: vec![] }, behind: None, fallen: BTreeMap::new(), reached };
        // Whoever came late until now is found where it is told to.
        self.follow(reader, &mut state)?;
        Ok(Some(state))
    }

    fn go_on(&self, state: &mut State<'a>, reader: &Reader, volumes: &Volumes, now: Ms) -> Result<Step, StepError> {
        // How far the readings are; then how far to go.
        take(state, &volumes.watch(Watch { before: state.front.at, until: Ts::LATEST })?, now);
        let today = state.reached.map(|ts| Day::of(ts - PATIENCE, &self.topology.tz));
        let target = today.map_or(state.front.at, |d| state.front.at.max(d.from + PATIENCE));
        let until = today.map_or(Ts(i64::MIN), |d| d.to + PATIENCE);
        take(state, &volumes.watch(Watch { before: target, until })?, now);
        if state.behind.is_none() {
            state.fallen.retain(|_, f| f.due() > now);
            self.follow(reader, state)?;
        }
        let State { front, behind, .. } = state;
        let (moving, to) = match behind {
            Some(behind) => (behind, front.at),
            None => (front, target),
        };
        let all_read = moving.at >= to;
        if !all_read {
            read(moving, reader, to)?;
        }
        let at = moving.at;
        // Also of who joined with all its rows, where nothing is left to read.
        let told: Vec<Told> = moving.tellers.iter_mut().filter_map(|t| t.told(at, &self.topology.tz)).collect();
        if all_read && told.is_empty() {
            return Ok(Step::Done { again: state.fallen.values().map(|f| Ms((f.due() - now).0.max(1))).min() });
        }
        let seen = volumes.tell(told, Watch { before: state.front.at, until })?;
        take(state, &seen, now);
        if let Some(behind) = state.behind.take_if(|b| b.at >= state.front.at) {
            state.front.tellers.extend(behind.tellers);
        }
        Ok(Step::More { at, to })
    }

    /// The series that are nowhere on their way, and may be.
    fn missing(&self, reader: &Reader, state: &State<'a>) -> Result<Vec<(Wanted, Series)>, ReadError> {
        let fronts = [Some(&state.front), state.behind.as_ref()].into_iter().flatten();
        let here: BTreeSet<Series> = fronts.flat_map(|f| f.tellers.iter().map(|t| t.told.series)).collect();
        let wanted = wanted(reader, self.topology)?;
        let missing = wanted.into_iter().filter(|(s, _)| !here.contains(s) && !state.fallen.contains_key(&s.source));
        Ok(missing.map(|(s, w)| (w, s)).collect())
    }

    /// Sets these on their way, each from the first day that is not told: to where the front is if they were silent since, else behind it.
    fn follow(&self, reader: &Reader, state: &mut State<'a>) -> Result<(), ReadError> {
        let (topology, mut behind) = (self.topology, vec![]);
        let series = self.missing(reader, state)?;
        if series.is_empty() {
            return Ok(());
        }
        let mut told: HashMap<Series, ToldSeries> = reader.told()?.into_iter().map(|t| (t.series, t)).collect();
        let gone: HashMap<SourceId, Ts> = reader.expired()?.into_iter().map(|(source, e)| (source, e.until)).collect();
        let Some(first) = reader.stats()?.first else { return Ok(()) };
        for (wanted, series) in series {
            let register = wanted.register;
            let known = told.remove(&series).and_then(|t| Some((Day::numbered(t.next, &topology.tz)?, t)));
            let (mut next, mut told) = known.unwrap_or_else(|| {
                let day = Day::of(first.max(topology.since), &topology.tz);
                let (point, made_with) = (wanted.point, wanted.made_with);
                (day, ToldSeries { series, point, made_with, begins: day.number, next: day.number, reach: day.from - Ms(1) })
            });
            if told.begins == told.next
                && let Some(until) = gone.get(&series.source)
            {
                // Of the day in which the rows that are there begin, a part is gone.
                while next.from <= *until {
                    next = next.next(&topology.tz);
                }
                (told.begins, told.next) = (next.number, next.number);
            }
            let before = before(reader, &register, next.from, topology.since)?;
            let mut days = Days::new(topology, wanted.ix, register, next, before, Span { from: Ts(i64::MIN), to: Ts(i64::MAX) });
            let silent = next.from >= state.front.at || all_that_came(reader, series.source, next.from, state.front.at, &mut days)?;
            let teller = Teller { told, days };
            if silent {
                state.front.tellers.push(teller);
            } else {
                behind.push(teller);
            }
        }
        let from = behind.iter().map(|t| t.days.first_open().from).min();
        state.behind = from.map(|at| Front { at, tellers: behind });
        Ok(())
    }
}

impl Fallen {
    fn due(&self) -> Ms {
        (self.last + QUIET).min(self.first + LONG)
    }
}

impl Teller<'_> {
    /// What is to be stored of it, now that its rows before `at` were taken; None if that changes nothing.
    fn told(&mut self, at: Ts, tz: &TimeZone) -> Option<Told> {
        let told = &mut self.told;
        let over = self.days.take_over();
        if told.begins == told.next {
            // Before its first reading there is nothing that could be told.
            let first = match over.first() {
                Some(over) => over.day,
                None if self.days.begun() => self.days.first_open(),
                None => Day::of(at, tz),
            };
            if first.number > told.next {
                (told.begins, told.next, told.reach) = (first.number, first.number, first.from - Ms(1));
            } else if over.is_empty() {
                return None;
            }
        } else if over.is_empty() {
            return None;
        }
        if let Some(last) = over.last() {
            (told.next, told.reach) = (self.days.first_open().number, last.reach);
        }
        let volume = |o: &Over| DayVolume { volume: o.bucket.volume, known: o.bucket.known, complete: o.bucket.complete };
        Some(Told { series: told.clone(), days: over.iter().map(|o| (o.day, volume(o))).collect() })
    }
}

/// Takes note of what came, and drops what can no longer be right.
fn take(state: &mut State<'_>, seen: &Seen, now: Ms) {
    state.reached = state.reached.max(seen.reached);
    for source in &seen.disturbed {
        state.fallen.entry(*source).and_modify(|f| f.last = now).or_insert(Fallen { first: now, last: now });
    }
    // Who was spoken of is set on his way again at once, with what was said.
    let stays = |t: &Teller<'_>| !seen.disturbed.contains(&t.told.series.source) && !seen.moved.contains(&t.told.series.source);
    state.front.tellers.retain(stays);
    if let Some(behind) = &mut state.behind {
        behind.tellers.retain(stays);
    }
}

/// Takes the rows of a source from `from` up to the front, where these are few and of a few days: a meter that fell silent long ago must not have
/// everybody's rows read since. False: it is on its way, and nothing was taken.
fn all_that_came(reader: &Reader, source: SourceId, from: Ts, front: Ts, days: &mut Days<'_>) -> Result<bool, ReadError> {
    let newest = match reader.row_before(source, front)? {
        Before::Row(row) if row.ts <= from + SHORT => row.ts,
        Before::Row(_) | Before::TooFarBack => return Ok(false),
        Before::Nothing => return Ok(true),
    };
    let rows = reader.readings(source, from, newest + Ms(1), PART)?;
    let all = rows.len() < PART;
    if all {
        rows.iter().for_each(|row| days.row(row));
    }
    Ok(all)
}

/// Feeds the tellers with rows, up to `to` at most, and moves the front to where it came.
fn read(front: &mut Front<'_>, reader: &Reader, to: Ts) -> Result<(), ReadError> {
    let Front { at, tellers } = front;
    let mut of: BTreeMap<SourceId, Vec<(Ts, &mut Days<'_>)>> = BTreeMap::new();
    let mut width = 0;
    for t in tellers {
        width = width.max(usize::from(t.told.series.column) + 1);
        of.entry(t.told.series.source).or_default().push((t.days.first_open().from, &mut t.days));
    }
    let sources: Vec<SourceId> = of.keys().copied().collect();
    // A series that begins later than others of its front takes rows from there on.
    let mut take = |row: &Row| {
        for (from, days) in of.get_mut(&row.source).into_iter().flatten() {
            if row.ts >= *from {
                days.row(row);
            }
        }
    };
    let mut stopped = to;
    if sources.len() <= FEW {
        let limit = PART / sources.len().max(1);
        let mut found = vec![];
        for source in sources {
            let rows = reader.readings(source, *at, stopped, limit)?;
            stopped = rows.last().filter(|_| rows.len() == limit).map_or(stopped, |last| last.ts);
            found.push(rows);
        }
        found.iter().flatten().filter(|r| r.ts < stopped).for_each(&mut take);
    } else {
        let (mut n, mut last) = (0, *at);
        reader.scan_columns(*at, to, width, &mut |row| {
            if n >= ROWS && row.ts > last {
                stopped = row.ts;
                return ControlFlow::Break(());
            }
            (n, last) = (n + 1, row.ts);
            take(&row);
            ControlFlow::Continue(())
        })?;
    }
    *at = stopped;
    Ok(())
}
