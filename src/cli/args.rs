//! The grammar of the command line. Its texts are the reference: `docs/cli.md` is made of them.

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use std::path::PathBuf;

/// heyun 和韵: watches the water and the heating of residential compounds, so that a leak is known in hours.
///
/// Logs go to stderr; HEYUN_LOG says which (`warn`, `info`, `heyun::ingest=debug`; default `info`).
///
/// Exit codes: 0 done, 64 wrong usage, 65 wrong data, 66 no such input, 70 a bug or a part that died, 74 input or output failed, 77 no permission, 78 wrong config.
#[derive(Debug, Parser)]
#[command(name = "heyun", version, subcommand_required = true, arg_required_else_help = false)]
pub struct Cli {
    /// Form of the log lines on stderr.
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for machines.
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The daemon: takes readings from the broker, stores them, watches, serves the API.
    ///
    /// Runs in the foreground until SIGTERM or SIGINT, stops in order within five seconds; a second signal stops at once. Under systemd it tells when it is ready.
    Run(ConfigFile),
    /// Tell every problem of a config file, with its line and what would be right.
    ///
    /// Changes nothing and needs no rights: no password is read, no database opened, no broker asked. Problems go to stderr, exit code 78.
    Check(ConfigFile),
    /// A made-up community over MQTT: weeks of history first, then live.
    ///
    /// Publishes at QoS 1 to the broker and the topics that the config names; a message counts as sent when the broker has acknowledged it. All of it comes from the seed: the same seed tells the same water at the same moment, whatever the length of the history. What goes wrong (a leak, a running toilet, air in a riser) hangs on ids of config/demo.toml. Guide: docs/guide/demo.md.
    Simulate(Simulate),
    /// Run a history of readings through the rules: what would have been raised, and when.
    ///
    /// The very same rules as in the daemon, without looking ahead. A summary goes to stderr. Guide: docs/guide/replay.md.
    Replay(Replay),
    /// Look into the database.
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The config (TOML).
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

#[derive(Debug, Args)]
pub struct Simulate {
    /// The config (TOML): its broker, topics, payload forms, places and meters. Its limits are not looked at.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Who lives there and how, and what happens.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Days of history before the live part. Devices that do not say when they read have none.
    #[arg(long, value_name = "DAYS", default_value_t = 28, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub history: u16,
    /// Live so many times as fast as time: 60 is a minute a second. Faster than 1 it begins a day ago, and goes at the pace of time once it has caught up.
    #[arg(long, value_name = "X", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=3600), conflicts_with_all = ["once", "until"])]
    pub speed: u16,
    /// The history only, then exit.
    #[arg(long)]
    pub once: bool,
    /// The history only, up to this moment instead of now: 2026-11-24T08:00:00+08:00.
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
    /// When the pipe behind b15-bulk gives (a time with its offset), or `never`. Left out: 21 hours before the end of the history, at the full hour.
    #[arg(long, value_name = "TIME", value_parser = leak_at)]
    pub leak_at: Option<Leak>,
}

#[derive(Clone, Copy, Debug)]
pub enum Leak {
    At(Timestamp),
    Never,
}

fn leak_at(s: &str) -> Result<Leak, String> {
    if s == "never" {
        return Ok(Leak::Never);
    }
    s.parse().map(Leak::At).map_err(|_| "this is neither `never` nor a time with its offset, such as 2026-11-24T08:00:00+08:00".to_owned())
}

#[derive(Debug, Args)]
pub struct Replay {
    /// CSV of the meters: meter,kind,parent,dt_s,pulse_l,households,tz. Other columns are not read.
    #[arg(long, value_name = "M.csv")]
    pub meters: PathBuf,
    /// CSV of readings in order of arrival, plain or gzip: ts,meter,value,unit. Several files are joined by their clocks.
    #[arg(long, value_name = "R.csv.gz", required = true)]
    pub readings: Vec<PathBuf>,
    /// Where the alerts go, as CSV: ts,meter,kind.
    #[arg(long, value_name = "A.csv")]
    pub alerts_out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Size and span of the database. Works beside a running daemon.
    Stats(ConfigFile),
}
