//! Registers in the bodies of requests: numbers as somebody wrote them, each in a field that names its unit.

use super::error::Error;
use crate::domain::topology::Medium;
use crate::domain::units::{self, Amount, Unit};
use crate::texts::say;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A number or a text of one, taken as it is written: it never passes through a float.
#[derive(Debug)]
pub struct Written(String);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Written, D::Error> {
        let raw = <Box<RawValue>>::deserialize(d)?;
        Ok(Written(raw.get().trim_matches('"').to_owned()))
    }
}

impl Written {
    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// The fields that one register may stand in.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    litres: &'static str,
    kilowatt_hours: &'static str,
}

pub const REGISTER: Fields = Fields { litres: "register_litres", kilowatt_hours: "register_kilowatt_hours" };
pub const END: Fields = Fields { litres: "end_litres", kilowatt_hours: "end_kilowatt_hours" };
pub const START: Fields = Fields { litres: "start_litres", kilowatt_hours: "start_kilowatt_hours" };

pub const OLD_PULSE_WEIGHT: Fields = Fields { litres: "old_pulse_weight_litres", kilowatt_hours: "old_pulse_weight_kilowatt_hours" };
pub const OLD_ROLLOVER_AT: Fields = Fields { litres: "old_rollover_at_litres", kilowatt_hours: "old_rollover_at_kilowatt_hours" };

impl Fields {
    /// What stands there for a meter of this medium, if anything does. A number in the other unit is refused: taken for its own it would be wrong by any factor.
    pub fn read(self, medium: Medium, litres: Option<&Written>, kilowatt_hours: Option<&Written>) -> Result<Option<Amount>, Error> {
        let (own, unit, other) = if medium.is_energy() {
            (kilowatt_hours, Unit::KilowattHour, litres.map(|w| (w, self.litres)))
        } else {
            (litres, Unit::Litre, kilowatt_hours.map(|w| (w, self.kilowatt_hours)))
        };
        if let Some((written, name)) = other {
            let key = if medium.is_energy() { "expected.not_litres" } else { "expected.not_kilowatt_hours" };
            let expected = say(key, &[("name", self.name(medium).into())]);
            return Err(Error::BadParameter { name, value: written.0.clone(), expected });
        }
        let Some(Written(text)) = own else { return Ok(None) };
        let parsed = units::Decimal::parse(text).and_then(|d| d.in_smallest(unit)).ok().filter(|v| *v >= 0);
        parsed.map(|v| Some(Amount(v))).ok_or_else(|| self.wrong(medium, text.clone()))
    }

    /// The same where one must stand.
    pub fn need(self, medium: Medium, litres: Option<&Written>, kilowatt_hours: Option<&Written>) -> Result<Amount, Error> {
        self.read(medium, litres, kilowatt_hours)?.ok_or_else(|| self.missing(medium))
    }

    pub fn missing(self, medium: Medium) -> Error {
        self.wrong(medium, String::new())
    }

    fn wrong(self, medium: Medium, value: String) -> Error {
        let key = if medium.is_energy() { "expected.kilowatt_hours" } else { "expected.litres" };
        Error::BadParameter { name: self.name(medium), value, expected: say(key, &[]) }
    }

    const fn name(self, medium: Medium) -> &'static str {
        if medium.is_energy() { self.kilowatt_hours } else { self.litres }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(medium: Medium, litres: Option<&str>, kilowatt_hours: Option<&str>) -> Result<Option<i64>, String> {
        let written = |t: Option<&str>| t.map(|t| Written(t.to_owned()));
        let read = REGISTER.read(medium, written(litres).as_ref(), written(kilowatt_hours).as_ref());
        read.map(|v| v.map(|v| v.0)).map_err(|e| match e {
            Error::BadParameter { name, .. } => name.to_owned(),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_register_is_read_in_its_own_unit_and_refused_in_the_other() {
        assert_eq!(read(Medium::Water, Some("338304.5"), None), Ok(Some(338_304_500)));
        assert_eq!(read(Medium::Gas, Some("1"), None), Ok(Some(1_000)));
        assert_eq!(read(Medium::Heat, None, Some("13187.2")), Ok(Some(13_187_200)));
        assert_eq!(read(Medium::Electricity, None, Some("0.001")), Ok(Some(1)));
        assert_eq!(read(Medium::Heat, None, None), Ok(None));
        assert_eq!(read(Medium::Heat, Some("5"), None), Err("register_litres".to_owned()));
        assert_eq!(read(Medium::Heat, Some("5"), Some("5")), Err("register_litres".to_owned()));
        assert_eq!(read(Medium::HotWater, None, Some("5")), Err("register_kilowatt_hours".to_owned()));
        for bad in ["-1", "x", "", "1e30"] {
            assert_eq!(read(Medium::Heat, None, Some(bad)), Err("register_kilowatt_hours".to_owned()), "{bad:?}");
            assert_eq!(read(Medium::Water, Some(bad), None), Err("register_litres".to_owned()), "{bad:?}");
        }
        assert!(matches!(REGISTER.need(Medium::Heat, None, None), Err(Error::BadParameter { name: "register_kilowatt_hours", .. })));
    }
}
