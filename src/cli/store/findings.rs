//! What a check found, in words: which data, whose, from when to when.

use crate::domain::time::Ts;
use crate::domain::topology::Topology;
use crate::store::{Finding, Lost, Report, Silence};
use crate::texts::{Stamp, Text, say};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

/// So many meters are named; of more, their number is told.
const NAMED: usize = 5;

/// The meters by their topics, and their clocks.
pub struct Names {
    tz: TimeZone,
    meters: BTreeMap<String, String>,
}

impl Names {
    /// Without a config meters are called by their topics, and times are UTC.
    pub fn new(topology: Option<&Topology>) -> Names {
        let points = topology.iter().flat_map(|t| &t.points);
        Names {
            tz: topology.map_or(TimeZone::UTC, |t| t.tz.clone()),
            meters: points.filter_map(|p| Some((p.source.as_ref()?.topic.clone(), p.name.clone()))).collect(),
        }
    }

    fn time(&self, ts: Ts) -> Text {
        Text::same(format!("{}{}", Stamp::new(ts, &self.tz).full(), if self.meters.is_empty() { "Z" } else { "" }))
    }

    fn meter(&self, topic: &str) -> String {
        self.meters.get(topic).map_or(topic.to_owned(), |name| format!("{name} ({topic})"))
    }

    fn meters(&self, sources: &[Silence]) -> Text {
        let names: Vec<String> = sources.iter().take(NAMED).map(|s| self.meter(&s.topic)).collect();
        match sources.len() {
            0 => say("store_check.who_unknown", &[]),
            n if n <= NAMED => Text::same(names.join(", ")),
            n => say("store_check.who_many", &[("n", n.into()), ("names", names.join(", ").into())]),
        }
    }
}

/// A table as people would call what is in it.
fn table(name: &str) -> Text {
    let key = match name {
        "readings" => "store_check.table.readings",
        "commits" => "store_check.table.commits",
        "late" => "store_check.table.late",
        "sources" => "store_check.table.sources",
        "columns" => "store_check.table.columns",
        "identities" => "store_check.table.identities",
        "events" => "store_check.table.events",
        "outbox" => "store_check.table.outbox",
        "checkpoints" => "store_check.table.checkpoints",
        "chunks" => "store_check.table.chunks",
        "chunk_columns" => "store_check.table.chunk_columns",
        "changes" => "store_check.table.changes",
        "daily" => "store_check.table.daily",
        "expired" => "store_check.table.expired",
        "ledger" => "store_check.table.ledger",
        "monthly" => "store_check.table.monthly",
        "hot_0" | "hot_1" | "hot_2" | "hot_3" => "store_check.table.hot",
        _ => return Text::same(name),
    };
    let Text { zh, en } = say(key, &[]);
    // As `sqlite3` would name it, too.
    let with = |words: String| if words == name { words } else { format!("{words} ({name})") };
    Text { zh: with(zh), en: with(en) }
}

/// What can be read, table by table.
pub fn what_is_whole(report: &Report) -> Text {
    let mut all = Text::default();
    for w in report.whole.iter().filter(|w| w.rows > 0) {
        let one = say("store_check.rows_of", &[("table", table(&w.table).into()), ("rows", w.rows.into())]);
        let comma = |s: &String| if s.is_empty() { "" } else { "; " };
        all = Text { zh: format!("{}{}{}", all.zh, comma(&all.zh), one.zh), en: format!("{}{}{}", all.en, comma(&all.en), one.en) };
    }
    all
}

/// Rows that cannot be read.
fn loss(lost: &Lost, names: &Names) -> Text {
    let end = |at: Option<Text>, open: &str| at.unwrap_or_else(|| say(open, &[]));
    let rows = lost.rows.map_or_else(|| say("store_check.some", &[]), |n| Text::same(n.to_string()));
    if lost.table == "readings" {
        let from = end(lost.from.map(|t| names.time(t)), "store_check.beginning");
        let to = end(lost.to.map(|t| names.time(t)), "store_check.end");
        let who = names.meters(&lost.sources);
        return say("store_check.lost_readings", &[("from", from.into()), ("to", to.into()), ("rows", rows.into()), ("who", who.into())]);
    }
    let after = end(lost.after.map(|k| Text::same(k.to_string())), "store_check.beginning");
    let before = end(lost.before.map(|k| Text::same(k.to_string())), "store_check.end");
    let args = [("table", table(&lost.table).into()), ("after", after.into()), ("before", before.into()), ("rows", rows.into())];
    say("store_check.lost_rows", &args)
}

pub fn words(finding: &Finding, names: &Names) -> Text {
    match finding {
        Finding::FirstPage { told } => say("store_check.first_page", &[("told", told.into())]),
        Finding::Pages { of: Some(name), index: true, faults, told } => {
            say("store_check.pages_index", &[("name", name.into()), ("n", (*faults).into()), ("told", told.into())])
        }
        Finding::Pages { of: Some(name), index: false, faults, told } => {
            say("store_check.pages_table", &[("table", table(name).into()), ("n", (*faults).into()), ("told", told.into())])
        }
        Finding::Pages { of: None, faults, told, .. } => say("store_check.pages_file", &[("n", (*faults).into()), ("told", told.into())]),
        Finding::Lost(lost) => loss(lost, names),
        Finding::RowsMissing { first_batch, last_batch, from, to, rows } => {
            let span = [("from", names.time(*from).into()), ("to", names.time(*to).into()), ("rows", (*rows).into())];
            let batches = [("first", (*first_batch).into()), ("last", (*last_batch).into())];
            say("store_check.rows_missing", &span.into_iter().chain(batches).collect::<Vec<_>>())
        }
        Finding::RowsWithoutCommit { rows, from, to } => {
            let args = [("rows", (*rows).into()), ("from", names.time(*from).into()), ("to", names.time(*to).into())];
            say("store_check.rows_without_commit", &args)
        }
        Finding::RowsOutOfRange { batch, rows } => {
            say("store_check.rows_out_of_range", &[("batch", (*batch).into()), ("rows", (*rows).into())])
        }
        Finding::UnknownSource { source, rows, from, to } => {
            let span = [("from", names.time(*from).into()), ("to", names.time(*to).into())];
            let args = [("source", (*source).into()), ("rows", (*rows).into())];
            say("store_check.unknown_source", &span.into_iter().chain(args).collect::<Vec<_>>())
        }
        Finding::ChunkDamaged { topic, from, to, rows, format, set_aside } => {
            let key = match (set_aside, format) {
                (true, _) => "store_check.chunk_set_aside",
                (false, Some(_)) => "store_check.chunk_format",
                (false, None) => "store_check.chunk_damaged",
            };
            say(
                key,
                &[
                    ("who", names.meter(topic).into()),
                    ("from", names.time(*from).into()),
                    ("to", names.time(*to).into()),
                    ("rows", (*rows).into()),
                ],
            )
        }
        Finding::ChunkLost { topic, from, rows } => say(
            "store_check.chunk_lost",
            &[("who", names.meter(topic).into()), ("from", names.time(*from).into()), ("rows", (*rows).into())],
        ),
        Finding::ChunkTold { topic, from, to } => say(
            "store_check.chunk_told",
            &[("who", names.meter(topic).into()), ("from", names.time(*from).into()), ("to", names.time(*to).into())],
        ),
        Finding::ChunksOverlap { topic, from, to } => say(
            "store_check.chunks_overlap",
            &[("who", names.meter(topic).into()), ("from", names.time(*from).into()), ("to", names.time(*to).into())],
        ),
        Finding::Twice { topic, at } => say("store_check.twice", &[("who", names.meter(topic).into()), ("at", names.time(*at).into())]),
        Finding::Total { told, found } => say("store_check.total", &[("told", (*told).into()), ("found", (*found).into())]),
        Finding::DaysTold { point, missing } => say("store_check.days_told", &[("point", point.into()), ("n", (*missing).into())]),
        Finding::MonthTold { point, month } => say("store_check.month_told", &[("point", point.into()), ("month", month.into())]),
        Finding::CommitsMissing { first, last } => {
            say("store_check.commits_missing", &[("first", (*first).into()), ("last", (*last).into())])
        }
        Finding::CommitTotal { batch, told, sum } => {
            say("store_check.commit_total", &[("batch", (*batch).into()), ("told", (*told).into()), ("sum", (*sum).into())])
        }
        Finding::EventsMissing { first, last } => {
            say("store_check.events_missing", &[("first", (*first).into()), ("last", (*last).into())])
        }
        Finding::EntriesMissing { first, last } => {
            say("store_check.entries_missing", &[("first", (*first).into()), ("last", (*last).into())])
        }
        Finding::EntryWithoutCommit { entry, batch } => {
            say("store_check.entry_without_commit", &[("entry", (*entry).into()), ("batch", (*batch).into())])
        }
        Finding::EventWithoutCommit { event, batch } => {
            say("store_check.event_without_commit", &[("event", (*event).into()), ("batch", (*batch).into())])
        }
        Finding::NoticeWithoutEvent { notice, event } => {
            say("store_check.notice_without_event", &[("notice", (*notice).into()), ("event", (*event).into())])
        }
        Finding::CheckpointAhead { batch, newest } => {
            say("store_check.checkpoint_ahead", &[("batch", (*batch).into()), ("newest", (*newest).into())])
        }
    }
}
