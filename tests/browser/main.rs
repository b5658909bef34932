//! The office pages in a real browser, against the real binary, a real broker and a community that lives, or a few devices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod backtest;
mod driver;
#[path = "../daemon/harness.rs"]
#[allow(dead_code, reason = "made for other tests, too")]
mod harness;
mod heard;
mod ledger;
mod living;
mod mediums;
mod office;
mod outage;
mod pictured;
mod sensors;
