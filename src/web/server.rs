//! The listener: connections in, in bounded number, each with a timer; out when the daemon says so.

use super::app;
use super::handles::Handles;
use super::live::{STREAMS, Streams};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Connections at once: every live stream holds one, and as many are left for questions. Who comes while all are taken waits in the kernel's queue.
const CONNECTIONS: usize = 128;
/// For the head of a request; also how long an idle connection is kept.
const HEAD: Duration = Duration::from_secs(15);
/// What a connection's buffers may grow to; the largest head of a request.
const BUFFER: usize = 16 * 1024;
/// How long requests in progress may take once the end has been said. Less than the daemon gives the whole stop.
const FAREWELL: Duration = Duration::from_secs(3);
/// After the kernel refused a connection (no file descriptors): others may end meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// What the web is told at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A loopback address: there are no accounts yet.
    pub listen: SocketAddr,
}

impl Settings {
    /// Takes the address. Refuses one that other machines can reach.
    pub async fn bind(&self) -> io::Result<TcpListener> {
        loopback(self.listen)?;
        TcpListener::bind(self.listen).await
    }
}

fn loopback(addr: SocketAddr) -> io::Result<()> {
    if addr.ip().is_loopback() {
        return Ok(());
    }
    let what = format!("{addr} can be reached from other machines, and there are no accounts yet: listen on 127.0.0.1 or [::1]");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
}

/// Serves until `shutdown` is ready: then takes no more connections, ends the live streams, and lets requests in progress finish, but not
/// for ever.
///
/// Returns an error only if the listener is not on loopback.
pub async fn serve(listener: TcpListener, handles: Handles, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    loopback(listener.local_addr()?)?;
    let streams = Streams::new(STREAMS);
    let router = app::with_streams(handles, streams.clone());
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped, it cuts off whatever still goes on.
    let (cut, cutting) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, place) = tokio::select! {
            next = accept(&listener, &places) => next,
            () = &mut shutdown => break,
        };
        let service = TowerToHyperService::new(router.clone());
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER);
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        let mut cutting = cutting.clone();
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                },
                _ = cutting.changed() => {}
            }
            drop(place);
        });
    }
    drop(listener);
    streams.end();
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests still in progress were cut off");
    }
    drop(cut);
    Ok(())
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        // The semaphore is never closed; were it, nobody could be let in.
        let Ok(place) = places.clone().acquire_owned().await else { std::future::pending().await };
        match listener.accept().await {
            Ok((stream, _)) => {
                // The end of an answer, or an event of a live stream, must not wait for the client's acknowledgement of what came before.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection sends in larger pieces");
                }
                return (stream, place);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                drop(place);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
