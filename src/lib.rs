//! heyun 和韵: the gateway that watches the water and the heating of residential compounds.
//!
//! [`domain`] and [`ingest::decode`] are pure and compile without the `daemon` feature; everything else is the shell around them.

pub mod domain;
pub mod ingest;

#[cfg(feature = "daemon")]
pub mod announce;
#[cfg(feature = "daemon")]
pub mod backtest;
#[cfg(feature = "daemon")]
pub mod broker;
#[cfg(feature = "daemon")]
pub mod cli;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "daemon")]
pub mod export;
#[cfg(feature = "daemon")]
pub mod history;
#[cfg(feature = "daemon")]
pub mod notify;
#[cfg(feature = "daemon")]
pub mod replay;
#[cfg(feature = "daemon")]
pub mod sim;
#[cfg(feature = "daemon")]
pub mod store;
#[cfg(feature = "daemon")]
mod systemd;
#[cfg(feature = "daemon")]
pub mod texts;
#[cfg(feature = "daemon")]
pub mod web;
