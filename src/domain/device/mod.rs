//! A kind of device, as data: which messages it sends, what their numbers and words mean, and examples that prove it.
//!
//! A [`Profile`] comes from a file or from the few keys of a subscription; whoever reads messages by it knows nothing else of the device.

mod pointer;
mod template;

pub use pointer::{Pointer, PointerError, Token};
pub use template::{Bound, DEVICE, Template, TemplateError, is_filter};

use super::flag::{Flag, FlagSet};
use super::time::{Ms, Ts};
use super::topology::Column;
use super::units::{Decimal, Unit};

/// The most places that one message may be asked for.
pub const MAX_PLACES: usize = 48;

/// The column that holds a device's flags.
pub const FLAGS_COLUMN: &str = "flags";

/// How the messages of one kind of device are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub name: String,
    /// One line for people.
    pub title: String,
    /// What an installer should know.
    pub about: String,
    /// Where the format is described.
    pub source: String,
    /// It sleeps, and sends at least this often.
    pub wakes: Option<Ms>,
    /// All columns of its messages, at most [`MAX_COLUMNS`](super::topology::MAX_COLUMNS).
    pub columns: Vec<Column>,
    /// In this order: of those whose topic fits, the first that applies is read.
    pub messages: Vec<MessageForm>,
    pub examples: Vec<Example>,
}

impl Profile {
    /// A kind of device that sends one kind of message: the columns by name, place and unit. A message without the first is refused.
    pub fn of_one_message(format: Format, time: Vec<Place>, columns: Vec<(String, Place, Unit)>) -> Profile {
        let rule = |(i, (_, at, unit)): (usize, &(String, Place, Unit))| ValueRule {
            column: u8::try_from(i).unwrap_or(u8::MAX),
            at: vec![at.clone()],
            unit: *unit,
            scale: None,
            required: i == 0,
            words: vec![],
        };
        let says = Says::Values { time, values: columns.iter().enumerate().map(rule).collect(), flags: vec![] };
        Profile {
            name: String::new(),
            title: String::new(),
            about: String::new(),
            source: String::new(),
            wakes: None,
            columns: columns.into_iter().map(|(name, _, unit)| Column { name, quantity: unit.quantity() }).collect(),
            messages: vec![MessageForm { topic: Template::device(), format, each: None, when: vec![], identity: None, says }],
            examples: vec![],
        }
    }

    /// The message whose topic names the source: that of the topic or filter `written`, else the one with values whose topic is the shortest.
    pub fn first_message(&self, written: Option<&str>) -> Option<&MessageForm> {
        let mut with_values: Vec<&MessageForm> = self.messages.iter().filter(|m| matches!(m.says, Says::Values { .. })).collect();
        with_values.sort_by_key(|m| m.topic.depth());
        let fitting = written.and_then(|f| with_values.iter().find(|m| m.topic.bind(f).is_some()));
        fitting.or(with_values.first()).copied().or(self.messages.first())
    }

    /// Position of the column of flags.
    pub fn flags_column(&self) -> Option<u8> {
        self.columns.iter().position(|c| c.name == FLAGS_COLUMN).and_then(|i| u8::try_from(i).ok())
    }

    /// True if one topic may serve several devices, told apart by what their messages say.
    pub fn has_identity(&self) -> bool {
        self.messages.iter().any(|m| m.identity.is_some())
    }
}

/// One kind of message.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageForm {
    pub topic: Template,
    pub format: Format,
    /// JSON: an array whose elements are readings of their own. Places are looked for in the element, then in the whole document; of several
    /// messages with the same array, each element is read by the first that applies to it.
    pub each: Option<Pointer>,
    /// It applies only where these texts stand.
    pub when: Vec<(Place, String)>,
    /// Where the device's id stands in it.
    pub identity: Option<Place>,
    pub says: Says,
}

/// What a payload looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The payload is one number or word, perhaps with a unit behind it.
    Plain,
    Json,
    /// Packs of sensor measurements, RFC 8428.
    Senml,
    /// Frames of CJ/T 188-2004.
    Cjt188,
}

/// Where something stands in a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a JSON document.
    Pointer(Pointer),
    /// Under this name; "" is the whole of a plain payload.
    Name(Box<str>),
}

impl Place {
    pub fn as_str(&self) -> &str {
        match self {
            Place::Pointer(p) => p.as_str(),
            Place::Name(n) => n,
        }
    }
}

/// What a message tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Says {
    Values {
        /// Where the device's own time stamp may stand. Empty: keyed by arrival. Otherwise a message must have it.
        time: Vec<Place>,
        values: Vec<ValueRule>,
        flags: Vec<FlagRule>,
    },
    /// Whether the device is there.
    Presence { at: Place, online: String, offline: String },
}

/// How one number is found and understood.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueRule {
    /// Position in [`Profile::columns`].
    pub column: u8,
    /// The first that says something counts.
    pub at: Vec<Place>,
    /// Where the payload names none itself.
    pub unit: Unit,
    /// The number is multiplied by it.
    pub scale: Option<Decimal>,
    /// Without it the message does not apply.
    pub required: bool,
    /// Texts that stand for a number, in the quantity's smallest unit.
    pub words: Vec<(String, i64)>,
}

/// How flags are found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagRule {
    pub at: Vec<Place>,
    pub raise: Vec<(String, FlagSet)>,
    /// What each bit of a number raises (0: the lowest). Empty: numbers are words like others.
    pub bits: Vec<(u8, FlagSet)>,
    /// Words that mean nothing bad.
    pub quiet: Vec<String>,
    /// What every other word, and every other bit, raises.
    pub otherwise: Flag,
}

/// A payload, and what must come of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Line of the file where it begins.
    pub line: usize,
    pub says: Option<String>,
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
    /// When it came. None: when all examples come that do not say.
    pub arrived: Option<Ts>,
    pub expect: Expect,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    /// In their order.
    Readings(Vec<Expected>),
    Presence {
        device: Option<String>,
        online: bool,
    },
    /// Refused for the reason with this code.
    Refused(String),
    /// It carries no reading.
    Nothing,
}

/// A reading that an example must give: all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    pub device: Option<String>,
    /// None: keyed by arrival.
    pub time: Option<Ts>,
    /// Column and value in the smallest unit.
    pub values: Vec<(u8, i64)>,
    pub flags: FlagSet,
}
