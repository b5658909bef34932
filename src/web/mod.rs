//! stub
use crate::domain::engine::{Command, CommandError, Snapshot};
use crate::domain::incident::Incident;
use crate::domain::time::Ts;
use crate::domain::topology::Topology;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
pub struct CommandRequest {
    pub command: Command,
    pub reply: oneshot::Sender<Result<Arc<Incident>, CommandError>>,
}
pub struct Handles {
    pub topology: Arc<Topology>,
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    pub reader: crate::store::Reader,
    pub commands: mpsc::Sender<CommandRequest>,
    pub health: watch::Receiver<Arc<Health>>,
}
#[derive(Clone, Debug)]
pub struct Health {
    pub started_at: Ts,
}
pub async fn serve(_l: tokio::net::TcpListener, mut h: Handles, until: impl Future<Output = ()>) -> std::io::Result<()> {
    let printer = async {
        while h.snapshot.changed().await.is_ok() {
            let s = h.snapshot.borrow().clone();
            tracing::debug!(counts = ?s.counts, incidents = s.incidents.len(), "snapshot");
        }
    };
    tokio::select! { () = until => {} () = printer => {} }
    Ok(())
}
