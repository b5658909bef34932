//! What stands where: places, metering points, the meters in them, and the feeds their readings come by.
//!
//! Four things that other systems call "the meter" are kept apart, because each outlives the next:
//! a *metering point* is permanent (bills and incidents hang on it); the *meter* in it has a serial number and is replaced;
//! a *source* is where messages come from (a topic, a pin); a *column* is one number of a source's messages.
//!
//! The topology is made by the config at start and does not change while the process runs.

use super::heating::Heating;
use super::time::{Ms, Ts};
use super::units::{Amount, Quantity, Rate};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Index into [`Topology::places`]. Valid for the life of the process only, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceIx(pub u32);

/// Index into [`Topology::points`]. Valid for the life of the process only, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointIx(pub u32);

/// Index into [`Topology::feeds`]. Valid for the life of the process only, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedIx(pub u16);

/// The most columns that one source can have: the width of the hot table.
pub const MAX_COLUMNS: usize = 8;

/// The longest topic in bytes: longer than any device's. With it the number of sources bounds the memory that invented names can take.
pub const LONGEST_TOPIC: usize = 512;

/// All that stands in one gateway's care.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Slug of this gateway, the first part of every global id: `guanfang-1`.
    pub gateway: String,
    /// The wall clock of the compound: where days and months begin.
    pub tz: TimeZone,
    /// Readings with an earlier time stamp are refused: no meter here is older.
    pub since: Ts,
    /// Parents stand before their children.
    pub places: Vec<Place>,
    pub points: Vec<Point>,
    pub feeds: Vec<Feed>,
    pub heating: Heating,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    Community,
    Compound,
    Building,
    Unit,
    Household,
}

/// A node of the tree community → compound → building → unit → household.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The id written in the config: unique, permanent.
    pub key: String,
    pub kind: PlaceKind,
    /// What people call it; may change.
    pub name: String,
    pub parent: Option<PlaceIx>,
    /// How many households and residents it has, where the config says.
    pub households: Option<u32>,
    pub residents: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointKind {
    /// 总表: all that a building or compound takes.
    Bulk,
    /// 户表: one household.
    Sub,
    /// 补水表: what a heating loop loses.
    MakeUp,
    /// No meter: a device that says how things are at its place.
    Sensor,
}

impl PointKind {
    /// A register counts there.
    pub const fn is_metered(self) -> bool {
        !matches!(self, PointKind::Sensor)
    }
}

/// What passes through a meter, and so what its numbers count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// 水: cold, or nobody says which.
    #[default]
    Water,
    /// 热水: water of its own price that is drawn from a tap, not what goes round in a heating circuit.
    HotWater,
    /// 热: the heat of a heating circuit.
    Heat,
    /// 电
    Electricity,
    /// 燃气
    Gas,
}

impl Medium {
    pub const ALL: [Medium; 5] = [Medium::Water, Medium::HotWater, Medium::Heat, Medium::Electricity, Medium::Gas];

    /// The stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Medium::Water => "water",
            Medium::HotWater => "hot_water",
            Medium::Heat => "heat",
            Medium::Electricity => "electricity",
            Medium::Gas => "gas",
        }
    }

    /// What its registers count.
    pub const fn quantity(self) -> Quantity {
        if self.is_energy() { Quantity::Energy } else { Quantity::Volume }
    }

    /// Counted in watt-hours; the others in millilitres.
    pub const fn is_energy(self) -> bool {
        matches!(self, Medium::Heat | Medium::Electricity)
    }

    /// It can leak from a pipe that we look after, and counts in sums of water.
    pub const fn is_water(self) -> bool {
        matches!(self, Medium::Water | Medium::HotWater)
    }

    /// A meter of this can stand behind one of `upstream`. Hot water is made of cold.
    pub const fn can_hang_under(self, upstream: Medium) -> bool {
        matches!(
            (self, upstream),
            (Medium::Water, Medium::Water)
                | (Medium::HotWater, Medium::Water | Medium::HotWater)
                | (Medium::Heat, Medium::Heat)
                | (Medium::Electricity, Medium::Electricity)
                | (Medium::Gas, Medium::Gas)
        )
    }
}

/// Whether a meter's reading is billed or only compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// 结算表
    Settlement,
    /// 考核表
    Assessment,
}

/// Who has to repair what leaks behind this point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Responsible {
    WaterCompany,
    /// The owners in common.
    Owners,
    Household,
}

/// A metering point, with the meter that is in it now.
#[derive(Clone, Debug)]
pub struct Point {
    /// The id written in the config: unique, permanent.
    pub key: String,
    pub name: String,
    pub kind: PointKind,
    /// Of a sensor it says nothing.
    pub medium: Medium,
    pub place: PlaceIx,
    /// The metering point upstream of this one.
    pub parent: Option<PointIx>,
    pub boundary: Boundary,
    pub responsible: Responsible,
    pub valve: Option<ValveCard>,
    pub meter: Meter,
    pub source: Option<Binding>,
    pub limits: Limits,
    /// Price of a tonne of water in thousandths of a yuan. None: no yuan is shown, never a guess.
    pub price_milliyuan_per_tonne: Option<u32>,
}

impl Point {
    /// Water passes through a meter there.
    pub const fn measures_water(&self) -> bool {
        self.kind.is_metered() && self.medium.is_water()
    }
}

/// The replaceable device in a metering point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    pub serial: Option<String>,
    /// What one pulse or one step of the register's last digit stands for: nothing smaller is seen. At least 1 mL or 1 Wh.
    pub pulse_weight: Amount,
    /// The amount at which the register runs full and shows zero again (digits × last digit), where known.
    pub rollover_at: Option<Amount>,
    /// No real use goes faster than this: a flow, or the power of a meter of energy.
    pub max_flow: Rate,
    /// Set where the source tells a mean flow instead of a register: each row covers this long, and its time is the span's start.
    pub mean_flow_over: Option<Ms>,
}

impl Meter {
    pub fn scale(&self) -> Scale {
        Scale { pulse_weight: self.pulse_weight, rollover_at: self.rollover_at }
    }
}

/// How a meter counts: what turns its numbers into amounts. It changes with the meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// As [`Meter::pulse_weight`].
    pub pulse_weight: Amount,
    /// As [`Meter::rollover_at`].
    pub rollover_at: Option<Amount>,
}

/// Which number of which source is this meter's register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The concrete topic.
    pub topic: String,
    /// The subscription that it comes by.
    pub feed: FeedIx,
    /// Position of the register in that feed's columns; None for a sensor.
    pub column: Option<u8>,
}

/// Hard limits: they work from the first hour, before anything is learned. None switches a limit off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Limits {
    /// Of water alone, as the next: more of it is taken for a leak.
    pub per_hour: Option<Amount>,
    pub per_month: Option<Amount>,
    pub silent_after: Option<Ms>,
}

/// The valve that stops the water behind a point, and what someone in a hurry must know about it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ValveCard {
    pub place: String,
    pub key_holder: Option<String>,
    /// Which units go dry.
    pub shuts_off: Option<String>,
    pub may_close: Option<String>,
    pub photo: Option<String>,
}

/// A kind of message: what the numbers of its sources mean. One feed serves every device that its topic filter matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    pub name: String,
    /// At most [`MAX_COLUMNS`].
    pub columns: Vec<Column>,
    /// Its devices sleep, and send at least this often.
    pub wakes: Option<Ms>,
}

impl Feed {
    /// Position of the column that holds a device's flags.
    pub fn flags_column(&self) -> Option<usize> {
        self.columns.iter().position(|c| c.quantity == Quantity::Flags)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub quantity: Quantity,
}

/// The feed of registers that people read, and the first level of their sources' names.
pub const BY_HAND: &str = "manual";

impl Binding {
    /// Somebody goes there and reads it.
    pub fn is_by_hand(&self) -> bool {
        self.topic.strip_prefix(BY_HAND).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl Topology {
    pub fn place(&self, ix: PlaceIx) -> &Place {
        &self.places[ix.0 as usize]
    }
    pub fn point(&self, ix: PointIx) -> &Point {
        &self.points[ix.0 as usize]
    }
    pub fn feed(&self, ix: FeedIx) -> &Feed {
        &self.feeds[usize::from(ix.0)]
    }
    pub fn point_ixs(&self) -> impl Iterator<Item = PointIx> + use<> {
        (0..u32::try_from(self.points.len()).unwrap_or(u32::MAX)).map(PointIx)
    }
    /// The points with a register, whatever it counts.
    pub fn metered(&self) -> impl Iterator<Item = PointIx> + '_ {
        self.point_ixs().filter(|p| self.point(*p).kind.is_metered())
    }
    /// What the meter of a point measures; water where the config no longer names it.
    pub fn medium_of(&self, key: &str) -> Medium {
        self.point_by_key(key).map_or(Medium::Water, |ix| self.point(ix).medium)
    }
    pub fn point_by_key(&self, key: &str) -> Option<PointIx> {
        self.points.iter().position(|p| p.key == key).and_then(|i| u32::try_from(i).ok()).map(PointIx)
    }

    /// `ix` and everything above it, leaf first.
    pub fn path(&self, ix: PlaceIx) -> impl Iterator<Item = PlaceIx> + '_ {
        std::iter::successors(Some(ix), |p| self.place(*p).parent)
    }

    /// True if one place lies on the other's path to the root (a place lies on its own).
    pub fn on_one_path(&self, a: PlaceIx, b: PlaceIx) -> bool {
        self.path(a).any(|p| p == b) || self.path(b).any(|p| p == a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_is_counted_in_one_quantity_and_hangs_under_its_own() {
        for medium in Medium::ALL {
            assert_eq!(medium.quantity(), if medium.is_energy() { Quantity::Energy } else { Quantity::Volume });
            assert!(!(medium.is_energy() && medium.is_water()));
            assert!(medium.can_hang_under(medium));
            assert_eq!(serde_json::to_value(medium).unwrap(), medium.code());
        }
        let pairs = Medium::ALL.iter().flat_map(|a| Medium::ALL.iter().map(move |b| (*a, *b)));
        let under: Vec<_> = pairs.filter(|(a, b)| a != b && a.can_hang_under(*b)).collect();
        assert_eq!(under, [(Medium::HotWater, Medium::Water)]);
    }
}
