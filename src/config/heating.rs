//! `[heating]`, and what a sensor tells of it: `supply`, `return`, `position`, `room`, `outdoor` of `[[sensors]]`.

use super::reader::{Shape, Table};
use super::subscriptions::Draft;
use super::suggest;
use super::values::{Parsed, Wrong, noun};
use crate::domain::heating::{Measure, MonthDay, Season, Sense};
use crate::domain::topology::{Binding, PointIx};
use crate::domain::units::Quantity;

pub(super) static HEATING: Shape = Shape { path: "heating", keys: &["season"], hints: &[] };

/// Keys of a sensor, and what the column that each names must measure.
const NUMBERS: [(&str, Measure, Quantity); 5] = [
    ("supply", Measure::Supply, Quantity::Temperature),
    ("return", Measure::Return, Quantity::Temperature),
    ("position", Measure::Position, Quantity::Ratio),
    ("room", Measure::Room, Quantity::Temperature),
    ("outdoor", Measure::Outdoor, Quantity::Temperature),
];

/// When the compounds are heated. None: nothing is said, or it is wrong, which was noted.
pub(super) fn season(root: &Table<'_>) -> Option<Season> {
    root.table("heating", &HEATING)?.need("season", "season = \"11-01..03-31\": the first and the last day")?.parsed(days)
}

fn days(s: &str) -> Parsed<Season> {
    let season = s.split_once("..").and_then(|(first, last)| {
        let day = |s: &str| MonthDay::parse(s.trim());
        Some(Season { first: day(first)?, last: day(last)? })
    });
    let right = "the first and the last day of every year, month and day with two digits: \"11-01..03-31\"";
    season.ok_or_else(|| Wrong::new(format!("{s:?} is no part of a year"), right))
}

/// What the columns of a sensor tell. `point`: where it will stand among the points.
pub(super) fn senses(t: &Table<'_>, point: PointIx, source: &Binding, feeds: &[Draft<'_>]) -> Vec<Sense> {
    let Some(feed) = feeds.get(usize::from(source.feed.0)) else { return vec![] };
    let mut out = vec![];
    for (key, measures, quantity) in NUMBERS {
        let (Some(f), Some(columns)) = (t.get(key), feed.columns()) else { continue };
        let Some(name) = f.text() else { continue };
        let Some(at) = columns.iter().position(|c| c.name == name) else {
            let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
            f.dangling::<()>(format!("{:?} has no column {name:?}", feed.name), suggest::advice(name, &names));
            continue;
        };
        if columns[at].quantity != quantity {
            let fitting: Vec<&str> = columns.iter().filter(|c| c.quantity == quantity).map(|c| c.name.as_str()).collect();
            let right = format!("a column that measures {}", noun(quantity));
            let right = if fitting.is_empty() { right } else { format!("{right}: {}", suggest::one_of(&fitting)) };
            f.wrong::<()>(format!("the column {name:?} measures {}", noun(columns[at].quantity)), right);
            continue;
        }
        let Ok(column) = u8::try_from(at) else { continue };
        out.push(Sense { point, topic: source.topic.clone(), feed: source.feed, column, measures });
    }
    // One without the other says nothing of a valve.
    for (key, other) in [("supply", "return"), ("return", "supply"), ("position", "supply")] {
        if let (Some(f), None) = (t.get(key), t.get(other)) {
            f.wrong::<()>(format!("a valve is judged by supply and return; there is no `{other}`"), format!("{other} = \"…\" as well"));
            break;
        }
    }
    out
}
