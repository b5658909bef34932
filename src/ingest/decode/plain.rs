//! A payload that is one number: `338.304`, `338,304 m³`, `12345`.

use super::{blank, number};
use crate::domain::reading::{Reject, Values};
use crate::domain::units::Unit;

/// An error names the empty place: the whole payload.
const WHOLE: &str = "";

pub(super) fn read(text: &str, unit: Unit) -> Result<Values, Reject> {
    if text.chars().all(blank) {
        return Err(Reject::Missing { at: WHOLE.into() });
    }
    number::read(text, unit, WHOLE).map(Values::single)
}
