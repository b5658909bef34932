//! One view of the process's parts, for people.
use super::engine_thread::StoreStatus;
use crate::domain::time::Ts;
use crate::ingest::mqtt::Status;
use crate::web::Health;
use std::sync::Arc;
use tokio::sync::watch;
pub fn watch(_broker: Option<watch::Receiver<Status>>, _store: watch::Receiver<StoreStatus>, started_at: Ts) -> watch::Receiver<Arc<Health>> {
    watch::channel(Arc::new(Health { started_at })).1
}
