//! `/api/v1/meters/{id}/flow`: the stored readings of a span, folded by the ledger that the rules use.
//!
//! Late readings fall into place here, because rows are read by their own time; the running ledger took them in order of arrival and
//! moved no total for them. So the flow of a day that is over may be finer than what the rules saw, never another volume.

use super::clock;
use super::error::{Error, Problem};
use super::handles::{Snapshots, Store};
use super::params::{Id, Params};
use super::{meters, readings, time_param};
use crate::domain::meter::{Ledger, Step, Value};
use crate::domain::reading::{Flags, Row, SourceId};
use crate::domain::time::Ts;
use crate::domain::topology::{Meter, Topology};
use crate::domain::units::{Millilitres, Quantity};
use crate::store::{ReadError, Reader};
use crate::texts::{Decimal, Stamp};
use axum::Json;
use axum::extract::State;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

const DEFAULT: usize = 2_000;
const MOST: usize = 5_000;
/// Readings before the span that the ledger sees first: enough to confirm or refute a level, and to know the usual pause.
const WARM_UP: usize = 8;

/// What flowed through a point, reading by reading.
#[derive(Debug, Serialize, ToSchema)]
pub struct Flow {
    /// Key of the point.
    meter: String,
    from: Stamp,
    /// Not part of the span.
    to: Stamp,
    /// The sum of the known volumes.
    litres: Decimal,
    /// How many intervals have an unknown volume (`litres` is null).
    unknown: usize,
    /// By time, without overlap. An interval belongs to the span that its last reading lies in, so pages fit together; the first may begin
    /// before `from`.
    intervals: Vec<Interval>,
    /// Readings that make no interval.
    ignored: Vec<Ignored>,
    /// Where the answer goes on; null at its end.
    next: Option<String>,
}

/// From one accepted reading to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Interval {
    from: Stamp,
    to: Stamp,
    /// Null where it cannot be known: across a reset or a jump.
    litres: Option<Decimal>,
    litres_per_hour: Option<Decimal>,
    kind: Kind,
    /// Much longer than this meter's usual pause: the volume is certain, its moment is not.
    gap: bool,
}

/// How the register moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Forward,
    Equal,
    /// Fell by no more than its resolution: no water.
    Jitter,
    /// 走满归零: ran full and went on at zero.
    Rollover,
    /// 清零: fell for good, reset or replaced.
    Reset,
    /// Rose further than water can, and stayed.
    Jump,
}

/// A reading that makes no interval, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ignored {
    time: Stamp,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The source's first reading: nothing is known of before.
    First,
    /// Does not fit; no later reading of the span has confirmed or refuted it.
    Held,
    /// Did not fit, and the register came back: a misreading.
    Spike,
    /// Its span had been accounted for before.
    Late,
    /// Its time lay far ahead of an unsure clock.
    Ahead,
    /// Its time lies before anything here existed (stored while the clock was unsure).
    Old,
}

/// What flowed through a metering point
///
/// The stored readings of the span as intervals between accepted readings. Resets, jumps and misreadings are shown as such, never guessed.
#[utoipa::path(get, path = "/api/v1/meters/{id}/flow", tag = "history",
    params(("id" = String, Path, description = "key of the config, or global id"),
           ("from" = Option<String>, Query, description = "RFC 3339, a date in the compound's zone, or Unix milliseconds"),
           ("to" = Option<String>, Query, description = "like `from`; not part of the span"),
           ("limit" = Option<usize>, Query, description = "readings to fold, 1 to 5000, default 2000")),
    responses((status = 200, body = Flow), (status = "default", body = Problem)))]
pub async fn flow(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(store): State<Store>,
    Id(id): Id,
    params: Params,
) -> Result<Json<Flow>, Error> {
    let params = params.only(&["from", "to", "limit"])?;
    let limit = params.limit(DEFAULT, MOST)?;
    let span = time_param::span(&params, &topology.tz, clock::now())?;
    let snapshot = snapshots.borrow().clone();
    let ix = meters::find(&topology, &snapshot, &id)?;
    let bound = meters::source(&topology, &snapshot, ix);
    let register = bound.as_ref().and_then(|b| Some((b.register?, b.columns.get(b.register?)?.quantity)));
    let mut account = Account::new(&topology.point(ix).meter, &topology.tz, topology.since);
    let mut next = None;
    if let (Some(source), Some((column, quantity))) = (bound.as_ref().and_then(|b| b.source), register) {
        let (before, rows) =
            store.ask(move |r| Ok((rows_before(r, source, span.from, column)?, r.readings(source, span.from, span.to, limit)?))).await?;
        next = readings::next_page(&id, "flow", &rows, span, limit);
        account.warm_up(&before, column, quantity);
        rows.iter().for_each(|row| account.row(row, column, quantity));
    }
    let (intervals, ignored, litres) = account.finish();
    Ok(Json(Flow {
        meter: topology.point(ix).key.clone(),
        from: Stamp::new(span.from, &topology.tz),
        to: Stamp::new(span.to, &topology.tz),
        litres: Decimal::litres(litres),
        unknown: intervals.iter().filter(|i| i.litres.is_none()).count(),
        intervals,
        ignored,
        next,
    }))
}

/// The last few rows before `from` that hold the column, oldest first.
fn rows_before(reader: &Reader, source: SourceId, from: Ts, column: usize) -> Result<Vec<Row>, ReadError> {
    let mut rows = vec![];
    let mut at = from;
    // A device may send its register only with every other message.
    for _ in 0..2 * WARM_UP {
        let Some(row) = reader.row_before(source, at)?.row() else { break };
        at = row.ts;
        if row.values.get(column).is_some() {
            rows.push(row);
        }
        if rows.len() == WARM_UP {
            break;
        }
    }
    rows.reverse();
    Ok(rows)
}

/// A fold of rows in order of time.
struct Account<'a> {
    meter: &'a Meter,
    tz: &'a TimeZone,
    /// Nothing here is older.
    since: Ts,
    ledger: Ledger,
    intervals: Vec<Interval>,
    ignored: Vec<(Ts, Why)>,
    /// Places in `ignored` of readings that are held and not yet decided upon.
    held: Vec<usize>,
    litres: Millilitres,
}

impl<'a> Account<'a> {
    fn new(meter: &'a Meter, tz: &'a TimeZone, since: Ts) -> Account<'a> {
        Account { meter, tz, since, ledger: Ledger::default(), intervals: vec![], ignored: vec![], held: vec![], litres: Millilitres::ZERO }
    }

    /// Takes rows before the span: they teach the ledger, and are not shown.
    fn warm_up(&mut self, rows: &[Row], column: usize, quantity: Quantity) {
        let mut warm = Account::new(self.meter, self.tz, self.since);
        rows.iter().for_each(|row| warm.row(row, column, quantity));
        self.ledger = warm.ledger;
    }

    fn row(&mut self, row: &Row, column: usize, quantity: Quantity) {
        let Some(value) = row.values.get(column) else { return };
        // What no account takes on, this one does not either.
        let unusable = if row.flags.contains(Flags::AHEAD) { Some(Why::Ahead) } else { (row.ts < self.since).then_some(Why::Old) };
        if let Some(why) = unusable {
            self.ignored.push((row.ts, why));
            return;
        }
        let mark = self.ledger.mark(self.meter, Value { quantity, ts: row.ts, value });
        let before = self.ledger.steps;
        match self.ledger.step(self.meter, mark) {
            Step::First => self.ignored.push((mark.ts, Why::First)),
            Step::Late => self.ignored.push((mark.ts, Why::Late)),
            Step::Held => {
                self.held.push(self.ignored.len());
                self.ignored.push((mark.ts, Why::Held));
            }
            Step::Passed { from, to, volume, gap } => {
                for i in self.held.drain(..) {
                    self.ignored[i].1 = Why::Spike;
                }
                let kind = match (self.ledger.steps.rollover > before.rollover, self.ledger.steps.jitter > before.jitter) {
                    (true, _) => Kind::Rollover,
                    (_, true) => Kind::Jitter,
                    _ if volume == Millilitres::ZERO => Kind::Equal,
                    _ => Kind::Forward,
                };
                self.passed(from.ts, to.ts, volume, kind, gap);
            }
            Step::Restarted { fell, before, after, to, volume } => {
                // What was held from `after` on is the new level; what was held before it never came true.
                for i in self.held.drain(..).rev() {
                    if self.ignored[i].0 >= after.ts {
                        self.ignored.remove(i);
                    } else {
                        self.ignored[i].1 = Why::Spike;
                    }
                }
                let kind = if fell { Kind::Reset } else { Kind::Jump };
                let (from, until) = (Stamp::new(before.ts, self.tz), Stamp::new(after.ts, self.tz));
                self.intervals.push(Interval { from, to: until, litres: None, litres_per_hour: None, kind, gap: false });
                let kind = if volume == Millilitres::ZERO { Kind::Equal } else { Kind::Forward };
                self.passed(after.ts, to.ts, volume, kind, false);
            }
        }
    }

    fn passed(&mut self, from: Ts, to: Ts, volume: Millilitres, kind: Kind, gap: bool) {
        self.litres += volume;
        self.intervals.push(Interval {
            from: Stamp::new(from, self.tz),
            to: Stamp::new(to, self.tz),
            litres: Some(Decimal::litres(volume)),
            litres_per_hour: Some(Decimal::litres_per_hour(volume.per((to - from).0))),
            kind,
            gap,
        });
    }

    fn finish(self) -> (Vec<Interval>, Vec<Ignored>, Millilitres) {
        let tz = self.tz;
        let ignored = self.ignored.into_iter().map(|(ts, why)| Ignored { time: Stamp::new(ts, tz), why }).collect();
        (self.intervals, ignored, self.litres)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reading::Values;
    use crate::domain::time::Ms;
    use crate::domain::units::MillilitresPerHour;

    fn meter() -> Meter {
        Meter {
            serial: None,
            pulse_weight: Millilitres::litres(1),
            rollover_at: Some(Millilitres::litres(100_000)),
            max_flow: MillilitresPerHour::litres(5_000),
            mean_flow_over: None,
        }
    }

    fn row(min: i64, value: i64) -> Row {
        Row { ts: Ts(min * 60_000), source: SourceId(1), values: Values::single(value), flags: Flags::NONE }
    }

    /// (from minute, to minute, litres, kind, gap) of each interval, and (minute, why) of each ignored reading.
    #[expect(clippy::type_complexity, reason = "a table to compare with")]
    fn fold(
        meter: &Meter,
        quantity: Quantity,
        warm: &[Row],
        rows: &[Row],
    ) -> (Vec<(i64, i64, Option<String>, Kind, bool)>, Vec<(i64, Why)>, i64) {
        let tz = TimeZone::UTC;
        let mut a = Account::new(meter, &tz, Ts(0));
        a.warm_up(warm, 0, quantity);
        rows.iter().for_each(|r| a.row(r, 0, quantity));
        let minute = |s: &Stamp| {
            let text: String = serde_json::from_value(serde_json::to_value(s).unwrap()).unwrap();
            text.parse::<jiff::Timestamp>().unwrap().as_second() / 60
        };
        let (intervals, ignored, litres) = a.finish();
        (
            intervals.iter().map(|i| (minute(&i.from), minute(&i.to), i.litres.map(|l| l.to_string()), i.kind, i.gap)).collect(),
            ignored.iter().map(|i| (minute(&i.time), i.why)).collect(),
            litres.0,
        )
    }

    fn litres(pairs: &[(i64, i64)]) -> Vec<Row> {
        pairs.iter().map(|(min, l)| row(*min, l * 1_000)).collect()
    }

    #[test]
    fn the_first_interval_begins_at_the_reading_before_the_span() {
        let (i, x, sum) = fold(&meter(), Quantity::Volume, &litres(&[(0, 100), (15, 110)]), &litres(&[(30, 125), (45, 125)]));
        assert_eq!(i, [(15, 30, Some("15".into()), Kind::Forward, false), (30, 45, Some("0".into()), Kind::Equal, false)]);
        assert_eq!((x, sum), (vec![], 15_000));
    }

    #[test]
    fn a_reset_has_no_volume_and_a_gap_is_told() {
        let rows = litres(&[(0, 50_000), (15, 50_010), (30, 3), (45, 5), (60, 9), (75, 10), (300, 40)]);
        let (i, x, sum) = fold(&meter(), Quantity::Volume, &[], &rows);
        assert_eq!(
            i,
            [
                (0, 15, Some("10".into()), Kind::Forward, false),
                (15, 30, None, Kind::Reset, false),
                (30, 60, Some("6".into()), Kind::Forward, false),
                (60, 75, Some("1".into()), Kind::Forward, false),
                (75, 300, Some("30".into()), Kind::Forward, true),
            ]
        );
        assert_eq!((x, sum), (vec![(0, Why::First)], 47_000));
    }

    #[test]
    fn a_misreading_is_named_once_the_register_came_back_and_held_before() {
        let rows = litres(&[(0, 100), (15, 90_100), (30, 120)]);
        let (i, x, _) = fold(&meter(), Quantity::Volume, &[], &rows);
        assert_eq!(i, [(0, 30, Some("20".into()), Kind::Forward, false)]);
        assert_eq!(x, [(0, Why::First), (15, Why::Spike)]);
        let (i, x, _) = fold(&meter(), Quantity::Volume, &[], &rows[..2]);
        assert_eq!((i.len(), x), (0, vec![(0, Why::First), (15, Why::Held)]));
    }

    #[test]
    fn a_spike_before_a_lasting_jump_stays_a_spike() {
        let rows = litres(&[(0, 100), (15, 90_100), (30, 70_000), (45, 70_002), (60, 70_003)]);
        let (i, x, _) = fold(&meter(), Quantity::Volume, &[], &rows);
        assert_eq!(i, [(0, 30, None, Kind::Jump, false), (30, 60, Some("3".into()), Kind::Forward, false)]);
        assert_eq!(x, [(0, Why::First), (15, Why::Spike)]);
    }

    #[test]
    fn rollover_jitter_and_pulses() {
        let (i, ..) = fold(&meter(), Quantity::Pulses, &[], &[row(0, 99_990), row(15, 99_989), row(30, 5)]);
        assert_eq!(
            i,
            [(0, 15, Some("0".into()), Kind::Jitter, false), (15, 30, Some("15".into()), Kind::Rollover, false)],
            "a pulse is a litre"
        );
    }

    #[test]
    fn a_mean_flow_is_known_at_the_end_of_its_span() {
        let mean = Meter { mean_flow_over: Some(Ms::minutes(15)), ..meter() };
        let (i, x, sum) = fold(&mean, Quantity::Flow, &[row(0, 40_000)], &[row(15, 80_000), row(30, 0), row(35, 4_000), row(90, 8_000)]);
        assert_eq!(
            i,
            [
                (15, 30, Some("20".into()), Kind::Forward, false),
                (30, 45, Some("0".into()), Kind::Equal, false),
                (45, 50, Some("1".into()), Kind::Forward, false),
                (90, 105, Some("2".into()), Kind::Forward, false),
            ],
            "of 00:50 to 01:30 nobody told anything"
        );
        assert_eq!((x, sum), (vec![], 23_000));
    }

    #[test]
    fn what_an_unsure_clock_put_far_away_makes_no_flow() {
        let rows = [row(-60, 7), row(0, 0), Row { flags: Flags::AHEAD, ..row(9_999, 1) }];
        assert_eq!(fold(&meter(), Quantity::Volume, &[], &rows).1, [(-60, Why::Old), (0, Why::First), (9_999, Why::Ahead)]);
    }
}
