fn main() -> std::process::ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(tracing_subscriber::EnvFilter::from_env("HEYUN_LOG")).init();
    let path = std::env::args().nth(1).unwrap();
    let config = match heyun::config::load(std::path::Path::new(&path)) {
        Ok(c) => c,
        Err(e) => { eprintln!("{e:?}"); return std::process::ExitCode::from(78) }
    };
    match heyun::daemon::run(&config) { Ok(()) => std::process::ExitCode::SUCCESS, Err(e) => { eprintln!("{e}"); std::process::ExitCode::from(70) } }
}
