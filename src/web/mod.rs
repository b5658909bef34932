//! HTTP for people and programs: what is and was, as JSON and as a stream; the two commands that exist; health and metrics.
//!
//! The web decides nothing. It reads the engine's newest [`Snapshot`], asks the store's [`Reader`], and hands [`Command`]s to the engine,
//! whose answer comes after the commit. Each handler names the few handles that it needs ([`handles`]); none sees them all.
//!
//! There are no accounts yet, so only loopback addresses are served, only requests that name this machine as their host are answered
//! (DNS rebinding), and what changes something must be `application/json` (which no foreign page can send unasked).
//!
//! Every handler's path, parameters and answers stand beside it; [`openapi`] and the router are made from the same list.

mod adopted;
mod app;
mod backtest;
mod backtest_report;
mod channels;
mod clock;
mod discovery;
mod dto;
mod error;
mod events;
mod export;
mod flow;
mod guard;
mod handles;
mod health;
mod incidents;
mod ledger;
mod live;
mod meters;
mod metrics;
mod overview;
mod pages;
mod params;
mod past;
mod photos;
mod picture;
mod readings;
mod rounds;
mod sensors;
mod server;
mod sight;
mod sources;
mod tagged;
mod texts;
mod time_param;
mod topology;
mod totals;
mod written;

pub use adopted::{AdoptProblem, AdoptRefusal, AdoptWish, AdoptedPoint};
pub use app::{openapi, router};
pub use backtest::{Backtest, BacktestCommand, BacktestDoor, BacktestRefusal};
pub use discovery::{Discovery, DiscoveryCommand, DiscoveryDoor};
pub use handles::{CommandRequest, Handles, Reply};
pub use health::{BackupHealth, Batches, Broker, BrokerState, ChannelError, ChannelHealth, DiskHealth, Health, StoreHealth, StoreState};
pub use metrics::reference as metrics_reference;
pub use server::{Settings, serve};

#[cfg(doc)]
use crate::{domain::engine::Command, domain::engine::Snapshot, store::Reader};
