//! What is stored, as CSV: for the water company's clerk and for programs. The columns are told in `docs/guide/export.md`.
//!
//! An [`Export`] is prepared (which points, which columns, as of which commit) and then written, row by row, into any `io::Write`: a file, a
//! pipe, the body of an HTTP answer. Memory is bounded by the number of sources, never by the number of rows.
//!
//! It shows the store as it was after one commit, the newest when it was prepared: rows are never changed, so the same commit gives the same
//! bytes for ever, beside a daemon that goes on storing. What is read is [`Reader`]'s; nothing here knows of files, terminals or HTTP.
//!
//! Reading order: [`Request`] says what is wanted, `selection` and `points` find it, `raw`, `daily` and `values` make rows of it, `cell`, `number` and
//! `stamp` write cells, `columns` has the words.

mod cell;
mod columns;
mod daily;
mod number;
mod points;
mod raw;
mod selection;
mod stamp;
mod values;

pub use selection::{Selection, Unknown, Wanted};

use crate::domain::reading::Row;
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::Topology;
use crate::history::entries;
use crate::store::{Head, ReadError, Reader, Snapshot};
use columns::{DAILY, DAILY_MIXED, POINT, RAW, RAW_MIXED, VALUES, Word};
use daily::Daily;
use raw::Raw;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::mpsc::sync_channel;
use values::Values;

/// Bytes that are collected before they are handed on.
pub const CHUNK: usize = 64 * 1024;

/// Pages of rows that wait to be written.
const PAGES: usize = 2;

/// U+FEFF: by it a spreadsheet on Windows knows UTF-8.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// How far a believed reading may lie ahead of the gateway's clock.
const AHEAD: Ms = Ms::minutes(10);

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A reading of a metering point.
    Raw,
    /// A local day of a metering point.
    Daily,
    /// One number of a message, also of sources that no metering point reads.
    Values,
}

/// In which language the headings and the words of the gateway are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    /// Chinese, for people.
    Zh,
    /// Stable codes, for programs.
    En,
}

/// How the file looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    pub lang: Lang,
    /// Begins with a byte order mark, and keeps a spreadsheet from guessing types: for a double click on Windows.
    pub bom: bool,
}

impl Form {
    fn reader(self) -> cell::Reader {
        if self.bom { cell::Reader::Spreadsheet } else { cell::Reader::Any }
    }
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub kind: Kind,
    /// Readings with an own time from here on; None: from the first.
    pub from: Option<Ts>,
    /// … and before this; None: to the last.
    pub to: Option<Ts>,
    pub selection: Selection,
    pub form: Form,
}

/// Why an export ended early. What was written until then is not whole.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] ReadError),
    #[error("the export could not be written")]
    Write(#[source] io::Error),
    /// The one who asked does not want it any more.
    #[error("the export was broken off")]
    BrokenOff,
}

/// How far an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub rows: u64,
    /// Everything before this is written.
    pub at: Ts,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Without the headings.
    pub rows: u64,
    pub bytes: u64,
    /// The newest commit that is in it; None: the store has none.
    pub as_of: Option<Head>,
}

enum Lines<'t> {
    Raw(Raw),
    Daily(Box<Daily<'t>>),
    Values(Values),
}

impl Lines<'_> {
    fn width(&self) -> usize {
        match self {
            Lines::Raw(r) => r.width(),
            Lines::Daily(d) => d.width(),
            Lines::Values(v) => v.width(),
        }
    }

    fn row(&mut self, row: &Row, out: &mut Vec<u8>) -> u64 {
        match self {
            Lines::Raw(r) => r.row(row, out),
            Lines::Daily(d) => d.row(row, out),
            Lines::Values(v) => v.row(row, out),
        }
    }

    /// Appends what waited for more rows.
    fn finish(&mut self, out: &mut Vec<u8>) -> u64 {
        match self {
            Lines::Raw(_) | Lines::Values(_) => 0,
            Lines::Daily(d) => d.finish(out),
        }
    }

    fn headings(&self, mixed: bool) -> Vec<Word> {
        let (own, also): (&[Word], &[Word]) = match self {
            Lines::Raw(_) => (&RAW, &RAW_MIXED),
            Lines::Daily(_) => (&DAILY, &DAILY_MIXED),
            Lines::Values(_) => return VALUES.to_vec(),
        };
        let all = POINT.iter().chain(own).chain(if mixed { also } else { &[] });
        all.map(|word| if mixed { columns::mixed(word) } else { word }).collect()
    }
}

/// An export that is ready to be written.
pub struct Export<'t> {
    lines: Lines<'t>,
    headings: Vec<Word>,
    span: (Ts, Ts),
    form: Form,
    snapshot: Snapshot,
}

impl<'t> Export<'t> {
    /// Finds out what will be written, as of the newest commit.
    pub fn prepare(reader: &Reader, topology: &'t Topology, request: &Request) -> Result<Export<'t>, ReadError> {
        let snapshot = reader.snapshot()?;
        let sources = snapshot.sources()?;
        // Narrowed to what there is, so that the progress is told of something and days end.
        let (first, last) = snapshot.span()?.unwrap_or((Ts::EARLIEST, Ts::EARLIEST - Ms(1)));
        let mut span = (request.from.map_or(first, |f| f.max(first)), request.to.map_or(last + Ms(1), |t| t.min(last + Ms(1))));
        let (selection, form) = (&request.selection, request.form);
        let ledger = entries(snapshot.ledger()?)?;
        let lines = match request.kind {
            Kind::Raw => Lines::Raw(Raw::new(topology, (&sources, &ledger), selection, form)),
            Kind::Daily => {
                // A reading whose time lies ahead of a clock that was not set must not draw out years of empty days.
                let latest = snapshot.head().map_or(last, |h| h.received) + AHEAD;
                let days = (span.0, if latest > first { span.1.min(latest) } else { span.1 });
                let mut daily = Daily::new(topology, (&sources, &ledger), selection, days, form);
                daily.warm_up(&snapshot)?;
                span = daily.span();
                Lines::Daily(Box::new(daily))
            }
            Kind::Values => Lines::Values(Values::new(topology, &sources, selection, form)),
        };
        let headings = lines.headings(selection.mixed);
        Ok(Export { lines, headings, span, form, snapshot })
    }

    /// From where to where readings are looked for.
    pub fn span(&self) -> (Ts, Ts) {
        self.span
    }

    /// Writes everything. `progress` is asked after every few thousand readings, whether they made rows or not, and may break off.
    pub fn write(self, to: &mut dyn Write, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<Summary, Error> {
        let mut out = Chunks { to, buffer: Vec::with_capacity(2 * CHUNK), bytes: 0 };
        let Export { mut lines, headings: words, span, form, snapshot } = self;
        if form.bom {
            out.buffer.extend_from_slice(BOM);
        }
        headings(&words, form.lang, &mut out.buffer);
        let mut rows = 0;
        let (width, as_of) = (lines.width(), snapshot.head());
        // Nothing is read where no source is wanted.
        let read = if width == 0 { (span.0, span.0) } else { span };
        // One thread reads while the other writes. Full: the reader waits. Pages that were written
        // go back to be filled again; full: the page is given up.
        let (filled, pages) = sync_channel::<Vec<Row>>(PAGES);
        let (used, empty) = sync_channel::<Vec<Row>>(PAGES);
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || {
                snapshot.pages(read, width, &mut |page| {
                    let full = std::mem::replace(page, empty.try_recv().unwrap_or_default());
                    // An error: nobody writes any more, and why is said there.
                    if filled.send(full).is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
            });
            let mut written = Ok(());
            for page in pages {
                written = write_page(&mut lines, &page, span.1, &mut out, &mut rows, progress);
                if written.is_err() {
                    break;
                }
                // A reader that has ended needs no page back; what it left in the queue is still written.
                drop(used.try_send(page));
            }
            written?;
            reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(Error::Store)
        })?;
        rows += lines.finish(&mut out.buffer);
        out.hand_on().and_then(|()| out.to.flush()).map_err(Error::Write)?;
        Ok(Summary { rows, bytes: out.bytes, as_of })
    }
}

fn write_page(
    lines: &mut Lines<'_>,
    page: &[Row],
    end: Ts,
    out: &mut Chunks<'_>,
    rows: &mut u64,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(), Error> {
    for row in page {
        *rows += lines.row(row, &mut out.buffer);
        if out.buffer.len() >= CHUNK {
            out.hand_on().map_err(Error::Write)?;
        }
    }
    // The first page goes out at once: who waits sees that it has begun, however rare the rows are.
    if out.bytes == 0 {
        out.hand_on().map_err(Error::Write)?;
    }
    let at = page.last().map_or(end, |r| r.ts);
    if progress(Progress { rows: *rows, at }).is_break() { Err(Error::BrokenOff) } else { Ok(()) }
}

fn headings(words: &[Word], lang: Lang, out: &mut Vec<u8>) {
    for (i, word) in words.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(columns::say(word, lang).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Bytes on their way out.
struct Chunks<'a> {
    to: &'a mut dyn Write,
    buffer: Vec<u8>,
    bytes: u64,
}

impl Chunks<'_> {
    fn hand_on(&mut self) -> io::Result<()> {
        self.to.write_all(&self.buffer)?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
