//! The way in: bytes become values in [`decode`] (pure), arrive by `mqtt`. `discover` hears what else there is.

pub mod decode;
#[cfg(feature = "daemon")]
pub mod discover;
#[cfg(feature = "daemon")]
pub mod mqtt;
