use crate::gateway::handles;
use heyun::web::{Settings, serve};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

const LIMIT: Duration = Duration::from_secs(20);

async fn read_until(stream: &mut TcpStream, needle: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(needle) {
        let n = tokio::time::timeout(LIMIT, stream.read(&mut buffer)).await.expect("nothing came").unwrap();
        assert!(n > 0, "ended early: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    text
}

#[tokio::test]
async fn other_machines_are_refused_at_the_door() {
    for listen in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
        let error = Settings { listen: listen.parse().unwrap() }.bind().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{listen}");
    }
    let (handles, _core, _health, _dir) = handles();
    let open = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let error = serve(open, handles, std::future::pending()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_stop_ends_streams_and_idle_connections_at_once() {
    let (handles, _core, _health, _dir) = handles();
    let listener = Settings { listen: "127.0.0.1:0".parse().unwrap() }.bind().await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, handles, async move {
        stopped.await.unwrap();
    }));

    let mut idle = TcpStream::connect(addr).await.unwrap();
    idle.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes()).await.unwrap();
    assert!(read_until(&mut idle, "\"status\":\"ok\"").await.starts_with("HTTP/1.1 200"));
    let mut live = TcpStream::connect(addr).await.unwrap();
    live.write_all(format!("GET /api/v1/live HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes()).await.unwrap();
    read_until(&mut live, "event: meters").await;

    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(2), server).await.expect("the stop took too long");
    ended.unwrap().unwrap();
    let mut rest = vec![];
    tokio::time::timeout(LIMIT, live.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&rest).ends_with("0\r\n\r\n"), "the stream ends in good order");
    assert!(TcpStream::connect(addr).await.is_err());
}
