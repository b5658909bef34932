//! Shapes that several answers share; the unit of a number stands in its field's name.

use crate::domain::finding::{Mark, StartRange};
use crate::domain::units::Quantity;
use crate::texts::{Decimal, Stamp};
use jiff::tz::TimeZone;
use serde::Serialize;
use utoipa::ToSchema;

/// The unit in which the API writes a quantity.
pub const fn unit(q: Quantity) -> &'static str {
    q.shown().0
}

/// A reading of a register.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Register {
    pub time: Stamp,
    pub register_litres: Decimal,
}

impl Register {
    pub fn new(m: Mark, tz: &TimeZone) -> Register {
        Register { time: Stamp::new(m.ts, tz), register_litres: Decimal::litres(m.register) }
    }
}

/// When something began: not before `earliest`, not after `latest`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Start {
    pub earliest: Stamp,
    pub latest: Stamp,
}

impl Start {
    pub fn new(r: StartRange, tz: &TimeZone) -> Start {
        Start { earliest: Stamp::new(r.earliest, tz), latest: Stamp::new(r.latest, tz) }
    }
}
