//! Logs: to stderr, as text or JSON, filtered by the environment variable `HEYUN_LOG`.

use super::args::LogFormat;
use super::error::Error;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

const VARIABLE: &str = "HEYUN_LOG";
const DEFAULT: &str = "info";

pub fn set_up(format: LogFormat) -> Result<(), Error> {
    // What is no text cannot be a filter; the parser says so.
    let wanted = std::env::var_os(VARIABLE).map(|v| v.to_string_lossy().into_owned()).filter(|v| !v.is_empty());
    let wanted = wanted.unwrap_or_else(|| DEFAULT.to_owned());
    let filter = EnvFilter::try_new(&wanted).map_err(|e| Error::LogFilter(format!("{wanted:?} is not a filter ({e})")))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => logs.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    Ok(())
}

/// False before [`set_up`] has succeeded: then an error has to be printed instead.
pub fn are_on() -> bool {
    tracing::dispatcher::has_been_set()
}
