//! The grammar of the command line. Its texts are the reference: `docs/cli.md` is made of them.

use crate::config;
use crate::domain::device::is_filter;
use crate::domain::time::Ms;
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use std::path::PathBuf;

/// heyun 和韵: watches the water and the heating of residential compounds, so that a leak is known in hours.
///
/// Logs go to stderr; HEYUN_LOG says which (`warn`, `info`, `heyun::ingest=debug`; default `info`).
///
/// Exit codes: 0 done, 1 `store check` found something, 64 wrong usage, 65 wrong data, 66 no such input, 70 a bug or a part that died, 73 the output file stands already, 74 input or output failed, 77 no permission, 78 wrong config, 141 the reader of stdout went away.
#[derive(Debug, Parser)]
#[command(name = "heyun", version, subcommand_required = true, arg_required_else_help = false, max_term_width = 100)]
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
    /// Changes nothing and needs no rights: no password is read, no broker asked, and of the database only what was adopted, where it can be read. Problems go to stderr, exit code 78.
    Check(ConfigFile),
    /// The devices whose messages are understood: their profiles, with topics, columns and what to know of them.
    ///
    /// How to write a profile of one's own: docs/guide/devices.md.
    Devices(Devices),
    /// What is at the broker: topics that no meter reads, the devices behind them, and the lines for the config to have them read.
    ///
    /// Hears for a while as a client of its own, publishes nothing, and leaves the daemon's session alone. Every proposal was tried: the values beside it are what the daemon makes of the messages that came. Ctrl-C ends it earlier and still tells. Guide: docs/guide/discover.md.
    Discover(Discover),
    /// A made-up community over MQTT: weeks of history first, then live.
    ///
    /// Publishes at QoS 1 to the broker and the topics that the config names; a message counts as sent when the broker has acknowledged it. All of it comes from the seed: the same seed tells the same water at the same moment, whatever the length of the history. What goes wrong (a leak, a running toilet, air in a riser) hangs on ids of config/demo.toml. Guide: docs/guide/demo.md.
    Simulate(Simulate),
    /// Run a history of readings through the rules: what would have been raised, and when.
    ///
    /// The very same rules as in the daemon, without looking ahead. A summary goes to stderr. Guide: docs/guide/replay.md.
    Replay(Replay),
    /// Write what is stored as CSV, for the water company or for a program.
    ///
    /// Works beside a running daemon and without one, and changes nothing. The columns, and what to do in Excel or WPS: docs/guide/export.md. Number of rows, SHA-256 and the newest commit that is in it go to stderr.
    Export(Export),
    /// Devices that were adopted on the pages or by the API: as lines for the config file, or dropped.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The ways to tell people.
    #[command(subcommand)]
    Channels(ChannelsCommand),
    /// Look into the database, copy it, put a copy back.
    #[command(subcommand)]
    Store(StoreCommand),
}

#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The config (TOML).
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print what was adopted as TOML, to be kept in the config file.
    ///
    /// What the config file says itself, it goes on to say: an entry that stands in both is the file's. So the lines can be copied at any time, and dropped later or never; entries of the file that must name their subscription then are printed first. Works beside a running daemon.
    Export(ConfigExport),
    /// Drop something that was adopted, while the daemon does not run: the way out where it and the config file no longer go together.
    ///
    /// Its readings stay. Beside a running daemon, drop it on the page or by the API.
    Drop(ConfigDrop),
}

#[derive(Debug, Args)]
pub struct ConfigExport {
    /// The config (TOML): its database is read.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Not the lines, but the text of this adopted device profile: the file NAME.toml in `devices/` beside the config.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

#[derive(Debug, Args)]
pub struct ConfigDrop {
    /// The config (TOML): its database is written.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Who drops it.
    #[arg(long, value_name = "NAME")]
    pub by: String,
    #[arg(value_enum, value_name = "KIND")]
    pub kind: Adoptable,
    /// Its id or name.
    #[arg(value_name = "KEY")]
    pub key: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Adoptable {
    Profile,
    Subscription,
    Meter,
    Sensor,
}

#[derive(Debug, Args)]
pub struct Devices {
    /// Only this one, with all that is known of it.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// The config (TOML), to see also the profiles beside it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Discover {
    /// The config (TOML): its broker, and what it reads already. Profiles beside it are tried as well.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// How long to hear: devices that sleep speak once an hour or once a day.
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = span)]
    pub span: Ms,
    /// Only topics that this filter matches; may be repeated.
    #[arg(long, value_name = "FILTER", default_value = "#", value_parser = filter)]
    pub filter: Vec<String>,
    /// Where devices announce themselves in the way of Home Assistant.
    #[arg(long, value_name = "TOPIC", default_value = "homeassistant", value_parser = prefix)]
    pub prefix: String,
    /// Form of the answer.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub format: DiscoverFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiscoverFormat {
    /// For people.
    Text,
    /// One JSON object with every topic, for machines.
    Json,
}

fn span(s: &str) -> Result<Ms, String> {
    config::length_of_time(s, Ms::seconds(1)..=Ms::days(7))
}

fn filter(s: &str) -> Result<String, String> {
    if is_filter(s) {
        Ok(s.to_owned())
    } else {
        Err("this is no filter; right would be a topic in which + stands for a level and # for all that follow: meters/#".to_owned())
    }
}

fn prefix(s: &str) -> Result<String, String> {
    if s.is_empty() || s.contains(['+', '#']) || s.ends_with('/') {
        Err("this is no topic; right would be one without + and #, and no / at its end: homeassistant".to_owned())
    } else {
        Ok(s.to_owned())
    }
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

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub config: ConfigFile,
    /// What a row is.
    #[arg(long, value_enum, default_value = "raw", value_name = "KIND")]
    pub kind: ExportKind,
    /// First instant: a date (where the compound is), a time with its offset, or Unix milliseconds; without it, the first reading.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// First instant that is left out: November is --from 2026-11-01 --to 2026-12-01; without it, after the last reading.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Only these metering points, by their id in the config; may be repeated.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub meter: Vec<String>,
    /// Only metering points at or under these places (compound, building …), by their id; may be repeated. Adds to --meter.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub place: Vec<String>,
    /// Of these, only metering points of this kind; may be repeated.
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    pub meter_kind: Vec<MeterKind>,
    /// Of these, only metering points that measure this; may be repeated.
    #[arg(long, value_enum, value_name = "MEDIUM", value_delimiter = ',')]
    pub medium: Vec<MeterMedium>,
    /// Headings and words: Chinese for people, or codes for programs.
    #[arg(long, value_enum, default_value = "zh", value_name = "LANG")]
    pub lang: ExportLang,
    /// For a double click in Excel on Windows: a byte order mark, and an apostrophe before texts that Excel would turn into numbers or dates.
    #[arg(long)]
    pub bom: bool,
    /// Form of the file.
    #[arg(long, value_enum, default_value = "csv", value_name = "FORMAT")]
    pub format: ExportFormat,
    /// Where to; stands there whole or not at all (FILE.part until then). Without it, stdout.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace FILE if it stands already.
    #[arg(long, requires = "out")]
    pub force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportKind {
    /// Every reading of the metering points, by time.
    Raw,
    /// What each metering point used on each local day, by day, with the registers at its beginning and end.
    Daily,
    /// Every number of every message, by time, also of sources that no metering point reads.
    Values,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MeterKind {
    /// 总表
    Bulk,
    /// 户表
    Sub,
    /// 补水表
    MakeUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MeterMedium {
    /// 水
    Water,
    /// 热水
    HotWater,
    /// 热量
    Heat,
    /// 电
    Electricity,
    /// 燃气
    Gas,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportLang {
    /// 中文
    Zh,
    /// Stable codes, in English.
    En,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// RFC 4180, UTF-8.
    Csv,
}

#[derive(Debug, Subcommand)]
pub enum ChannelsCommand {
    /// Send a test message and say what became of it. Works beside a running daemon.
    ///
    /// Needs the right to read the channels' secrets, as the daemon does. Exit code 74 if a channel did not take the message. Guide: docs/guide/alerts.md.
    Test(ChannelsTest),
}

#[derive(Debug, Args)]
pub struct ChannelsTest {
    /// The config (TOML).
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Only this channel; left out: all of them.
    #[arg(long, value_name = "NAME")]
    pub channel: Option<String>,
}

/// The database that is meant: the one that a config names, or a file.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Database {
    /// The config (TOML): the database that it names.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The database file itself; no config is read.
    #[arg(long, value_name = "DB")]
    pub store: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Whether the database holds what it says: every page, every index, each table against the others.
    ///
    /// Works beside a running daemon and without one, and changes nothing. Each finding is told in words: what is damaged, which meters from when to when, and what is still whole. Exit code 1 where there is one. With --repair a new file is made of what can be read. Guide: docs/guide/repair.md.
    Check(StoreCheck),
    /// Copy the database into a file, verified. Works beside a running daemon and without one.
    ///
    /// One consistent state, however much is stored meanwhile. FILE stands under its name when it is whole, on the disk and read again from end to end (FILE.part until then), with FILE.sha256 beside it. Also of a database of an older version, before an upgrade. Guide: docs/guide/backup.md.
    Backup(StoreBackup),
    /// Put a copy in the place of the database. The daemon must be stopped.
    ///
    /// The copy is verified before anything is changed; the present database is kept as DB.before-restore-TIME, and what it holds that the copy does not is told. A copy of an older version is migrated at the daemon's next start. Guide: docs/guide/backup.md.
    Restore(StoreRestore),
    /// What the database holds and how large it is. Works beside a running daemon.
    ///
    /// Readings, their span, bytes of every table, what a day adds, the size of the log. Reads the whole file once to tell the bytes.
    Stats(StoreStats),
}

#[derive(Debug, Args)]
pub struct StoreCheck {
    #[command(flatten)]
    pub database: Database,
    /// Do not hold the indexes against their tables: about half the time.
    #[arg(long, conflicts_with = "repair")]
    pub quick: bool,
    /// Make a new file of what can be read, put it in the place of the damaged one, and say what is lost. The daemon must be stopped; the damaged file is kept as DB.damaged-TIME.
    #[arg(long)]
    pub repair: bool,
    /// Language of the findings.
    #[arg(long, value_enum, default_value = "zh", value_name = "LANG")]
    pub lang: CheckLang,
    /// Form of the answer.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub format: CheckFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckLang {
    /// 中文
    Zh,
    /// English.
    En,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people.
    Text,
    /// One JSON object with codes and both languages, for machines.
    Json,
}

#[derive(Debug, Args)]
pub struct StoreBackup {
    /// Where to: a file in a directory that exists, best on another disk.
    #[arg(value_name = "FILE")]
    pub to: PathBuf,
    #[command(flatten)]
    pub database: Database,
    /// Replace FILE if it stands already.
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct StoreRestore {
    /// The copy.
    #[arg(value_name = "FILE")]
    pub from: PathBuf,
    /// The config (TOML): the database that it names is replaced.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The database to be replaced, or to be made.
    #[arg(long, value_name = "DB", required_unless_present = "config", conflicts_with = "config")]
    pub to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StoreStats {
    #[command(flatten)]
    pub database: Database,
    /// Form of the answer.
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub format: StatsFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatsFormat {
    /// For people.
    Table,
    /// One JSON object, for machines.
    Json,
}
