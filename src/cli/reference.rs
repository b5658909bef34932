//! `docs/cli.md`, made of the grammar, so that it cannot tell of anything else.

use super::args::Cli;
use clap::{Command, CommandFactory};

const HEAD: &str = "# Command line\n\n\
    Made from the program's own help (`tests/cli.rs` holds it against that; `HEYUN_REGENERATE=1 cargo test --test cli` writes it anew).\n";

/// The page.
pub fn reference() -> String {
    let mut root = Cli::command();
    root.build();
    let mut page = HEAD.to_owned();
    section(&mut root, "heyun", &mut page);
    page
}

fn section(command: &mut Command, name: &str, page: &mut String) {
    let help = command.render_long_help().to_string();
    page.push_str(&format!("\n## {name}\n\n```text\n"));
    for line in help.lines() {
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page.push_str("```\n");
    for sub in command.get_subcommands_mut().filter(|s| s.get_name() != "help") {
        let name = format!("{name} {}", sub.get_name());
        section(sub, &name, page);
    }
}
