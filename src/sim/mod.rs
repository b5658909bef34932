//! A made-up community that speaks MQTT: weeks of history first, then live, so that everything else can be seen at work.
//!
//! It sends to the broker and the topics that a config names, in the form that its subscriptions read. It knows nothing of limits and
//! rules: [`Settings`] has no room for them.
//!
//! Every register is a pure function of the seed and the moment, counted from a fixed epoch: started again, with a history of another
//! length, it tells the same water. Reading order: `dice` and `calendar`; `household`, `area`, `heating` and `sensor` are the model; `device` is when
//! something is read and what goes wrong on the way, `payload` how it is written; `community` puts them together, `publisher` sends,
//! `drive` turns the wheel.

mod area;
mod calendar;
mod community;
mod device;
mod dice;
mod drive;
mod heating;
mod household;
mod payload;
mod publisher;
mod sensor;
#[cfg(test)]
mod tests;

pub use community::trouble;
pub use drive::{Summary, run};

use crate::broker::Broker;
use crate::domain::time::Ts;
use crate::domain::topology::{Place, PlaceIx, PointKind};
use crate::domain::units::{Amount, Quantity, Unit};
use jiff::tz::TimeZone;

/// All that the simulator is told.
#[derive(Clone, Debug)]
pub struct Settings {
    pub broker: Broker,
    /// Of the compound. The model takes its offset from UTC in January and knows no summer time.
    pub tz: TimeZone,
    pub places: Vec<Place>,
    /// Those with a device.
    pub meters: Vec<Meter>,
    pub sensors: Vec<Sensor>,
    pub feeds: Vec<Feed>,
    pub seed: u64,
    /// Days of history before the live part.
    pub history_days: u16,
    /// When the pipe gives.
    pub leak: Leak,
    pub then: Then,
}

/// A metering point, as far as its device goes.
#[derive(Clone, Debug)]
pub struct Meter {
    pub key: String,
    pub kind: PointKind,
    /// Index into [`Settings::places`].
    pub place: PlaceIx,
    pub topic: String,
    /// Index into [`Settings::feeds`].
    pub feed: usize,
    /// Which of the feed's columns is its register.
    pub column: u8,
    pub pulse_weight: Amount,
    pub rollover_at: Option<Amount>,
}

/// A device that measures no water.
#[derive(Clone, Debug)]
pub struct Sensor {
    /// Its last word tells what it is: `rope`, `button`, `door` or `room`.
    pub key: String,
    pub topic: String,
    /// Index into [`Settings::feeds`].
    pub feed: usize,
}

/// A subscription: its topic filter and what its payloads look like.
#[derive(Clone, Debug)]
pub struct Feed {
    pub filter: String,
    /// None: its devices have a form of their own, which nobody plays.
    pub form: Option<Form>,
}

#[derive(Clone, Debug)]
pub enum Form {
    /// One number.
    Plain { unit: Unit },
    /// JSON pointers to the time, to each column, with its unit, and to the list of flags.
    Json { time: Option<String>, columns: Vec<(String, Unit)>, flags: Option<String> },
}

impl Form {
    /// The same without the columns of other quantities, for a device that has only these.
    fn only(&self, quantities: &[Quantity]) -> Form {
        let mut form = self.clone();
        if let Form::Json { columns, .. } = &mut form {
            columns.retain(|(_, unit)| quantities.contains(&unit.quantity()));
        }
        form
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leak {
    /// Some hours before the live part: a morning or an evening lies behind it.
    Recent,
    At(Ts),
    Never,
}

/// What comes after the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing; the history ends at this moment, or now.
    Stop(Option<Ts>),
    /// Live, so many times as fast as time. Faster than time it begins a day ago, and goes at the pace of time once it has caught up: a
    /// device cannot tell tomorrow's reading.
    Live { speed: u16 },
}

/// Why the simulator ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no thread for the simulator")]
    Start(#[from] std::io::Error),
    #[error("the broker {broker} refuses the simulator: {why}")]
    Refused { broker: String, why: String },
    #[error("the config names no device that could be simulated: meters or sensors with a device, or a subscription for temperatures")]
    NoDevices,
    #[error("{0} of the messages were not acknowledged by the broker")]
    Unacknowledged(u64),
    #[error("the simulator's model ended by itself")]
    Model,
}
