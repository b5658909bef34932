//! What else is there: topics that nobody reads, the devices behind them, and what to write into the config to have them read.
//!
//! `listen` hears for a while and fills the table of [`heard`]; the rest is pure. `rank` finds the profile that reads a topic best, `announced` what
//! devices say of themselves, [`plan`] makes proposals of both. Whether a proposal is right is for the config and the daemon's own decoder to say:
//! nothing here is shown untried.

mod announced;
pub mod heard;
mod listen;
pub mod plan;
mod proposal;
mod rank;

pub use announced::Refusal;
pub use heard::Heard;
pub use listen::{ListenError, News, listen};
pub use plan::{Around, Label, Plan, plan};
pub use proposal::{Certainty, Column, Device, Entry, How, ID, OwnForm, PLACE, Proposal, RaisedBy};
