//! `[web]`: where the pages and the API are served.

use super::reader::{Shape, Table};
use super::values::Wrong;
use std::net::{Ipv4Addr, SocketAddr};

pub(super) static WEB: Shape = Shape {
    path: "web",
    keys: &["listen"],
    hints: &[
        ("port", "listen = \"127.0.0.1:8480\": address and port together"),
        ("host", "listen = \"127.0.0.1:8480\": address and port together"),
    ],
};

/// The settings of the web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// Always a loopback address, as long as there are no accounts.
    pub listen: SocketAddr,
}

pub(super) fn web(root: &Table<'_>) -> Option<Web> {
    let default = Web { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8480)) };
    if root.get("web").is_none() {
        return Some(default);
    }
    let t = root.table("web", &WEB)?;
    t.get("listen").map_or(Some(default), |f| f.parsed(listen).map(|listen| Web { listen }))
}

fn listen(s: &str) -> Result<SocketAddr, Wrong> {
    let right = "an address of this machine itself with a port: \"127.0.0.1:8480\" or \"[::1]:8480\"";
    let a: SocketAddr = s.parse().map_err(|_| Wrong::new(format!("{s:?} is not an address with a port"), right))?;
    if a.ip().is_loopback() {
        return Ok(a);
    }
    let what = format!(
        "{s} can be reached from other machines, but there are no accounts yet: anyone there could read every reading, and accept and close incidents"
    );
    Err(Wrong::new(what, format!("{right}; let others in through an SSH tunnel or a reverse proxy that asks for a password")))
}
