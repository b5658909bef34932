//! What is stored in a run: the same each time. Three weeks of eight meters in batches of all sizes, with rows that come days late, incidents,
//! notices and checkpoints.

use heyun::domain::engine::{IdentityKind, IdentityRecord, SourceRecord};
use heyun::domain::reading::{Flags, Row, SourceId, Values};
use heyun::domain::time::{Ms, Ts};
use heyun::domain::topology::Column;
use heyun::domain::units::Quantity;
use heyun::store::{Batch, Checkpoint, EventRecord, OutboxEntry};
use std::collections::VecDeque;
use std::sync::Arc;

/// 2026-11-24T00:00:00Z
const T0: i64 = 1_795_478_400_000;
const STEP: i64 = 900_000;
const STEPS: i64 = 21 * 96;
pub const SOURCES: u32 = 8;
/// Rows per batch, over and over.
const SIZES: [usize; 8] = [40, 1, 620, 25, 3, 900, 150, 410];
/// Every so many rows one is held back, by five days of rows.
const LATE_ONE_IN: usize = 97;
const LATE_BY: usize = 5 * 96 * SOURCES as usize;
pub const CHANNEL: &str = "robot";

/// Batch n is at n - 1.
pub fn batches() -> Vec<Arc<Batch>> {
    let mut waiting = rows();
    let mut out: Vec<Arc<Batch>> = vec![];
    let mut events = 0;
    while !waiting.is_empty() {
        let id = out.len() as u64 + 1;
        let n = SIZES[out.len() % SIZES.len()].min(waiting.len());
        let rows: Vec<Row> = waiting.drain(..n).collect();
        let received = rows.iter().map(|r| r.ts).max().unwrap() + Ms(3_000);
        let mut batch = Batch { id, received, rows, ..Batch::default() };
        if id == 1 {
            batch.sources = (0..SOURCES).map(|s| source(s, 1)).collect();
            batch.identities = vec![IdentityRecord { kind: IdentityKind::Place, key: "b15".into(), id: "gw.P1".into() }];
        }
        if id == 12 {
            batch.sources = vec![source(3, 2)];
            batch.identities = vec![IdentityRecord { kind: IdentityKind::Meter, key: "SN 1".into(), id: "gw.M1".into() }];
        }
        // The first few are stored by older versions too, which knew no outbox.
        if id > 3 && id.is_multiple_of(3) {
            for k in 0..1 + id % 2 {
                events += 1;
                let incident = format!("gw.I{}", events / 3);
                batch.events.push(EventRecord {
                    seq: events,
                    at: received,
                    incident: incident.as_str().into(),
                    code: "found".into(),
                    body: format!("{{\"n\":{events},\"text\":\"{}\"}}", "水".repeat(k as usize * 300)),
                });
                batch.outbox.push(OutboxEntry {
                    event: events,
                    at: received,
                    incident: incident.as_str().into(),
                    kind: "opened".into(),
                    urgent: events % 2 == 0,
                    channel: CHANNEL.into(),
                });
            }
        }
        if id.is_multiple_of(11) {
            batch.checkpoint =
                Some(Checkpoint { format: 1, body: (0..250_000u32).map(|i| (i.wrapping_mul(id as u32) >> 3) as u8).collect() });
        }
        out.push(Arc::new(batch));
    }
    out
}

/// In order of arrival.
fn rows() -> VecDeque<Row> {
    let mut out = VecDeque::new();
    let mut late = VecDeque::new();
    for n in 0..STEPS {
        for s in 0..SOURCES {
            let mut values = Values::single(n * (7 + i64::from(s)) + i64::from(s) * 1_000_000);
            if n % 5 == 0 && s == 3 {
                values.set(1, 20_000 - n);
            }
            let flags = if n % 50 == 49 { Flags::CLOCK_UNSURE } else { Flags::NONE };
            let row = Row { ts: Ts(T0 + n * STEP + i64::from(s) * 1_234), source: SourceId(s), values, flags };
            let i = (n * i64::from(SOURCES) + i64::from(s)) as usize;
            if i % LATE_ONE_IN == LATE_ONE_IN - 1 {
                late.push_back((i + LATE_BY, row));
            } else {
                out.push_back(row);
            }
            while late.front().is_some_and(|(due, _)| *due <= i) {
                out.extend(late.pop_front().map(|(_, row)| row));
            }
        }
    }
    out.extend(late.into_iter().map(|(_, row)| row));
    out
}

fn source(n: u32, columns: usize) -> SourceRecord {
    let all = [("register", Quantity::Volume), ("water", Quantity::Temperature)];
    let columns = all[..columns].iter().map(|(name, quantity)| Column { name: (*name).into(), quantity: *quantity }).collect();
    SourceRecord { source: SourceId(n), id: format!("g.{n}").into(), topic: format!("water/{n}").into(), columns }
}
