//! A broker that asks for a password over TLS, as it should on a network that others share.

use crate::harness::{Broker, Daemon, config};
use std::process::Command;

#[test]
fn it_speaks_tls_with_a_password_from_a_file_and_trusts_only_the_named_authority() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let authority = authority("heyun test authority");
    let (certificate, key) = server_certificate(&authority);
    std::fs::write(path("ca.pem"), authority.pem()).unwrap();
    std::fs::write(path("server.pem"), certificate).unwrap();
    std::fs::write(path("server.key"), key).unwrap();
    std::fs::write(path("other.pem"), self::authority("another").pem()).unwrap();
    std::fs::write(path("password"), "secret\n").unwrap();
    let made = Command::new("mosquitto_passwd").args(["-b", "-c", &path("users"), "heyun", "secret"]).status();
    assert!(made.expect("mosquitto_passwd comes with mosquitto").success());
    let mut broker = Broker::start_with(&format!(
        "allow_anonymous false\npassword_file {}\ncafile {}\ncertfile {}\nkeyfile {}\n",
        path("users"),
        path("ca.pem"),
        path("server.pem"),
        path("server.key"),
    ));

    let plain = config(broker.port, &folder.path().join("heyun.db"), "");
    let with = |ca: &str, password: &str| {
        plain.replace(
            &format!("url = \"mqtt://127.0.0.1:{}\"", broker.port),
            &format!(
                "url = \"mqtts://localhost:{}\"\nca_file = \"{}\"\nusername = \"heyun\"\npassword_file = \"{}\"",
                broker.port,
                path(ca),
                path(password)
            ),
        )
    };
    let d = Daemon::start(folder.path(), &with("ca.pem", "password"));
    d.stop();
    assert_eq!(discovered(&path("heyun.toml")).0, Some(0));

    let mut d = Daemon::start_alone(folder.path(), &with("other.pem", "password"));
    let line = d.wait_for_line("no broker; trying again");
    assert!(line.contains("certificate") || line.contains("UnknownIssuer"), "{line}");
    d.stop();
    let (code, log) = discovered(&path("heyun.toml"));
    assert!(code == Some(74) && log.contains("cannot be reached"), "{log}");

    std::fs::write(path("wrong"), "guess").unwrap();
    let mut d = Daemon::start_alone(folder.path(), &with("ca.pem", "wrong"));
    let line = d.wait_for_line("no broker; trying again");
    assert!(line.contains("check user name, password"), "{line}");
    assert!(!d.log().contains("guess"), "a password in the log");
    d.stop();
    let (status, log) = Daemon::spawn(folder.path(), &with("password", "password"), &[]).wait();
    assert_eq!(status.code(), Some(78), "a file without a certificate: {log}");
    broker.stop();
}

/// Another client by the same config: exit code and log.
fn discovered(config: &str) -> (Option<i32>, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_heyun")).args(["discover", "--for", "1s", "--config", config]).output().unwrap();
    (out.status.code(), String::from_utf8(out.stderr).unwrap())
}

pub type Authority = rcgen::CertifiedIssuer<'static, rcgen::KeyPair>;

pub fn authority(name: &str) -> Authority {
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap()
}

/// PEM of a certificate for `localhost` and of its key.
pub fn server_certificate(authority: &Authority) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}
