//! The command line: what may be asked for, and with which exit code each answer ends.
//!
//! `args` is the grammar, each command has a file of its own, `error` is the one table from what went wrong to the exit code,
//! `logs` sets up what goes to stderr, `reference` writes `docs/cli.md` from the grammar.

mod args;
mod channels;
mod check;
mod config;
mod devices;
mod discover;
mod error;
mod export;
mod export_file;
mod logs;
mod reference;
mod replay;
mod run;
mod simulate;
mod store;

pub use devices::table as devices_table;
pub use error::{Error, Exit};
pub use reference::reference;

use args::{ChannelsCommand, Cli, Command, ConfigCommand, LogFormat};
use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

/// The whole program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are no errors. If even they cannot be printed, nobody is there to be told.
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    match obey(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody is left to read what would be said.
        Err(e) if e.exit() == Exit::Pipe => Exit::Pipe.into(),
        Err(e) => {
            match cli.log_format {
                LogFormat::Json if logs::are_on() => tracing::error!(exit = e.exit() as u8, "{}", e.text().trim_end()),
                LogFormat::Json | LogFormat::Text => {
                    let _ = write!(std::io::stderr(), "{}", e.for_people());
                }
            }
            e.exit().into()
        }
    }
}

fn obey(cli: &Cli) -> Result<(), Error> {
    logs::set_up(cli.log_format)?;
    match &cli.command {
        Command::Run(c) => run::run(&c.config),
        Command::Check(c) => check::run(&c.config),
        Command::Devices(d) => devices::list(d),
        Command::Discover(d) => discover::run(d),
        Command::Export(e) => export::run(e, cli.log_format),
        Command::Simulate(s) => simulate::run(s),
        Command::Replay(r) => replay::run(r, cli.log_format),
        Command::Config(ConfigCommand::Export(c)) => config::export(c),
        Command::Config(ConfigCommand::Drop(c)) => config::drop_adopted(c),
        Command::Channels(ChannelsCommand::Test(c)) => channels::test(&c.config, c.channel.as_deref()),
        Command::Store(c) => store::run(c),
    }
}

/// A line on stdout: what was asked for. A reader that closed the pipe has seen enough.
fn answer(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
