//! Frames of CJ/T 188-2004, as a bus converter or a modem passes them on: bytes, or hex digits as text.
//!
//! ```text
//! FE FE 68 T A0 … A6 C L DI0 DI1 SER data … CS 16
//! ```
//!
//! `T` is the kind of meter, `A0` the lowest byte of its address, `C` what is asked (bit 7: it is the answer, bit 6: it is an error),
//! `L` the number of bytes from `DI0` up to `CS`, and `CS` the sum of all bytes from 68 on. Numbers are BCD, lowest byte first.
//! The data id 901F ("measured data now") is sent as `90 1F` by the text of 2004 and as `1F 90` by that of 2018, so both are taken.
//!
//! A meter for water or gas answers with 22 bytes: current volume, settlement-day volume, clock, status. A heat meter answers with 46:
//! settlement-day heat, current heat (in this order), power, flow, volume, supply, return, hours, clock, status. No other length is
//! read: makers append to both layouts, and what they mean by it would be a guess.
//!
//! Not sure, because only second-hand descriptions of the standard's tables were at hand:
//!
//! * The status bits are counted from the low end: valve in bits 0 and 1, battery in bit 2 of the first byte. At least two programs
//!   in the field count from the high end. `status_raw` keeps the bytes for a profile that must.
//! * A heat meter's volume is taken with two decimal places as the standard has it; a maker is known whose meters have three.
//! * Temperatures have no sign.

use std::borrow::Cow;
use std::fmt;

/// A name and the text that stands there.
type Entry = (&'static str, String);

const START: u8 = 0x68;
const END: u8 = 0x16;
/// Sent before a frame to wake the line.
const WAKE: u8 = 0xFE;
/// The bytes of a frame up to its length byte.
const HEAD: usize = 11;

/// The bytes of the data id and the serial number, which `L` counts as well.
const DATA_HEAD: usize = 3;
const VOLUME_METER: usize = DATA_HEAD + 19;
const HEAT_METER: usize = DATA_HEAD + 43;

/// A unit byte, the unit that it means, and by how many places it moves the decimal point to the right.
type UnitByte = (u8, &'static str, usize);

const VOLUMES: &[UnitByte] = &[(0x29, "L", 0), (0x2C, "m3", 0)];
const ENERGIES: &[UnitByte] = &[
    (0x01, "J", 0),
    (0x02, "Wh", 0),
    (0x05, "kWh", 0),
    (0x08, "MWh", 0),
    (0x0A, "MWh", 2),
    (0x0B, "kJ", 0),
    (0x0E, "MJ", 0),
    (0x11, "GJ", 0),
    (0x13, "GJ", 2),
];
// Megawatts (1A) become kilowatts: no column knows the former.
const POWERS: &[UnitByte] = &[(0x14, "W", 0), (0x17, "kW", 0), (0x1A, "kW", 3)];
const FLOWS: &[UnitByte] = &[(0x32, "L/h", 0), (0x35, "m3/h", 0)];

/// Why a payload is no frame, or a frame says nothing that can be trusted. `at` counts bytes of the payload from 0. Where the payload
/// is hex text, it counts the bytes that the text stands for; only [`FrameError::Hex`] and [`FrameError::HalfByte`] are about the text
/// itself and count its characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// Nothing is there but wake-up bytes and white space.
    Empty,
    /// The payload does not begin as a frame, and here stands what is no hex digit.
    Hex { at: usize, found: u8 },
    /// A byte of hex text has one digit only; `at` is that digit's place.
    HalfByte { at: usize },
    /// A frame must begin here.
    Start { at: usize, found: u8 },
    /// The payload ends inside the frame that begins at `at`.
    Cut { at: usize, has: usize, needs: usize },
    /// The sum that the frame at `at` has is not the sum of its bytes.
    Checksum { at: usize, found: u8, right: u8 },
    /// The frame does not end where its length says.
    End { at: usize, found: u8 },
    /// A kind of meter whose answers have no known layout.
    Kind { at: usize, found: u8 },
    /// An answer of `found` bytes where its kind of meter sends `right`.
    Length { at: usize, found: usize, right: usize },
    /// A number with a digit above 9; `found` is its bytes in hex as they were sent.
    Digit { field: &'static str, found: String },
    /// A unit byte that means nothing, or something else than what is measured here.
    Unit { field: &'static str, found: u8, right: &'static [UnitByte] },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Empty => f.write_str("no frame in it"),
            FrameError::Hex { at, found } => write!(f, "0x{found:02X} at {at} where a frame begins (0x68) or a hex digit stands"),
            FrameError::HalfByte { at } => write!(f, "one hex digit at {at} where a byte needs two"),
            FrameError::Start { at, found } => write!(f, "0x{found:02X} at {at} where a frame begins (0x68)"),
            FrameError::Cut { at, has, needs } => write!(f, "frame at {at}: cut off after {has} bytes of {needs}"),
            FrameError::Checksum { at, found, right } => {
                write!(f, "frame at {at}: checksum 0x{right:02X} where the frame says 0x{found:02X}")
            }
            FrameError::End { at, found } => write!(f, "frame at {at}: ends with 0x{found:02X} where 0x16 must stand"),
            FrameError::Kind { at, found } => write!(f, "frame at {at}: kind of meter 0x{found:02X} where 10 to 39 are known"),
            FrameError::Length { at, found, right } => write!(f, "frame at {at}: {found} bytes of data where {right} are known"),
            FrameError::Digit { field, found } => write!(f, "{field}: digit above 9 in {found}"),
            FrameError::Unit { field, found, right } => {
                write!(f, "{field}: unit 0x{found:02X} where one of")?;
                right.iter().try_for_each(|(byte, _, _)| write!(f, " {byte:02X}"))?;
                f.write_str(" stands")
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// What the meters' answers in `payload` say, one list for each answer that carries a reading or an error. Requests, and answers to
/// other questions than the one for measured data, give no list, but their frames must be right as well.
///
/// `meter`, `type`, `status` and `status_raw` are always there (`meter` not if the address is that of all meters); the rest where
/// the meter has it: `total`, `settlement`, `clock`, and from heat meters also `energy`, `power`, `flow`, `supply`, `return`,
/// `hours`. `settlement` is a volume of water and gas meters, and an energy of heat meters.
pub(super) fn read(payload: &[u8]) -> Result<Vec<Vec<Entry>>, FrameError> {
    let bytes = match payload.first() {
        // Neither is a hex digit: 0x68 is `h`, and 0xFE is no ASCII.
        Some(&(START | WAKE)) => Cow::Borrowed(payload),
        _ => Cow::Owned(from_hex(payload)?),
    };
    let mut out = Vec::new();
    let (mut at, mut frames) = (0, 0_usize);
    loop {
        at += rest(&bytes, at).iter().take_while(|b| **b == WAKE || blank(**b)).count();
        if rest(&bytes, at).is_empty() {
            break;
        }
        let frame = Frame::first_of(rest(&bytes, at), at)?;
        at += frame.size();
        frames += 1;
        out.extend(frame.entries()?);
    }
    if frames == 0 { Err(FrameError::Empty) } else { Ok(out) }
}

fn rest(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or_default()
}

/// What a converter may put around frames: white space, and the NUL of a C string.
fn blank(b: u8) -> bool {
    b == 0 || b.is_ascii_whitespace()
}

/// Bytes from hex digits, with or without white space between the bytes.
fn from_hex(text: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut high: Option<(usize, u8)> = None;
    for (at, &b) in text.iter().enumerate() {
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            b'A'..=b'F' => b - b'A' + 10,
            _ if blank(b) => match high {
                Some((at, _)) => return Err(FrameError::HalfByte { at }),
                None => continue,
            },
            _ => return Err(FrameError::Hex { at, found: b }),
        };
        high = match high {
            Some((_, high)) => {
                out.push(high << 4 | digit);
                None
            }
            None => Some((at, digit)),
        };
    }
    match high {
        Some((at, _)) => Err(FrameError::HalfByte { at }),
        None => Ok(out),
    }
}

/// A frame whose length, sum and end are right.
struct Frame<'a> {
    /// Where it begins in the payload.
    at: usize,
    kind: u8,
    address: &'a [u8; 7],
    control: u8,
    /// From the data id up to the sum.
    data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the head of `bytes`.
    fn first_of(bytes: &'a [u8], at: usize) -> Result<Frame<'a>, FrameError> {
        if let Some(&found) = bytes.first()
            && found != START
        {
            return Err(FrameError::Start { at, found });
        }
        let cut = |needs| FrameError::Cut { at, has: bytes.len(), needs };
        let (head, behind) = bytes.split_first_chunk::<HEAD>().ok_or_else(|| cut(HEAD + 2))?;
        let [_, kind, address @ .., control, length] = head;
        let length = usize::from(*length);
        let (Some(data), Some(&sum), Some(&end)) = (behind.get(..length), behind.get(length), behind.get(length + 1)) else {
            return Err(cut(HEAD + length + 2));
        };
        let right = head.iter().chain(data).fold(0_u8, |sum, b| sum.wrapping_add(*b));
        if sum != right {
            return Err(FrameError::Checksum { at, found: sum, right });
        }
        if end != END {
            return Err(FrameError::End { at, found: end });
        }
        Ok(Frame { at, kind: *kind, address, control: *control, data })
    }

    /// How many bytes it takes.
    fn size(&self) -> usize {
        HEAD + self.data.len() + 2
    }

    /// None if it carries neither a reading nor an error.
    fn entries(&self) -> Result<Option<Vec<Entry>>, FrameError> {
        const ANSWER: u8 = 0x80;
        const ERROR: u8 = 0x40;
        const READ_DATA: u8 = ANSWER | 0x01;
        if self.control & ANSWER == 0 {
            return Ok(None);
        }
        let mut out = Vec::new();
        out.extend(self.meter().map(|meter| ("meter", meter)));
        out.push(("type", format!("{:02X}", self.kind)));
        if self.control & ERROR != 0 {
            let &[_serial, first, second] = self.data else { return Err(self.length(DATA_HEAD)) };
            status(&mut out, &["error"], [first, second]);
            return Ok(Some(out));
        }
        if self.control != READ_DATA {
            return Ok(None);
        }
        let [first, second, _serial, data @ ..] = self.data else { return Err(self.length(DATA_HEAD)) };
        if !matches!((first, second), (0x90, 0x1F) | (0x1F, 0x90)) {
            return Ok(None);
        }
        match self.kind {
            0x10..=0x19 | 0x30..=0x39 => self.volume_meter(data, &mut out)?,
            0x20..=0x29 => self.heat_meter(data, &mut out)?,
            found => return Err(FrameError::Kind { at: self.at, found }),
        }
        Ok(Some(out))
    }

    fn volume_meter(&self, data: &[u8], out: &mut Vec<Entry>) -> Result<(), FrameError> {
        let mut fields = self.fields(data, VOLUME_METER)?;
        out.extend(with_unit("total", fields.take()?, 2, VOLUMES)?);
        out.extend(with_unit("settlement", fields.take()?, 2, VOLUMES)?);
        out.extend(clock(*fields.take()?).map(|text| ("clock", text)));
        status(out, &[], *fields.take()?);
        Ok(())
    }

    fn heat_meter(&self, data: &[u8], out: &mut Vec<Entry>) -> Result<(), FrameError> {
        let mut fields = self.fields(data, HEAT_METER)?;
        out.extend(with_unit("settlement", fields.take()?, 2, ENERGIES)?);
        out.extend(with_unit("energy", fields.take()?, 2, ENERGIES)?);
        out.extend(with_unit("power", fields.take()?, 2, POWERS)?);
        out.extend(with_unit("flow", fields.take()?, 4, FLOWS)?);
        out.extend(with_unit("total", fields.take()?, 2, VOLUMES)?);
        for field in ["supply", "return"] {
            out.extend(digits(field, fields.take::<3>()?)?.map(|d| (field, pointed(&d, 2, 0) + " °C")));
        }
        out.extend(digits("hours", fields.take::<3>()?)?.map(|d| ("hours", pointed(&d, 0, 0))));
        out.extend(clock(*fields.take()?).map(|text| ("clock", text)));
        status(out, &[], *fields.take()?);
        Ok(())
    }

    /// The address as it is printed on the meter, without the bytes of zeros that fill it up to seven. Makers are known who use
    /// letters in it, so it is hex rather than BCD.
    fn meter(&self) -> Option<String> {
        if self.address.iter().all(|b| *b == 0xAA) {
            return None;
        }
        let filled = self.address.iter().rposition(|b| *b != 0).unwrap_or(0);
        Some(self.address.iter().take(filled + 1).rev().map(|b| format!("{b:02X}")).collect())
    }

    fn fields<'d>(&self, rest: &'d [u8], right: usize) -> Result<Fields<'d>, FrameError> {
        let wrong = self.length(right);
        if self.data.len() == right { Ok(Fields { rest, wrong }) } else { Err(wrong) }
    }

    fn length(&self, right: usize) -> FrameError {
        FrameError::Length { at: self.at, found: self.data.len(), right }
    }
}

/// What is left of an answer.
struct Fields<'a> {
    rest: &'a [u8],
    /// What is said if nothing is left; the length was looked at before, so it never is.
    wrong: FrameError,
}

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], FrameError> {
        let (field, rest) = self.rest.split_first_chunk().ok_or_else(|| self.wrong.clone())?;
        self.rest = rest;
        Ok(field)
    }
}

/// A number of eight digits, `places` of them behind the point, and its unit byte. None if the meter does not have it.
fn with_unit(field: &'static str, bytes: &[u8; 5], places: usize, units: &'static [UnitByte]) -> Result<Option<Entry>, FrameError> {
    let [number @ .., unit] = bytes;
    // Zero of no unit says nothing either: it is how a meter fills a place that it does not serve.
    if bytes.iter().all(|b| *b == 0) {
        return Ok(None);
    }
    let Some(digits) = digits(field, number)? else { return Ok(None) };
    let (_, name, shift) = units.iter().find(|(byte, _, _)| byte == unit).ok_or(FrameError::Unit { field, found: *unit, right: units })?;
    Ok(Some((field, format!("{} {name}", pointed(&digits, places, *shift)))))
}

/// The digits of a BCD number, highest first. None if all of it is filler.
fn digits(field: &'static str, bytes: &[u8]) -> Result<Option<String>, FrameError> {
    if [0xFF, 0xEE].iter().any(|filler| bytes.iter().all(|b| b == filler)) {
        return Ok(None);
    }
    bytes.iter().rev().map(|b| bcd(*b).map(|n| format!("{n:02}"))).collect::<Option<String>>().map(Some).ok_or_else(|| {
        let found = bytes.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(" ");
        FrameError::Digit { field, found }
    })
}

fn bcd(b: u8) -> Option<u8> {
    let (tens, ones) = (b >> 4, b & 0x0F);
    (tens < 10 && ones < 10).then_some(tens * 10 + ones)
}

/// `digits` with `places` of them behind the point, and the point then moved `shift` places to the right.
fn pointed(digits: &str, places: usize, shift: usize) -> String {
    let mut digits = digits.to_owned();
    digits.extend(std::iter::repeat_n('0', shift.saturating_sub(places)));
    let (whole, fraction) = digits.split_at_checked(digits.len().saturating_sub(places.saturating_sub(shift))).unwrap_or_default();
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// The meter's clock, seconds first. None if no clock and calendar of this century shows that: a clock that was never set must not
/// cost the reading.
fn clock(bytes: [u8; 7]) -> Option<String> {
    let [second, minute, hour, day, month, year, century] = bytes;
    let (second, minute, hour) = (bcd(second)?, bcd(minute)?, bcd(hour)?);
    let (day, month, year, century) = (bcd(day)?, bcd(month)?, bcd(year)?, bcd(century)?);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        // 2000 was a leap year, and 2100 is not of this century.
        2 if year % 4 == 0 => 29,
        2 => 28,
        _ => return None,
    };
    let good = century == 20 && (1..=days).contains(&day) && hour < 24 && minute < 60 && second < 60;
    good.then(|| format!("20{year:02}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"))
}

/// The words of the status bytes, after those in `before`, and the bytes. An open valve has no word of its own: a meter without
/// a valve says the same. Bits 3 to 7 and the second byte are the maker's, and often filler.
fn status(out: &mut Vec<Entry>, before: &[&'static str], bytes: [u8; 2]) {
    let [first, second] = bytes;
    let mut words = before.to_vec();
    match first & 0b11 {
        0b00 => {}
        0b01 => words.push("valve_closed"),
        0b11 => words.push("valve_fault"),
        _ => words.push("valve_unknown"),
    }
    if first & 0b100 != 0 {
        words.push("battery_low");
    }
    out.push(("status", words.join(" ")));
    out.push(("status_raw", format!("{first:02X}{second:02X}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "FE FE FE FE 68 10 18 02 12 20 20 00 00 01 03 90 1F 00 97 16";
    const ANSWER: &str = "FE FE FE FE 68 10 18 02 12 20 20 00 00 81 16 90 1F 00 00 02 00 00 2C 00 02 00 00 2C \
                          00 00 00 00 00 00 00 00 FF 85 16";
    /// The second byte of the status is filler, and the clock was never set.
    const ANSWER_SAYS: &[(&str, &str)] =
        &[("meter", "2020120218"), ("type", "10"), ("total", "2.00 m3"), ("settlement", "2.00 m3"), ("status", ""), ("status_raw", "00FF")];

    fn bytes(hex: &str) -> Vec<u8> {
        from_hex(hex.as_bytes()).unwrap()
    }

    /// A whole frame around `data`, with its right sum.
    fn frame(kind: u8, control: u8, data: &str) -> Vec<u8> {
        let data = bytes(data);
        let mut out = vec![START, kind, 0x78, 0x56, 0x34, 0x12, 0, 0, 0, control, u8::try_from(data.len()).unwrap()];
        out.extend(data);
        out.push(out.iter().fold(0, |sum: u8, b| sum.wrapping_add(*b)));
        out.push(END);
        out
    }

    fn water(total: &str, settlement: &str, clock: &str, status: &str) -> Vec<u8> {
        frame(0x10, 0x81, &format!("90 1F 00 {total} {settlement} {clock} {status}"))
    }

    const NO_CLOCK: &str = "00 00 00 00 00 00 00";

    fn said(lists: Vec<Vec<Entry>>) -> Vec<Vec<(String, String)>> {
        lists.into_iter().map(|list| list.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()).collect()
    }

    fn want(lists: &[&[(&str, &str)]]) -> Vec<Vec<(String, String)>> {
        lists.iter().map(|list| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()).collect()
    }

    fn entry(payload: &[u8], name: &str) -> Option<String> {
        let lists = read(payload).unwrap();
        assert_eq!(lists.len(), 1);
        lists[0].iter().find(|(k, _)| *k == name).map(|(_, v)| v.clone())
    }

    #[test]
    fn an_answer_is_read() {
        assert_eq!(read(&bytes(ANSWER)).map(said), Ok(want(&[ANSWER_SAYS])));
    }

    #[test]
    fn a_request_gives_nothing() {
        assert_eq!(read(&bytes(REQUEST)), Ok(vec![]));
        assert_eq!(read(&bytes("FE FE FE 68 10 AA AA AA AA AA AA AA 01 03 90 1F 01 D2 16")), Ok(vec![]));
        // A request that is damaged is refused like anything else.
        assert_eq!(
            read(&bytes("68 10 AA AA AA AA AA AA AA 01 03 90 1F 01 D3 16")),
            Err(FrameError::Checksum { at: 0, found: 0xD3, right: 0xD2 })
        );
    }

    #[test]
    fn hex_text_is_read_as_its_bytes_are() {
        let packed = ANSWER.replace(' ', "");
        for text in [
            ANSWER.to_owned(),
            ANSWER.to_lowercase(),
            format!("{packed}\r\n\0"),
            format!("  {ANSWER}\n"),
            packed.to_lowercase(),
            packed.trim_start_matches("FE").to_owned(),
        ] {
            assert_eq!(read(text.as_bytes()).map(said), Ok(want(&[ANSWER_SAYS])), "{text:?}");
        }
        assert_eq!(read(&bytes(ANSWER)[4..]).map(said), Ok(want(&[ANSWER_SAYS])));
        let mut with_end = bytes(ANSWER);
        with_end.extend(b"\r\n\0");
        assert_eq!(read(&with_end).map(said), Ok(want(&[ANSWER_SAYS])));
    }

    #[test]
    fn what_is_neither_frame_nor_hex_text_is_refused() {
        assert_eq!(read(b""), Err(FrameError::Empty));
        assert_eq!(read(b" \r\n\0"), Err(FrameError::Empty));
        assert_eq!(read(b"\xFE\xFE"), Err(FrameError::Empty));
        assert_eq!(read(b"FEFE"), Err(FrameError::Empty));
        assert_eq!(read(b"{\"a\":1}"), Err(FrameError::Hex { at: 0, found: b'{' }));
        assert_eq!(read(b"68 1"), Err(FrameError::HalfByte { at: 3 }));
        assert_eq!(read(b"6 8"), Err(FrameError::HalfByte { at: 0 }));
        assert_eq!(read(b"FE 10 68"), Err(FrameError::Start { at: 1, found: 0x10 }));
        assert_eq!(read(b"\xFE\x10\x68"), Err(FrameError::Start { at: 1, found: 0x10 }));
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        // The shape of an example that is copied from page to page: swapped data id, and the sum does not fit.
        let mut copied =
            bytes("FE FE 68 10 11 22 33 44 00 55 66 81 16 1F 90 00 00 88 77 66 2C 00 88 77 66 2C 30 02 21 12 06 16 20 21 84 00 16");
        let sum = copied.len() - 2;
        let right = copied[2..sum].iter().fold(0, |sum: u8, b| sum.wrapping_add(*b));
        copied[sum] = right.wrapping_sub(11);
        let wrong = FrameError::Checksum { at: 2, found: copied[sum], right };
        assert_eq!(read(&copied), Err(wrong.clone()));
        assert_eq!(wrong.to_string(), format!("frame at 2: checksum 0x{right:02X} where the frame says 0x{:02X}", copied[sum]));
        copied[sum] = right;
        assert_eq!(
            read(&copied).map(said),
            Ok(want(&[&[
                ("meter", "66550044332211"),
                ("type", "10"),
                ("total", "667788.00 m3"),
                ("settlement", "667788.00 m3"),
                ("clock", "2016-06-12T21:02:30"),
                ("status", "valve_closed"),
                ("status_raw", "2184"),
            ]]))
        );
    }

    #[test]
    fn any_damaged_byte_is_refused() {
        let good = bytes(ANSWER);
        for at in 4..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(read(&bad).is_err(), "bit {bit} of byte {at}");
            }
        }
        let mut bad = good.clone();
        *bad.last_mut().unwrap() = 0x17;
        assert_eq!(read(&bad), Err(FrameError::End { at: 4, found: 0x17 }));
    }

    #[test]
    fn a_frame_that_is_cut_off_is_refused() {
        let good = &bytes(ANSWER)[4..];
        for has in 1..good.len() {
            let needs = if has < HEAD { HEAD + 2 } else { 35 };
            assert_eq!(read(&good[..has]), Err(FrameError::Cut { at: 0, has, needs }));
        }
        assert_eq!(read(&good[..12]).unwrap_err().to_string(), "frame at 0: cut off after 12 bytes of 35");
        let text = ANSWER.as_bytes();
        for len in 0..text.len() {
            assert!(read(&text[..len]).is_err(), "{len} characters");
        }
    }

    #[test]
    fn the_data_id_is_taken_in_both_orders() {
        let data = "00 02 00 00 2C 00 02 00 00 2C 00 00 00 00 00 00 00 00 FF";
        let by_2004 = frame(0x10, 0x81, &format!("90 1F 00 {data}"));
        let by_2018 = frame(0x10, 0x81, &format!("1F 90 00 {data}"));
        assert_eq!(read(&by_2004), read(&by_2018));
        assert_eq!(entry(&by_2018, "total").as_deref(), Some("2.00 m3"));
    }

    #[test]
    fn answers_to_other_questions_give_nothing() {
        // Last month's data, an address, a valve that was moved, a key version.
        for (control, data) in [(0x81, "D1 20 00 00 02 00 00 2C"), (0x83, "81 0A 00"), (0x84, "A0 17 00 00 00"), (0x89, "81 06 00 01")] {
            assert_eq!(read(&frame(0x10, control, data)), Ok(vec![]), "{data}");
        }
    }

    #[test]
    fn several_frames_give_several_lists() {
        let mut both = bytes(REQUEST);
        both.extend(bytes(ANSWER));
        both.extend(water("34 12 00 00 29", "00 00 00 00 2C", NO_CLOCK, "04 00"));
        let second = &[
            ("meter", "12345678"),
            ("type", "10"),
            ("total", "12.34 L"),
            ("settlement", "0.00 m3"),
            ("status", "battery_low"),
            ("status_raw", "0400"),
        ];
        assert_eq!(read(&both).map(said), Ok(want(&[ANSWER_SAYS, second])));
        let text = format!("{REQUEST}\n{ANSWER}\n{ANSWER}\n");
        assert_eq!(read(text.as_bytes()).map(said), Ok(want(&[ANSWER_SAYS, ANSWER_SAYS])));
        // A message is a whole: one bad frame refuses all of it.
        let last = both.len() - 2;
        both[last] ^= 1;
        assert!(matches!(read(&both), Err(FrameError::Checksum { at: 59, .. })));
        // And nothing else may stand between.
        let mut noise = bytes(ANSWER);
        noise.push(0x42);
        assert_eq!(read(&noise), Err(FrameError::Start { at: 39, found: 0x42 }));
    }

    #[test]
    fn an_error_answer_gives_its_status() {
        let list = &[("meter", "12345678"), ("type", "10"), ("status", "error valve_fault battery_low"), ("status_raw", "0701")];
        assert_eq!(read(&frame(0x10, 0xC1, "05 07 01")).map(said), Ok(want(&[list])));
        assert_eq!(read(&frame(0x10, 0xC1, "05 07")), Err(FrameError::Length { at: 0, found: 2, right: 3 }));
    }

    #[test]
    fn the_status_bits_become_words() {
        for (bytes, words) in [
            ("00 00", ""),
            ("01 00", "valve_closed"),
            ("02 00", "valve_unknown"),
            ("03 00", "valve_fault"),
            ("04 00", "battery_low"),
            ("05 00", "valve_closed battery_low"),
            ("F8 FF", ""),
        ] {
            let answer = water("00 02 00 00 2C", "00 02 00 00 2C", NO_CLOCK, bytes);
            assert_eq!(entry(&answer, "status").as_deref(), Some(words), "{bytes}");
            assert_eq!(entry(&answer, "status_raw"), Some(bytes.replace(' ', "")));
        }
    }

    #[test]
    fn only_a_plausible_clock_is_told() {
        let cases = [
            ("31 01 22 11 05 15 20", Some("2015-05-11T22:01:31")),
            ("59 59 23 29 02 24 20", Some("2024-02-29T23:59:59")),
            ("00 00 00 29 02 23 20", None),
            ("00 00 00 31 04 24 20", None),
            ("00 00 00 00 01 24 20", None),
            ("00 00 00 01 13 24 20", None),
            ("00 00 24 01 01 24 20", None),
            ("00 60 00 01 01 24 20", None),
            ("60 00 00 01 01 24 20", None),
            ("00 00 00 01 01 24 19", None),
            ("00 00 00 0A 01 24 20", None),
            ("FF FF FF FF FF FF FF", None),
            (NO_CLOCK, None),
        ];
        for (sent, told) in cases {
            let answer = water("00 02 00 00 2C", "00 02 00 00 2C", sent, "00 00");
            assert_eq!(entry(&answer, "clock").as_deref(), told, "{sent}");
        }
    }

    #[test]
    fn a_number_of_filler_is_left_out_and_another_bad_digit_is_refused() {
        for filler in ["FF FF FF FF 2C", "FF FF FF FF FF", "EE EE EE EE EE", "EE EE EE EE 2C", "00 00 00 00 00"] {
            let answer = water("78 56 34 12 2C", filler, NO_CLOCK, "00 00");
            assert_eq!(entry(&answer, "settlement"), None, "{filler}");
            assert_eq!(entry(&answer, "total").as_deref(), Some("123456.78 m3"));
        }
        for bad in ["0A 00 00 00 2C", "FF FF FF 00 2C", "00 00 00 F1 2C", "FF EE FF EE 2C"] {
            let found = bad.trim_end_matches(" 2C").to_owned();
            assert_eq!(read(&water(bad, "00 00 00 00 2C", NO_CLOCK, "00 00")), Err(FrameError::Digit { field: "total", found }), "{bad}");
        }
    }

    #[test]
    fn a_unit_of_something_else_is_refused() {
        for unit in [0x00, 0x05, 0x35, 0xFF] {
            let sent = format!("01 00 00 00 {unit:02X}");
            assert_eq!(
                read(&water(&sent, "00 00 00 00 2C", NO_CLOCK, "00 00")),
                Err(FrameError::Unit { field: "total", found: unit, right: VOLUMES })
            );
        }
        let error = FrameError::Unit { field: "total", found: 0x05, right: VOLUMES };
        assert_eq!(error.to_string(), "total: unit 0x05 where one of 29 2C stands");
    }

    #[test]
    fn other_lengths_and_kinds_are_refused() {
        assert_eq!(read(&frame(0x10, 0x81, "90 1F 00 00 02 00 00 2C")), Err(FrameError::Length { at: 0, found: 8, right: 22 }));
        assert_eq!(read(&frame(0x20, 0x81, "90 1F 00")), Err(FrameError::Length { at: 0, found: 3, right: 46 }));
        assert_eq!(read(&frame(0x10, 0x81, "")), Err(FrameError::Length { at: 0, found: 0, right: 3 }));
        assert_eq!(read(&frame(0x40, 0x81, "90 1F 00")), Err(FrameError::Kind { at: 0, found: 0x40 }));
    }

    const HEAT: &str = "90 1F 00 78 56 34 12 05 01 00 00 00 0A 23 01 00 00 1A 45 23 01 00 35 90 78 56 00 2C \
                        67 45 00 50 03 00 34 12 00 31 01 22 11 05 15 20 00 00";

    #[test]
    fn a_heat_meter_is_read() {
        assert_eq!(
            read(&frame(0x20, 0x81, HEAT)).map(said),
            Ok(want(&[&[
                ("meter", "12345678"),
                ("type", "20"),
                ("settlement", "123456.78 kWh"),
                // 0.01 of 100 MWh, and 1.23 MW.
                ("energy", "1 MWh"),
                ("power", "1230 kW"),
                ("flow", "1.2345 m3/h"),
                ("total", "5678.90 m3"),
                ("supply", "45.67 °C"),
                ("return", "3.50 °C"),
                ("hours", "1234"),
                ("clock", "2015-05-11T22:01:31"),
                ("status", ""),
                ("status_raw", "0000"),
            ]]))
        );
    }

    #[test]
    fn what_a_heat_meter_does_not_have_is_left_out() {
        let filler = "FF FF FF FF FF";
        let data = format!("90 1F 00 {filler} 56 34 12 00 11 {filler} {filler} {filler} EE EE EE FF FF FF FF FF FF {NO_CLOCK} 00 00");
        assert_eq!(
            read(&frame(0x21, 0x81, &data)).map(said),
            Ok(want(&[&[("meter", "12345678"), ("type", "21"), ("energy", "1234.56 GJ"), ("status", ""), ("status_raw", "0000")]]))
        );
    }

    #[test]
    fn every_unit_byte_has_its_unit() {
        let number = "78 56 34 12";
        let cases = [
            ("settlement", 0, 0x01, "123456.78 J"),
            ("settlement", 0, 0x02, "123456.78 Wh"),
            ("settlement", 0, 0x05, "123456.78 kWh"),
            ("settlement", 0, 0x08, "123456.78 MWh"),
            ("settlement", 0, 0x0A, "12345678 MWh"),
            ("settlement", 0, 0x0B, "123456.78 kJ"),
            ("settlement", 0, 0x0E, "123456.78 MJ"),
            ("settlement", 0, 0x11, "123456.78 GJ"),
            ("settlement", 0, 0x13, "12345678 GJ"),
            ("energy", 1, 0x13, "12345678 GJ"),
            ("power", 2, 0x14, "123456.78 W"),
            ("power", 2, 0x17, "123456.78 kW"),
            ("power", 2, 0x1A, "123456780 kW"),
            ("flow", 3, 0x32, "1234.5678 L/h"),
            ("flow", 3, 0x35, "1234.5678 m3/h"),
            ("total", 4, 0x29, "123456.78 L"),
            ("total", 4, 0x2C, "123456.78 m3"),
        ];
        for (name, field, unit, told) in cases {
            let mut data = bytes(HEAT);
            let at = DATA_HEAD + field * 5;
            data[at..at + 5].copy_from_slice(&bytes(&format!("{number} {unit:02X}")));
            let hex: String = data.iter().map(|b| format!("{b:02X}")).collect();
            assert_eq!(entry(&frame(0x20, 0x81, &hex), name).as_deref(), Some(told));
        }
    }

    #[test]
    fn the_point_moves_without_losing_a_digit() {
        let cases = [
            ("00000000", 2, 0, "0.00"),
            ("00000000", 2, 2, "0"),
            ("00000001", 2, 0, "0.01"),
            ("00000001", 2, 3, "10"),
            ("00000001", 4, 0, "0.0001"),
            ("00012300", 4, 1, "12.300"),
            ("000000", 0, 0, "0"),
        ];
        for (digits, places, shift, text) in cases {
            assert_eq!(pointed(digits, places, shift), text, "{digits} {places} {shift}");
        }
    }

    #[test]
    fn an_address_is_told_as_it_is_printed() {
        let list = |address: &str| {
            let mut raw = frame(0x10, 0xC1, "00 00 00");
            raw[2..9].copy_from_slice(&bytes(address));
            let sum = raw.len() - 2;
            raw[sum] = raw[..sum].iter().fold(0, |sum: u8, b| sum.wrapping_add(*b));
            entry(&raw, "meter")
        };
        assert_eq!(list("18 02 12 20 20 00 00").as_deref(), Some("2020120218"));
        assert_eq!(list("01 00 EE 00 00 00 00").as_deref(), Some("EE0001"));
        assert_eq!(list("01 02 03 04 05 06 07").as_deref(), Some("07060504030201"));
        assert_eq!(list("00 00 00 00 00 00 00").as_deref(), Some("00"));
        assert_eq!(list("AA AA AA AA AA AA AA"), None);
    }
}
