//! Exports as the clerk and the programs get them: byte for byte, over a real store.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it is surprised")]

mod command;
mod daily;
mod http;
mod rows;
mod store;
