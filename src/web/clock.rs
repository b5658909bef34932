//! The one place of the web that reads the clock.

use crate::domain::time::Ts;
use jiff::Timestamp;

/// The gateway's clock. Only for ages and for the default range of a query: what is stored never depends on it.
pub fn now() -> Ts {
    Ts(Timestamp::now().as_millisecond())
}
