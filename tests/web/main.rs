//! The HTTP API from outside: real engine, real store, real router; no broker, no clock, no port (but where the server itself is tested).
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised")]

mod backtest;
mod docs;
mod gateway;
mod guard;
mod history;
mod incidents;
mod live;
mod operation;
mod photos;
mod picture;
mod server;
mod state;
mod totals;
