//! The way in: bytes become values in [`decode`] (pure), arrive by `mqtt`.

pub mod decode;
#[cfg(feature = "daemon")]
pub mod mqtt;
