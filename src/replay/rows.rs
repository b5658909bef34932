//! One CSV file of readings, plain or gzip: `ts,meter,value,unit` in any order of columns.

use super::series::{MAX_SERIES, SeriesIx, SeriesTable};
use super::stamp::Stamps;
use super::{Error, SINCE};
use crate::domain::reading::{Reject, excerpt};
use crate::domain::time::Ts;
use crate::domain::units::{Decimal, NumberError, Quantity, Unit};
use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

const BUFFER: usize = 128 * 1024;
const GZIP: &[u8] = &[0x1f, 0x8b];
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A row that was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub line: u64,
    pub series: SeriesIx,
    pub ts: Ts,
    /// When it could be known: a mean flow only at the end of its span.
    pub known: Ts,
    /// In the smallest unit of the series' quantity.
    pub value: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Row(Row),
    Bad { line: u64, reason: Reject },
}

/// A file at a place in it.
pub struct Rows {
    pub path: PathBuf,
    csv: csv::Reader<Box<dyn Read>>,
    record: csv::ByteRecord,
    at: Columns,
    stamps: Stamps,
    /// The last row's unit: nearly always the next one's as well.
    unit: (Vec<u8>, Unit),
}

#[derive(Clone, Copy)]
struct Columns {
    ts: usize,
    meter: usize,
    value: usize,
    unit: usize,
}

impl Rows {
    /// Opens a file and reads its header. `bar` follows the bytes on disk.
    pub fn open(path: &Path, bar: &ProgressBar) -> Result<Rows, Error> {
        let opened = |source| Error::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(opened)?;
        let bytes = bytes_of(BufReader::with_capacity(BUFFER, bar.wrap_read(file))).map_err(opened)?;
        let mut csv = csv::ReaderBuilder::new().flexible(true).buffer_capacity(BUFFER).from_reader(bytes);
        let header = csv.byte_headers().map_err(|e| read_error(path, 0, e))?.clone();
        let column = |name: &'static str| {
            header.iter().position(|h| h == name.as_bytes()).ok_or_else(|| Error::Header {
                path: path.to_owned(),
                column: name,
                found: header.iter().map(excerpt).collect::<Vec<_>>().join(","),
            })
        };
        let at = Columns { ts: column("ts")?, meter: column("meter")?, value: column("value")?, unit: column("unit")? };
        let unit = (b"L".to_vec(), Unit::Litre);
        Ok(Rows { path: path.to_owned(), csv, record: csv::ByteRecord::new(), at, stamps: Stamps::default(), unit })
    }

    /// The next row, None at the end.
    pub fn next(&mut self, series: &mut SeriesTable) -> Result<Option<Item>, Error> {
        let before = self.csv.position().line();
        if !self.csv.read_byte_record(&mut self.record).map_err(|e| read_error(&self.path, before.saturating_sub(1), e))? {
            return Ok(None);
        }
        let line = self.record.position().map_or(before, csv::Position::line);
        Ok(Some(match self.row(line, series) {
            Ok(row) => Item::Row(row),
            Err(reason) => Item::Bad { line, reason },
        }))
    }

    fn row(&mut self, line: u64, series: &mut SeriesTable) -> Result<Row, Reject> {
        let stamp = field(&self.record, self.at.ts, "ts")?;
        let ts = self.stamps.parse(stamp).ok_or_else(|| Reject::TimeSyntax { at: "ts".to_owned(), found: excerpt(stamp) })?;
        if ts < SINCE {
            return Err(Reject::TimeOld { ts, since: SINCE });
        }
        let spelled = field(&self.record, self.at.unit, "unit")?;
        let unit = known_unit(&mut self.unit, spelled);
        let number = field(&self.record, self.at.value, "value")?;
        let meter = field(&self.record, self.at.meter, "meter")?;
        let meter = std::str::from_utf8(meter).map_err(|e| Reject::Utf8 { at: e.valid_up_to() })?;
        let ix = series.find(meter).ok_or(Reject::Sources { limit: MAX_SERIES })?;
        let s = series.get_mut(ix);
        let known_as = s.quantity.or(unit.map(Unit::quantity));
        let Some(unit) = unit.filter(|u| Some(u.quantity()) == known_as) else {
            let expected = known_as.unwrap_or(Quantity::Volume);
            return Err(Reject::Unit { at: "unit".to_owned(), found: excerpt(spelled), expected });
        };
        s.quantity = known_as;
        let value = value(number, unit)?;
        let known = if unit.quantity() == Quantity::Flow { ts + s.span } else { ts };
        Ok(Row { line, series: ix, ts, known, value })
    }
}

fn known_unit(last: &mut (Vec<u8>, Unit), spelled: &[u8]) -> Option<Unit> {
    if last.0 != spelled {
        *last = (spelled.to_vec(), Unit::parse(std::str::from_utf8(spelled).ok()?)?);
    }
    Some(last.1)
}

fn field<'r>(record: &'r csv::ByteRecord, at: usize, name: &str) -> Result<&'r [u8], Reject> {
    record.get(at).filter(|f| !f.is_empty()).ok_or_else(|| Reject::Missing { at: name.to_owned() })
}

/// An integer of the smallest unit. Short whole numbers, which registers are, go without 128-bit arithmetic.
fn value(number: &[u8], unit: Unit) -> Result<i64, Reject> {
    if number.len() <= 12 && number.iter().all(u8::is_ascii_digit) {
        let n = number.iter().fold(0i64, |n, d| n * 10 + i64::from(d - b'0'));
        if let Some(v) = unit.factor().and_then(|f| n.checked_mul(f)) {
            return Ok(v);
        }
    }
    let text = std::str::from_utf8(number).map_err(|_| NumberError::Syntax);
    text.and_then(Decimal::parse).and_then(|d| d.in_smallest(unit)).map_err(|e| {
        let (at, found) = ("value".to_owned(), excerpt(number));
        match e {
            NumberError::Syntax => Reject::Number { at, found },
            NumberError::Range => Reject::Range { at, found },
        }
    })
}

/// The bytes of the table: unpacked if the file is gzip (by its first bytes, not by its name), without a byte order mark.
fn bytes_of(mut file: impl BufRead + 'static) -> io::Result<Box<dyn Read>> {
    if file.fill_buf()?.starts_with(GZIP) {
        let mut unpacked = BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file));
        skip_bom(&mut unpacked)?;
        return Ok(Box::new(unpacked));
    }
    skip_bom(&mut file)?;
    Ok(Box::new(file))
}

fn skip_bom(bytes: &mut impl BufRead) -> io::Result<()> {
    if bytes.fill_buf()?.starts_with(BOM) {
        bytes.consume(BOM.len());
    }
    Ok(())
}

fn read_error(path: &Path, line: u64, e: csv::Error) -> Error {
    let source = match e.into_kind() {
        csv::ErrorKind::Io(e) => e,
        other => io::Error::new(io::ErrorKind::InvalidData, format!("{other:?}")),
    };
    Error::Read { path: path.to_owned(), line, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_read_a_number_agree() {
        for s in ["0", "007", "376700", "999999999999"] {
            for (_, unit) in Unit::SPELLINGS {
                let slow = Decimal::parse(s).and_then(|d| d.in_smallest(*unit));
                assert_eq!(value(s.as_bytes(), *unit).ok(), slow.ok(), "{s} {unit}");
            }
        }
        assert_eq!(value(b"8.752", Unit::LitrePerSecond), Ok(31_507_200));
        assert_eq!(value(b"-3", Unit::Litre), Ok(-3_000));
        assert!(matches!(value(b"12 L", Unit::Litre), Err(Reject::Number { found, .. }) if found == "12 L"));
        assert!(matches!(value(b"9999999999999999999", Unit::CubicMetre), Err(Reject::Range { .. })));
        assert!(matches!(value(b"\xff", Unit::Litre), Err(Reject::Number { .. })));
    }
}
