//! The series of a replay: each name that stands in the column `meter`, with what its rows measure.

use super::meters::Meters;
use crate::domain::time::Ms;
use crate::domain::units::Quantity;
use std::collections::HashMap;
use std::sync::Arc;

/// A mean flow whose meter names no pause covers an hour, the usual span of such exports.
const FLOW_SPAN: Ms = Ms::hours(1);

/// The most names of one replay: some 10 MB of them. More come of a column that is no name.
pub const MAX_SERIES: usize = 50_000;

/// Index into [`SeriesTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesIx(u32);

/// One name. `D0-V01/supply` is a series of the meter `D0-V01`.
#[derive(Clone, Debug)]
pub struct Series {
    /// The name, and so the topic of its source.
    pub topic: Arc<str>,
    /// In the list of meters, by its own name or by the part before the slash.
    pub known: bool,
    /// How long a mean flow covers.
    pub span: Ms,
    /// What its first row measured; the others must measure the same.
    pub quantity: Option<Quantity>,
    /// A row of it was handed to the engine.
    pub begun: bool,
}

/// All names met so far.
#[derive(Debug, Default)]
pub struct SeriesTable {
    list: Vec<Series>,
    /// By [`SeriesIx`]: the series whose row followed last time. Meters report in rounds, so most look-ups end here.
    next: Vec<SeriesIx>,
    last: Option<SeriesIx>,
    by_name: HashMap<Arc<str>, SeriesIx>,
    spans: HashMap<String, Ms>,
}

impl SeriesTable {
    /// Knows the meters' own series from the start, in the order of their list.
    pub fn new(meters: &Meters) -> SeriesTable {
        let mut table = SeriesTable::default();
        for m in &meters.list {
            table.spans.insert(m.meter.clone(), m.every.unwrap_or(FLOW_SPAN));
        }
        for m in &meters.list {
            table.add(&m.meter);
        }
        table
    }

    pub fn get(&self, ix: SeriesIx) -> &Series {
        &self.list[ix.0 as usize]
    }
    pub fn get_mut(&mut self, ix: SeriesIx) -> &mut Series {
        &mut self.list[ix.0 as usize]
    }
    /// The series of the `i`-th meter itself.
    pub fn of_meter(&self, i: usize) -> &Series {
        &self.list[i]
    }

    /// The series of this name, made if it is new; None if there are [`MAX_SERIES`].
    pub fn find(&mut self, name: &str) -> Option<SeriesIx> {
        let guess = self.last.and_then(|l| self.next.get(l.0 as usize)).copied();
        let ix = match guess {
            Some(g) if *self.get(g).topic == *name => g,
            _ => match self.by_name.get(name) {
                Some(ix) => *ix,
                None if self.list.len() >= MAX_SERIES => return None,
                None => self.add(name),
            },
        };
        if let Some(l) = self.last {
            self.next[l.0 as usize] = ix;
        }
        self.last = Some(ix);
        Some(ix)
    }

    fn add(&mut self, name: &str) -> SeriesIx {
        let topic: Arc<str> = name.into();
        // 4 billion names do not fit into memory.
        let ix = SeriesIx(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        let span = self.spans.get(name).or_else(|| self.spans.get(name.rsplit_once('/')?.0)).copied();
        self.list.push(Series {
            topic: topic.clone(),
            known: span.is_some(),
            span: span.unwrap_or(FLOW_SPAN),
            quantity: None,
            begun: false,
        });
        self.next.push(ix);
        self.by_name.insert(topic, ix);
        ix
    }
}
