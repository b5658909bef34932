//! The first ten minutes as the README tells them, done by machine: its commands, word for word, on the demo's config.

use crate::harness::{Broker, Daemon, request};
use std::path::Path;
use std::process::Command;

fn project(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// The lines of a page that begin with this word.
fn commands(page: &str, program: &str) -> Vec<String> {
    project(page).lines().filter(|l| l.starts_with(program)).map(str::to_owned).collect()
}

#[test]
fn the_readme_shows_what_it_says() {
    let published = commands("README.md", "mosquitto_pub ");
    let asked = commands("README.md", "curl ");
    assert_eq!((published.len(), asked.len()), (2, 2));
    assert_eq!(published, commands("README.zh-CN.md", "mosquitto_pub "), "both languages, the same commands");
    let url = |line: &str| line.split('\'').nth(1).unwrap().to_owned();
    let urls = |lines: &[String]| lines.iter().map(|l| url(l)).collect::<Vec<_>>();
    assert_eq!(urls(&asked), urls(&commands("README.zh-CN.md", "curl ")));

    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let config = project("config/demo.toml")
        .replace("127.0.0.1:18830", &format!("127.0.0.1:{}", broker.port))
        .replace("127.0.0.1:8480", "127.0.0.1:0")
        .replace("target/demo/heyun.db", &folder.path().join("heyun.db").display().to_string());
    let mut d = Daemon::start(folder.path(), &config);
    for line in published {
        let line = line.replace("-p 18830", &format!("-p {}", broker.port));
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success(), "{line}");
    }
    d.until("both are stored", |d| d.get("/api/v1/sources")["sources"][0]["counts"]["stored"] == 2);
    let path = url(&asked[0]).replace("http://127.0.0.1:8480", "");
    let (status, body) = request(d.http, "GET", &path, None);
    assert_eq!(status, 200, "{body}");
    assert!(body.contains(r#""litres":470,"litres_per_hour":1880"#), "{body}");
    let (status, rows) = request(d.http, "GET", &url(&asked[1]).replace("http://127.0.0.1:8480", ""), None);
    assert_eq!((status, rows.lines().count()), (200, 3), "a heading and two readings: {rows}");
    assert!(rows.contains("338.774"), "{rows}");
}
