//! The real binary against a real broker and a real disk, from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod adopt;
mod alerts;
mod announce;
mod copies;
mod crash;
mod discover;
mod harness;
mod ledger;
mod lifecycle;
mod mediums;
mod payloads;
mod publisher;
mod readme;
#[path = "../support/robot.rs"]
mod robot;
mod scale;
mod sick;
mod simulate;
mod tls;
mod totals;
mod unruly;
