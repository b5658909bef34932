//! What water and heat do, and what follows from it. Pure: no clock, no I/O, no async, no locks, no logging.
//!
//! Time and bytes come in as arguments, reactions go out as values, so a year of readings is replayed in seconds and every
//! alarm can be reproduced. The lints below and `cargo check --lib --no-default-features` keep it so.
//!
//! Reading order: [`time`] and [`units`] are the numbers, [`topology`] is what stands where, [`device`] is how its
//! messages are read, [`reading`] is what arrives,
//! [`meter`] turns register readings into volumes, [`detect`] turns volumes into findings, [`incident`] joins findings into
//! the file that people work on, and [`engine`] owns all of it.
//!
//! Unit tests may do what the code may not (ask for a zone by name, unwrap).
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros))]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr))]

pub mod amendment;
pub mod announce;
pub mod detect;
pub mod device;
pub mod engine;
pub mod finding;
pub mod flag;
pub mod heating;
pub mod id;
pub mod incident;
pub mod meter;
pub mod reading;
pub mod time;
pub mod topology;
pub mod units;
