//! (ts, source) as the one integer that SQLite calls a rowid.
//!
//! A table by rowid appends to its last page; the same two columns as a composite key make SQLite redistribute the last pages at every
//! split, which wrote 47 % more at 25 rows per commit. The order is the same: by time, then by source.

use crate::domain::reading::SourceId;
use crate::domain::time::Ts;

/// Room for the source: 1 048 576 of them.
const SOURCE_BITS: u32 = 20;
const SOURCE_MASK: i64 = (1 << SOURCE_BITS) - 1;

/// Half the room for the time, in milliseconds: from 1830 to 2109. A bit of room is left, so that no sum overflows.
const TS_LIMIT: i64 = 1 << 42;

/// The key of a row; None beyond what a key can hold.
pub(super) fn key(ts: Ts, source: SourceId) -> Option<i64> {
    let held = (-TS_LIMIT..TS_LIMIT).contains(&ts.0) && i64::from(source.0) <= SOURCE_MASK;
    held.then(|| ts.0 << SOURCE_BITS | i64::from(source.0))
}

/// The first key at or after `ts`; beyond the ends, one that lies beyond all keys.
pub(super) fn floor(ts: Ts) -> i64 {
    ts.0.clamp(-TS_LIMIT, TS_LIMIT) << SOURCE_BITS
}

pub(super) fn split(key: i64) -> (Ts, SourceId) {
    // The mask leaves 20 bits, so the conversion cannot fail.
    (Ts(key >> SOURCE_BITS), SourceId(u32::try_from(key & SOURCE_MASK).unwrap_or(u32::MAX)))
}

/// Room for the time in a chunk's key.
const CHUNK_TS_BITS: u32 = 43;

/// The key of the chunk of a source that begins at `ts`: by source first, so that the chunks of one source lie together. Beyond the ends
/// of time, the first or the last there can be.
pub(super) fn chunk(source: SourceId, ts: Ts) -> i64 {
    i64::from(source.0) << CHUNK_TS_BITS | (ts.0.clamp(-TS_LIMIT, TS_LIMIT - 1) + TS_LIMIT)
}

/// Source and beginning of a chunk.
pub(super) fn split_chunk(key: i64) -> (SourceId, Ts) {
    // A key of ours is positive, and its source has 20 bits.
    let source = u32::try_from(key >> CHUNK_TS_BITS).unwrap_or(u32::MAX);
    (SourceId(source), Ts((key & ((1 << CHUNK_TS_BITS) - 1)) - TS_LIMIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_holds_both_and_sorts_by_time_first() {
        let edges = [(-TS_LIMIT, 0), (-1, 5), (-1, 1_048_575), (0, 0), (0, 1), (1_795_489_445_000, 150), (TS_LIMIT - 1, 1_048_575)];
        let keys: Vec<i64> = edges.iter().map(|(t, s)| key(Ts(*t), SourceId(*s)).unwrap()).collect();
        assert!(keys.is_sorted());
        for ((t, s), k) in edges.iter().zip(keys) {
            assert_eq!(split(k), (Ts(*t), SourceId(*s)));
            assert!(floor(Ts(*t)) <= k && k < floor(Ts(*t + 1)));
        }
        assert!(floor(Ts(i64::MIN)) <= key(Ts(-TS_LIMIT), SourceId(0)).unwrap());
        assert!(floor(Ts(i64::MAX)) > key(Ts(TS_LIMIT - 1), SourceId(1_048_575)).unwrap());
    }

    #[test]
    fn a_chunks_key_sorts_by_source_first() {
        let edges = [(0, -TS_LIMIT), (0, 0), (0, TS_LIMIT - 1), (1, -TS_LIMIT), (150, 1_795_489_445_000), (1_048_575, TS_LIMIT - 1)];
        let keys: Vec<i64> = edges.iter().map(|(s, t)| chunk(SourceId(*s), Ts(*t))).collect();
        assert!(keys.is_sorted() && keys.iter().all(|k| *k >= 0));
        for ((s, t), k) in edges.iter().zip(keys) {
            assert_eq!(split_chunk(k), (SourceId(*s), Ts(*t)));
        }
        assert_eq!(chunk(SourceId(3), Ts(i64::MIN)), chunk(SourceId(3), Ts(-TS_LIMIT)));
        assert_eq!(chunk(SourceId(3), Ts(i64::MAX)), chunk(SourceId(3), Ts(TS_LIMIT - 1)));
    }

    #[test]
    fn every_instant_that_the_decoder_lets_in_has_a_key() {
        for ts in [Ts::EARLIEST, Ts::LATEST] {
            assert!(key(ts, SourceId(1_048_575)).is_some());
        }
    }

    #[test]
    fn what_a_key_cannot_hold_is_none() {
        assert_eq!(key(Ts(TS_LIMIT), SourceId(0)), None);
        assert_eq!(key(Ts(-TS_LIMIT - 1), SourceId(0)), None);
        assert_eq!(key(Ts(0), SourceId(1_048_576)), None);
    }
}
