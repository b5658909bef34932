//! `meters.csv`: which meters there are. Only the columns in [`COLUMNS`] are read: what else stands there (notes, labels) may be the
//! truth that a detector is measured against.

use super::limits::Reach;
use super::{Error, Notice, Problem};
use crate::domain::time::Ms;
use crate::domain::units::{Amount, Decimal, Unit};
use jiff::tz::{Offset, TimeZone};
use std::collections::HashMap;
use std::path::Path;

/// All that is read of the file. The first two must stand in it.
pub const COLUMNS: [&str; 7] = ["meter", "kind", "parent", "dt_s", "pulse_l", "households", "tz"];

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterLine {
    pub meter: String,
    /// None: not a water meter.
    pub reach: Option<Reach>,
    /// A valve, a room, a riser: its numbers are series of their own.
    pub is_sensor: bool,
    /// Position in the file's list.
    pub parent: Option<usize>,
    /// The usual pause between readings.
    pub every: Option<Ms>,
    /// Of one pulse, or of the register's last digit.
    pub pulse_weight: Option<Amount>,
    pub households: Option<u32>,
}

/// What the file says.
#[derive(Clone, Debug)]
pub struct Meters {
    pub list: Vec<MeterLine>,
    pub tz: TimeZone,
}

/// Reads the file. Every problem in it at once: a topology that is half right would give findings that are half wrong.
pub fn read(path: &Path, notices: &mut Vec<Notice>) -> Result<Meters, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
    parse(&bytes, notices).map_err(|problems| Error::Meters { path: path.to_owned(), problems })
}

fn parse(bytes: &[u8], notices: &mut Vec<Notice>) -> Result<Meters, Vec<Problem>> {
    // Excel writes a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut csv = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let at = Positions::find(&csv.byte_headers().cloned().unwrap_or_default())?;
    let mut file = File { lines: vec![], line_of: HashMap::new(), problems: vec![] };
    let mut record = csv::StringRecord::new();
    loop {
        match csv.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => {
                let line = e.position().map_or(1, csv::Position::line);
                file.wrong(line, "", "", &format!("the file cannot be read on: {e}"), "UTF-8 text, fields separated by commas");
                break;
            }
        }
        let line = record.position().map_or(1, csv::Position::line);
        if let Some(m) = file.meter(line, &at, &record, notices) {
            file.lines.push(m);
        }
    }
    if file.lines.is_empty() && file.problems.is_empty() {
        file.wrong(2, "meter", "", "the file names no meter", "a line for each meter");
    }
    let list = file.with_parents(notices);
    let tz = file.zone(notices);
    if file.problems.is_empty() { Ok(Meters { list, tz }) } else { Err(file.problems) }
}

/// Where the columns stand.
struct Positions([Option<usize>; COLUMNS.len()]);

impl Positions {
    fn find(header: &csv::ByteRecord) -> Result<Positions, Vec<Problem>> {
        let at = COLUMNS.map(|name| header.iter().position(|h| h == name.as_bytes()));
        let missing = COLUMNS.iter().zip(at).take(2).filter(|(_, i)| i.is_none());
        let found: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
        let problems: Vec<Problem> = missing
            .map(|(name, _)| Problem {
                line: 1,
                column: (*name).to_owned(),
                value: found.join(","),
                what: format!("the header has no column `{name}`"),
                right: format!("a first line like {}", COLUMNS.join(",")),
            })
            .collect();
        if problems.is_empty() { Ok(Positions(at)) } else { Err(problems) }
    }

    fn get<'r>(&self, column: Column, record: &'r csv::StringRecord) -> &'r str {
        self.0[column as usize].and_then(|i| record.get(i)).unwrap_or("")
    }
}

/// Index into [`COLUMNS`].
#[derive(Clone, Copy)]
enum Column {
    Meter,
    Kind,
    Parent,
    Every,
    Pulse,
    Households,
    Zone,
}

/// A line as far as it was understood, with what refers to other lines still as text.
struct Draft {
    line: u64,
    parent: String,
    zone: String,
    meter: MeterLine,
}

struct File {
    lines: Vec<Draft>,
    /// Where each meter stands: of a long list nobody waits for every pair to be compared.
    line_of: HashMap<String, u64>,
    problems: Vec<Problem>,
}

impl File {
    fn wrong(&mut self, line: u64, column: &str, value: &str, what: &str, right: &str) {
        let [column, value, what, right] = [column, value, what, right].map(str::to_owned);
        self.problems.push(Problem { line, column, value, what, right });
    }

    fn meter(&mut self, line: u64, at: &Positions, record: &csv::StringRecord, notices: &mut Vec<Notice>) -> Option<Draft> {
        let field = |c| at.get(c, record);
        let name = field(Column::Meter);
        if name.is_empty() {
            self.wrong(line, "meter", "", "the line names no meter", "a name that stands in no other line");
            return None;
        }
        if let Some(other) = self.line_of.get(name).copied() {
            let what = format!("the meter stands in line {other} already");
            self.wrong(line, "meter", name, &what, "each meter once");
            return None;
        }
        self.line_of.insert(name.to_owned(), line);
        let every = self.positive(line, "dt_s", field(Column::Every), Unit::One, "seconds between readings, such as 900").map(Ms);
        let pulse = self.positive(line, "pulse_l", field(Column::Pulse), Unit::Litre, "litres per pulse, such as 10").map(Amount);
        let households = match field(Column::Households) {
            "" => None,
            s => s
                .parse::<u32>()
                .map_err(|_| self.wrong(line, "households", s, "not a number of households", "a whole number, or nothing"))
                .ok(),
        };
        let no_pulses = pulse == Some(Amount::ZERO);
        let kind = field(Column::Kind);
        let reach = reach(kind, no_pulses);
        if reach.is_none() && !SENSORS.contains(&kind) {
            notices.push(Notice::UnknownKind { line, meter: name.to_owned(), kind: kind.to_owned() });
        }
        let meter = MeterLine {
            meter: name.to_owned(),
            reach,
            is_sensor: SENSORS.contains(&kind),
            parent: None,
            every: every.filter(|e| *e > Ms::ZERO),
            pulse_weight: pulse.map(|p| p.max(Amount(1))),
            households: households.filter(|n| *n > 0),
        };
        Some(Draft { line, parent: field(Column::Parent).to_owned(), zone: field(Column::Zone).to_owned(), meter })
    }

    /// A number that is not negative, in thousandths (of a second, of a litre).
    fn positive(&mut self, line: u64, column: &str, value: &str, unit: Unit, right: &str) -> Option<i64> {
        if value.is_empty() {
            return None;
        }
        match Decimal::parse(value).and_then(|d| d.in_smallest(unit)) {
            Ok(n) if n >= 0 => return Some(n),
            Ok(_) => self.wrong(line, column, value, "a negative number", right),
            Err(_) => self.wrong(line, column, value, "not a number", right),
        }
        None
    }

    fn with_parents(&mut self, notices: &mut Vec<Notice>) -> Vec<MeterLine> {
        let index: HashMap<&str, usize> = self.lines.iter().enumerate().map(|(i, l)| (l.meter.meter.as_str(), i)).collect();
        let mut parents = vec![None; self.lines.len()];
        for (i, l) in self.lines.iter().enumerate().filter(|(_, l)| !l.parent.is_empty()) {
            parents[i] = index.get(l.parent.as_str()).copied();
            if parents[i].is_none() {
                notices.push(Notice::UnknownParent { line: l.line, meter: l.meter.meter.clone(), parent: l.parent.clone() });
            }
        }
        for i in 0..parents.len() {
            // A way upwards that is longer than the list goes in a circle.
            let ends = std::iter::successors(Some(i), |p| parents[*p]).take(parents.len() + 1).count() <= parents.len();
            if !ends {
                let (line, parent) = (self.lines[i].line, self.lines[i].parent.clone());
                self.wrong(line, "parent", &parent, "the parents go in a circle", "the meter upstream; the first one has none");
            }
        }
        self.lines.iter().zip(parents).map(|(l, parent)| MeterLine { parent, ..l.meter.clone() }).collect()
    }

    /// One replay is one gateway, and a gateway has one wall clock: the one that most meters name.
    fn zone(&mut self, notices: &mut Vec<Notice>) -> TimeZone {
        let mut votes: Vec<(&str, u64, usize)> = vec![];
        for l in self.lines.iter().filter(|l| !l.zone.is_empty()) {
            match votes.iter_mut().find(|(z, _, _)| *z == l.zone) {
                Some(v) => v.2 += 1,
                None => votes.push((&l.zone, l.line, 1)),
            }
        }
        // Of equals the one that stands first.
        let Some(chosen) = votes.iter().rev().max_by_key(|v| v.2).map(|v| v.0.to_owned()) else {
            notices.push(Notice::NoZone);
            return TimeZone::UTC;
        };
        if votes.len() > 1 {
            notices.push(Notice::SeveralZones { chosen: chosen.clone(), others: votes.len() - 1 });
        }
        let bad: Vec<(u64, String)> = votes.iter().filter(|v| zone(v.0).is_none()).map(|v| (v.1, v.0.to_owned())).collect();
        for (line, value) in &bad {
            self.wrong(*line, "tz", value, "no time zone of this name", "an IANA name such as Asia/Shanghai, or an offset such as +08:00");
        }
        zone(&chosen).unwrap_or(TimeZone::UTC)
    }
}

/// Kinds that are known to be no water meters.
const SENSORS: [&str; 5] = ["valve", "sensor", "outdoor", "room", "supply"];

fn reach(kind: &str, no_pulses: bool) -> Option<Reach> {
    match kind.to_ascii_lowercase().as_str() {
        "household" | "home" | "flat" | "sub" => Some(Reach::Household),
        "district" | "dma" | "zone" => Some(Reach::District),
        // A house has a register that counts pulses; what transmits a flow stands in a main.
        "bulk" if no_pulses => Some(Reach::District),
        "bulk" | "building" | "unit" | "riser" | "compound" => Some(Reach::Building),
        "makeup" | "make-up" => Some(Reach::HeatingLoop),
        _ => None,
    }
}

/// `+08:00`, `-0330`, `Z`, or an IANA name.
fn zone(s: &str) -> Option<TimeZone> {
    let (sign, rest) = match s.as_bytes().first()? {
        b'+' => (1, &s[1..]),
        b'-' => (-1, &s[1..]),
        _ if s == "Z" => return Some(TimeZone::UTC),
        _ => return TimeZone::get(s).ok(),
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = digits.get(2..).filter(|m| !m.is_empty()).map_or(Some(0), |m| m.parse().ok())?;
    if minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok().map(TimeZone::fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        parse(text.as_bytes(), &mut vec![]).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_the_named_columns_are_read_in_any_order() {
        let text = "\u{feff}note,tz,meter,parent,kind,dt_s,pulse_l,households\n\
                    x,+08:00,A,B,household,900,10,1\ny,+08:00,B,,bulk,300,100,46\nz,+08:00,V,,valve,,,\n";
        let mut notices = vec![];
        let m = parse(text.as_bytes(), &mut notices).unwrap();
        assert_eq!(notices, []);
        assert_eq!(m.tz, TimeZone::fixed(jiff::tz::offset(8)));
        assert_eq!((m.list[0].parent, m.list[0].reach, m.list[0].every), (Some(1), Some(Reach::Household), Some(Ms::minutes(15))));
        assert_eq!((m.list[1].pulse_weight, m.list[1].households), (Some(Amount::litres(100)), Some(46)));
        assert_eq!(m.list[2].reach, None);
    }

    #[test]
    fn a_bulk_meter_without_pulses_is_a_districts_inflow() {
        let m = parse(b"meter,kind,pulse_l\nA,bulk,0\nB,bulk,1\nC,dma,10\n", &mut vec![]).unwrap();
        let reach: Vec<_> = m.list.iter().map(|l| l.reach).collect();
        assert_eq!(reach, [Some(Reach::District), Some(Reach::Building), Some(Reach::District)]);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let text =
            "meter,kind,parent,dt_s,pulse_l,households,tz\nA,household,B,fast,-1,2.5,\nB,bulk,A,,,,Mars/Base\n,bulk,,,,,\nA,bulk,,,,,\n";
        insta::assert_snapshot!(problems(text).join("\n"));
        insta::assert_snapshot!(problems("name,value\n1,2\n").join("\n"));
    }

    #[test]
    fn zones_may_be_names_or_offsets_and_the_most_frequent_wins() {
        assert_eq!(zone("-03:30"), Some(TimeZone::fixed(Offset::from_seconds(-12_600).unwrap())));
        assert_eq!(zone("+0800"), zone("+08"));
        assert!(zone("Asia/Shanghai").is_some() && zone("UTC").is_some());
        for bad in ["+8", "+08:60", "+ab:cd", "Nowhere", "+99:00"] {
            assert_eq!(zone(bad), None, "{bad}");
        }
        let mut notices = vec![];
        let m = parse(b"meter,kind,tz\nA,bulk,+01:00\nB,bulk,+08:00\nC,bulk,+08:00\n", &mut notices).unwrap();
        assert_eq!(m.tz, TimeZone::fixed(jiff::tz::offset(8)));
        assert_eq!(notices, [Notice::SeveralZones { chosen: "+08:00".to_owned(), others: 1 }]);
    }
}
