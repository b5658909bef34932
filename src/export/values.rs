//! Every stored number of every source, also of those that no meter reads: nothing that was acknowledged is out of reach.
//! By time, then by source, then by column.

use super::cell;
use super::columns;
use super::number::decimal;
use super::points;
use super::stamp::Stamps;
use super::{Form, Selection};
use crate::domain::amendment::Entries;
use crate::domain::engine::SourceRecord;
use crate::domain::reading::Row;
use crate::domain::topology::Topology;

struct Line {
    /// `,topic,name,`
    before: Vec<u8>,
    places: u8,
    /// `,unit,`
    unit: Vec<u8>,
    /// `,keys` and the line end.
    after: Vec<u8>,
}

pub struct Values {
    /// By the source's number; empty where it is left out.
    lines: Vec<Vec<Line>>,
    stamps: Stamps,
    qualities: Vec<Vec<u8>>,
}

impl Values {
    pub fn new(topology: &Topology, sources: &[SourceRecord], selection: &Selection, form: Form) -> Values {
        // The numbers as they came: what was stated changes none of them.
        let readers = points::by_source(topology, sources, &Entries::default(), selection);
        let mut lines: Vec<Vec<Line>> = vec![];
        for source in sources {
            let at = source.source.0 as usize;
            let readers = readers.get(at).map_or(&[][..], Vec::as_slice);
            if readers.is_empty() && !selection.everything {
                continue;
            }
            if lines.len() <= at {
                lines.resize_with(at + 1, Vec::new);
            }
            lines[at] = (0..source.columns.len()).map(|column| line(topology, source, column, readers, form)).collect();
        }
        Values { lines, stamps: Stamps::new(topology.tz.clone()), qualities: columns::qualities(form.lang) }
    }

    pub fn width(&self) -> usize {
        self.lines.iter().map(Vec::len).max().unwrap_or(0)
    }

    pub fn row(&mut self, row: &Row, out: &mut Vec<u8>) -> u64 {
        let mut rows = 0;
        for (column, line) in self.lines.get(row.source.0 as usize).map_or(&[][..], Vec::as_slice).iter().enumerate() {
            let Some(value) = row.values.get(column) else { continue };
            self.stamps.write(out, row.ts);
            out.extend_from_slice(&line.before);
            decimal(out, value, line.places);
            out.extend_from_slice(&line.unit);
            out.extend_from_slice(&self.qualities[usize::from(row.flags.0)]);
            out.extend_from_slice(&line.after);
            rows += 1;
        }
        rows
    }
}

fn line(topology: &Topology, source: &SourceRecord, column: usize, readers: &[points::Feeds], form: Form) -> Line {
    let reader = form.reader();
    let (unit, places) = source.columns[column].quantity.shown();
    let mut before = vec![b','];
    cell::text(&mut before, &source.topic, reader);
    before.push(b',');
    cell::text(&mut before, &source.columns[column].name, reader);
    before.push(b',');
    let keys: Vec<&str> = readers.iter().filter(|f| f.column == column).map(|f| topology.point(f.point).key.as_str()).collect();
    let mut after = vec![b','];
    cell::text(&mut after, &keys.join(" "), reader);
    after.extend_from_slice(b"\r\n");
    Line { before, places, unit: format!(",{unit},").into_bytes(), after }
}
