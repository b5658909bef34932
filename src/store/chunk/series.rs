//! A series of integers in few bytes, and as few of them in memory.
//!
//! What grows by the same step each time is told by its beginning and its step. Anything else is told as distances from the first value in
//! their largest common unit (a register in litres, a temperature in tenths), in the narrowest integers that hold them, packed by pco.
//! All arithmetic wraps, so every series of 64-bit integers comes back as it was.

use super::bytes::{Bytes, Damaged, put_signed, put_unsigned};
use pco::ChunkConfig;
use pco::data_types::Number;
use pco::standalone::{simple_compress, simple_decompress_into};

/// Of what integers the distances are; also how a series begins in the body.
const LINE: u8 = 0;
const NARROW: u8 = 1;
const MIDDLE: u8 = 2;
const WIDE: u8 = 3;

/// A series as it was read: it takes two bytes per value where these are enough.
#[derive(Debug)]
pub(super) enum Series {
    Line { first: i64, step: i64 },
    Packed { first: i64, unit: i64, distances: Distances },
}

#[derive(Debug)]
pub(super) enum Distances {
    Narrow(Vec<i16>),
    Middle(Vec<i32>),
    Wide(Vec<i64>),
}

impl Series {
    /// The value at `i`, which must be below the length that the series was read with.
    pub(super) fn get(&self, i: usize) -> i64 {
        match self {
            Series::Line { first, step } => first.wrapping_add(step.wrapping_mul(i as i64)),
            Series::Packed { first, unit, distances } => first.wrapping_add(unit.wrapping_mul(match distances {
                Distances::Narrow(d) => i64::from(d[i]),
                Distances::Middle(d) => i64::from(d[i]),
                Distances::Wide(d) => d[i],
            })),
        }
    }

    /// At least one value, as narrow as it can be.
    pub(super) fn of(values: &[i64]) -> Series {
        let Reduced { first, unit, distances } = Reduced::of(values);
        let distances = if distances.iter().all(|d| i32::try_from(*d).is_ok()) {
            // None is left out: all were just found to fit.
            Distances::Middle(distances.iter().filter_map(|d| i32::try_from(*d).ok()).collect())
        } else {
            Distances::Wide(distances)
        };
        Series::Packed { first, unit, distances }
    }

    /// Reads a series of `n` values.
    pub(super) fn read(bytes: &mut Bytes<'_>, n: usize) -> Result<Series, Damaged> {
        let kind = bytes.byte()?;
        let first = bytes.signed()?;
        if kind == LINE {
            return Ok(Series::Line { first, step: bytes.signed()? });
        }
        let unit = bytes.signed()?;
        let length = usize::try_from(bytes.unsigned()?).map_err(|_| Damaged)?;
        let packed = bytes.take(length)?;
        let distances = match kind {
            NARROW => Distances::Narrow(unpack(packed, n)?),
            MIDDLE => Distances::Middle(unpack(packed, n)?),
            WIDE => Distances::Wide(unpack(packed, n)?),
            _ => return Err(Damaged),
        };
        Ok(Series::Packed { first, unit, distances })
    }

    /// Passes over a series.
    pub(super) fn skip(bytes: &mut Bytes<'_>) -> Result<(), Damaged> {
        let kind = bytes.byte()?;
        bytes.signed()?;
        bytes.signed()?;
        if kind != LINE {
            let length = usize::try_from(bytes.unsigned()?).map_err(|_| Damaged)?;
            bytes.take(length)?;
        }
        Ok(())
    }
}

fn unpack<T: Number + Default>(packed: &[u8], n: usize) -> Result<Vec<T>, Damaged> {
    let mut values = vec![T::default(); n];
    let progress = simple_decompress_into(packed, &mut values).map_err(|_| Damaged)?;
    if progress.n_processed == n && progress.finished { Ok(values) } else { Err(Damaged) }
}

/// Distances from the first value, in their largest common unit.
pub(super) struct Reduced {
    pub first: i64,
    pub unit: i64,
    pub distances: Vec<i64>,
}

impl Reduced {
    /// Of at least one value.
    pub(super) fn of(values: &[i64]) -> Reduced {
        let first = values.first().copied().unwrap_or(0);
        let mut distances: Vec<i64> = values.iter().map(|v| v.wrapping_sub(first)).collect();
        let mut unit = 0;
        for d in &distances {
            unit = common(unit, d.unsigned_abs());
            if unit == 1 {
                break;
            }
        }
        // Beyond i64 there is but one magnitude, 2^63: then nothing is divided.
        let unit = i64::try_from(unit).unwrap_or(1).max(1);
        if unit > 1 {
            distances.iter_mut().for_each(|d| *d /= unit);
        }
        Reduced { first, unit, distances }
    }

    /// Roughly how many bits it takes: of the distances, or of their steps if these are smaller.
    pub(super) fn bits(&self) -> u64 {
        let (mut whole, mut steps, mut last) = (0, 0, 0i64);
        for d in &self.distances {
            whole += bits(*d);
            steps += bits(d.wrapping_sub(last));
            last = *d;
        }
        whole.min(steps)
    }

    pub(super) fn write(&self, thorough: bool, out: &mut Vec<u8>) {
        let step = self.distances.get(1).copied().unwrap_or(0);
        if self.distances.windows(2).all(|w| w[1].wrapping_sub(w[0]) == step) {
            out.push(LINE);
            put_signed(self.first, out);
            put_signed(step.wrapping_mul(self.unit), out);
            return;
        }
        let (least, greatest) = self.distances.iter().fold((0, 0), |(a, b): (i64, i64), d| (a.min(*d), b.max(*d)));
        let (kind, packed) = if let (Ok(_), Ok(_)) = (i16::try_from(least), i16::try_from(greatest)) {
            (NARROW, pack::<i16>(&self.distances, thorough))
        } else if let (Ok(_), Ok(_)) = (i32::try_from(least), i32::try_from(greatest)) {
            (MIDDLE, pack::<i32>(&self.distances, thorough))
        } else {
            (WIDE, pack::<i64>(&self.distances, thorough))
        };
        out.push(kind);
        put_signed(self.first, out);
        put_signed(self.unit, out);
        put_unsigned(packed.len() as u64, out);
        out.extend_from_slice(&packed);
    }
}

/// The narrower type was chosen because it holds every distance.
fn pack<T: Number + TryFrom<i64> + Default>(distances: &[i64], thorough: bool) -> Vec<u8> {
    let config = ChunkConfig::default().with_compression_level(if thorough { 8 } else { 4 });
    let narrow: Vec<T> = distances.iter().map(|d| T::try_from(*d).unwrap_or_default()).collect();
    // It refuses only configs that contradict themselves; this one is its own default but for the level. And an empty body is refused when read.
    simple_compress(&narrow, &config).unwrap_or_default()
}

fn bits(x: i64) -> u64 {
    let folded = (x << 1) ^ (x >> 63);
    u64::from(64 - folded.leading_zeros())
}

/// The greatest common divisor.
fn common(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
