//! `heyun store check`.

use super::super::args::{CheckFormat, CheckLang, StoreCheck};
use super::super::{Error, answer, config};
use super::findings::{Names, what_is_whole, words};
use crate::daemon;
use crate::domain::topology::Topology;
use crate::store::{self, CheckStep, Depth, Finding, Repair, Repaired, Report, Settings, Whole};
use crate::texts::{Text, say};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::cell::RefCell;
use std::time::Duration;

pub fn run(args: &StoreCheck) -> Result<(), Error> {
    let (settings, topology) = meant(args)?;
    let names = Names::new(topology.as_ref());
    let bar = Bar::new();
    let step = |s: CheckStep<'_>| bar.step(s);
    let done = if args.repair {
        store::repair(&settings, daemon::now(), &mut { step })?
    } else {
        Repair::Needless(store::check(&settings, if args.quick { Depth::Quick } else { Depth::Full }, &mut { step })?)
    };
    drop(bar);
    let say = |t: &Text| match args.lang {
        CheckLang::Zh => answer(&t.zh),
        CheckLang::En => answer(&t.en),
    };
    match args.format {
        CheckFormat::Text => match &done {
            Repair::Needless(report) => told(report, &names, &say),
            Repair::Done(repaired) => told_repair(repaired, &names, &say),
        },
        CheckFormat::Json => answer(&json(&done, &names)?),
    }
    match &done {
        Repair::Needless(report) if !report.findings.is_empty() => Err(Error::Found(report.findings.len())),
        Repair::Done(repaired) if !repaired.after.findings.is_empty() => Err(Error::Found(repaired.after.findings.len())),
        _ => Ok(()),
    }
}

/// The database, and the meters' names where a config tells them.
fn meant(args: &StoreCheck) -> Result<(Settings, Option<Topology>), Error> {
    match (&args.database.store, &args.database.config) {
        (Some(path), _) => Ok((Settings { path: path.clone() }, None)),
        (None, Some(path)) => {
            // Not what was adopted: the database is what is doubted here. Its meters are told by their topics.
            let config = config::file(path)?.config().clone();
            Ok((Settings { path: config.store.path }, Some(config.topology)))
        }
        (None, None) => Err(Error::NoDatabase),
    }
}

fn told(report: &Report, names: &Names, answer: &dyn Fn(&Text)) {
    let file = report.file.display().to_string();
    if report.findings.is_empty() {
        answer(&say("store_check.clean", &[("file", file.into()), ("rows", report.readings.into()), ("batch", report.batch.into())]));
        return;
    }
    answer(&say("store_check.found", &[("file", file.into()), ("n", report.findings.len().into())]));
    report.findings.iter().for_each(|f| answer(&words(f, names)));
    if !report.whole.is_empty() {
        answer(&say("store_check.whole", &[("what", what_is_whole(report).into())]));
    }
    answer(&say("store_check.what_now", &[]));
}

fn told_repair(repaired: &Repaired, names: &Names, answer: &dyn Fn(&Text)) {
    let Repaired { damaged, lost, garbled, after, .. } = repaired;
    let file = after.file.display().to_string();
    answer(&say("store_check.repaired", &[("file", file.into()), ("damaged", damaged.display().to_string().into())]));
    if repaired.first_page {
        answer(&say("store_check.repaired_first_page", &[]));
    }
    if lost.is_empty() && *garbled == 0 {
        answer(&say("store_check.nothing_lost", &[]));
    }
    lost.iter().for_each(|l| answer(&words(l, names)));
    if *garbled > 0 {
        answer(&say("store_check.garbled", &[("rows", (*garbled).into())]));
    }
    answer(&say("store_check.whole", &[("what", what_is_whole(after).into())]));
    after.findings.iter().for_each(|f| answer(&words(f, names)));
}

fn json(done: &Repair, names: &Names) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Worded<'a, T> {
        #[serde(flatten)]
        what: &'a T,
        text: Text,
    }
    #[derive(Serialize)]
    struct Answer<'a> {
        file: String,
        schema: Option<i64>,
        batch: u64,
        readings: u64,
        clean: bool,
        findings: Vec<Worded<'a, Finding>>,
        whole: &'a [Whole],
        #[serde(skip_serializing_if = "Option::is_none")]
        repair: Option<RepairTold<'a>>,
    }
    #[derive(Serialize)]
    struct RepairTold<'a> {
        damaged: String,
        first_page: bool,
        garbled: u64,
        lost: Vec<Worded<'a, Finding>>,
    }
    let (report, repair) = match done {
        Repair::Needless(report) => (report, None),
        Repair::Done(r) => {
            let lost = r.lost.iter().map(|l| Worded { what: l, text: words(l, names) }).collect();
            let told = RepairTold { damaged: r.damaged.display().to_string(), first_page: r.first_page, garbled: r.garbled, lost };
            (&r.after, Some(told))
        }
    };
    let answer = Answer {
        file: report.file.display().to_string(),
        schema: report.schema,
        batch: report.batch,
        readings: report.readings,
        clean: report.findings.is_empty(),
        findings: report.findings.iter().map(|f| Worded { what: f, text: words(f, names) }).collect(),
        whole: &report.whole,
        repair,
    };
    serde_json::to_string_pretty(&answer).map_err(Error::Json)
}

/// Shows on a terminal how far a check is.
struct Bar {
    bar: ProgressBar,
    /// What is being read.
    at: RefCell<String>,
}

impl Bar {
    /// Hides itself where stderr is no terminal.
    fn new() -> Bar {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar { bar, at: RefCell::default() }
    }

    fn step(&self, step: CheckStep<'_>) {
        match step {
            CheckStep::Pages => self.bar.set_message("pages"),
            CheckStep::Table { name, rows, of } => {
                if *self.at.borrow() != name {
                    name.clone_into(&mut self.at.borrow_mut());
                    // The template is a constant; a wrong one would show as indicatif's own bar.
                    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {elapsed} (still {eta})");
                    self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                }
                self.bar.set_length(of.max(rows));
                self.bar.set_position(rows);
                self.bar.set_message(format!("{name}: {rows} rows"));
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
