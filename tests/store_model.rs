//! The store against a model that is obviously right: a sorted map.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of the test's own")]

use heyun::domain::reading::{Flags, Row, SourceId, Values};
use heyun::domain::time::Ts;
use heyun::store::{Batch, FoldItem, Settings, open};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

const SOURCES: std::ops::Range<u32> = 0..4;

/// Times that collide often, and some so far apart that batches have late rows.
fn times() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 0i64..40, 1 => (0i64..40).prop_map(|t| t * 86_400_000), 1 => prop_oneof![Just(-(1i64 << 42)), Just((1i64 << 42) - 1)]]
}

fn row() -> impl Strategy<Value = Row> {
    (times(), SOURCES, prop::collection::vec(prop::option::of(any::<i64>()), 8), 0u8..4).prop_map(|(ts, source, v, flags)| {
        let mut values = Values::NONE;
        v.into_iter().enumerate().for_each(|(i, v)| v.into_iter().for_each(|v| values.set(i, v)));
        Row { ts: Ts(ts), source: SourceId(source), values, flags: Flags(flags) }
    })
}

/// What may be asked for: also what cannot be stored.
fn asked() -> impl Strategy<Value = i64> {
    prop_oneof![8 => times(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

/// Batches in which no key comes twice, as the engine makes them.
fn batches() -> impl Strategy<Value = Vec<Vec<Row>>> {
    prop::collection::vec(prop::collection::vec(row(), 0..30), 1..6).prop_map(|batches| {
        let mut seen = BTreeSet::new();
        batches.into_iter().map(|b| b.into_iter().filter(|r| seen.insert((r.ts, r.source))).collect()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_question_is_answered_as_a_sorted_map_would(
        batches in batches(), asked in prop::collection::vec((asked(), asked(), SOURCES, 0usize..20), 20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (writer, reader) = open(&Settings { path: dir.path().join("h.db") }).unwrap();
        let mut model = BTreeMap::new();
        let mut order = Vec::new();
        for (id, rows) in (1u64..).zip(batches) {
            model.extend(rows.iter().map(|r| ((r.ts, r.source), *r)));
            order.extend(rows.iter().map(|r| (id, *r)));
            writer.commit(Arc::new(Batch { id, rows, ..Batch::default() })).unwrap();
        }
        for (a, b, source, limit) in asked {
            let (from, to, source) = (Ts(a), Ts(b), SourceId(source));
            prop_assert_eq!(reader.lookup(source, from).unwrap(), model.get(&(from, source)).map(|r| r.values));
            let expected: Vec<Row> = model.values().filter(|r| r.source == source && r.ts >= from && r.ts < to).take(limit).copied().collect();
            prop_assert_eq!(reader.readings(source, from, to, limit).unwrap(), expected);
            let expected = model.values().rfind(|r| r.source == source && r.ts < from).copied();
            prop_assert_eq!(reader.row_before(source, from).unwrap().row(), expected);
        }
        let mut all = Vec::new();
        reader.scan(Ts(i64::MIN), Ts(i64::MAX), &mut |r| { all.push(r); ControlFlow::Continue(()) }).unwrap();
        prop_assert_eq!(all, model.values().copied().collect::<Vec<_>>());
        let mut folded = Vec::new();
        let mut push = |item| {
            if let FoldItem::Row { batch, row, .. } = item {
                folded.push((batch, row));
            }
            ControlFlow::Continue(())
        };
        reader.fold_from(0, &mut push).unwrap();
        prop_assert_eq!(folded, order);
    }
}
