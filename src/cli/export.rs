//! `heyun export`: the words of the command line, the file, the progress and the summary around [`crate::export`].

use super::args::{Export as Args, ExportFormat, ExportKind, ExportLang, LogFormat, MeterKind, MeterMedium};
use super::export_file::Part;
use super::{Error, config};
use crate::domain::time::{Ts, instant};
use crate::domain::topology::{Medium, PointKind, Topology};
use crate::export::{self, Export, Form, Kind, Lang, Progress, Request, Selection, Summary, Unknown, Wanted};
use crate::store;
use indicatif::{ProgressBar, ProgressStyle};
use ring::digest::{Context, SHA256};
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use tracing::info;

pub fn run(args: &Args, format: LogFormat) -> Result<(), Error> {
    let path = &args.config.config;
    let config = config::load(path)?.config;
    let request = request(args, &config.topology)?;
    let reader = store::open_reader(&store::Settings { path: config.store.path.clone() })?;
    let export = Export::prepare(&reader, &config.topology, &request)?;
    let (summary, digest) = match &args.out {
        Some(out) => {
            let mut part = Part::begin(out, args.force)?;
            let done = written(export, &mut part, &bar(true), |source| Error::Out { path: out.clone(), source })?;
            part.finish()?;
            done
        }
        None => {
            let bar = bar(!io::stdout().is_terminal());
            written(export, &mut io::stdout().lock(), &bar, |source| Error::Stdout { source })?
        }
    };
    tell(&summary, &digest, format);
    Ok(())
}

fn request(args: &Args, topology: &Topology) -> Result<Request, Error> {
    let ExportFormat::Csv = args.format;
    let at = |option, text: &Option<String>| text.as_deref().map(|t| time(option, t, topology)).transpose();
    let (from, to) = (at("from", &args.from)?, at("to", &args.to)?);
    if let (Some(f), Some(t)) = (from, to)
        && f >= t
    {
        let text = |t: &Option<String>| t.clone().unwrap_or_default();
        return Err(Error::Span { from: text(&args.from), to: text(&args.to) });
    }
    let kinds = args.meter_kind.iter().map(|k| match k {
        MeterKind::Bulk => PointKind::Bulk,
        MeterKind::Sub => PointKind::Sub,
        MeterKind::MakeUp => PointKind::MakeUp,
    });
    let mediums = args.medium.iter().map(|m| match m {
        MeterMedium::Water => Medium::Water,
        MeterMedium::HotWater => Medium::HotWater,
        MeterMedium::Heat => Medium::Heat,
        MeterMedium::Electricity => Medium::Electricity,
        MeterMedium::Gas => Medium::Gas,
    });
    let wanted = Wanted { meters: args.meter.clone(), places: args.place.clone(), kinds: kinds.collect(), mediums: mediums.collect() };
    Ok(Request {
        kind: match args.kind {
            ExportKind::Raw => Kind::Raw,
            ExportKind::Daily => Kind::Daily,
            ExportKind::Values => Kind::Values,
        },
        from,
        to,
        selection: Selection::new(topology, &wanted).map_err(|unknown| known(unknown, topology))?,
        form: Form {
            lang: match args.lang {
                ExportLang::Zh => Lang::Zh,
                ExportLang::En => Lang::En,
            },
            bom: args.bom,
        },
    })
}

fn time(option: &'static str, text: &str, topology: &Topology) -> Result<Ts, Error> {
    instant(text, &topology.tz).ok_or_else(|| Error::Time {
        option,
        value: text.to_owned(),
        right: "a date such as 2026-11-01, a time with its offset such as 2026-11-01T08:00:00+08:00, or Unix milliseconds",
    })
}

/// With some of the keys that there are.
fn known(unknown: Unknown, topology: &Topology) -> Error {
    const SHOWN: usize = 12;
    let keys: Vec<&str> = match &unknown {
        Unknown::Meter { .. } => topology.points.iter().map(|p| p.key.as_str()).collect(),
        Unknown::Place { .. } => topology.places.iter().map(|p| p.key.as_str()).collect(),
    };
    let more = if keys.len() > SHOWN { " …" } else { "" };
    Error::Unknown(unknown, format!("{}{more}", keys[..keys.len().min(SHOWN)].join(", ")))
}

/// Hides itself where stderr is no terminal; not wanted where the rows themselves run over the screen.
fn bar(wanted: bool) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {elapsed} (still {eta})");
    let bar = if wanted { ProgressBar::new(0) } else { ProgressBar::hidden() };
    // The template is a constant; a wrong one would show as indicatif's own bar.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Writes all of it; what was written, and its SHA-256.
fn written(
    export: Export<'_>,
    to: &mut dyn Write,
    bar: &ProgressBar,
    failed: impl Fn(io::Error) -> Error,
) -> Result<(Summary, String), Error> {
    let (from, end) = export.span();
    let steps = |from: Ts, to: Ts| u64::try_from((to - from).0).unwrap_or(0);
    bar.set_length(steps(from, end));
    let mut digested = Digested { to, sha256: Context::new(&SHA256) };
    let result = export.write(&mut digested, &mut |Progress { rows, at }| {
        bar.set_position(steps(from, at));
        if !bar.is_hidden() {
            let seconds = bar.elapsed().as_secs().max(1);
            bar.set_message(format!("{rows} rows, {} rows/s", rows / seconds));
        }
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    let summary = result.map_err(|e| match e {
        export::Error::Store(e) => Error::StoreRead(e),
        export::Error::Write(source) => failed(source),
        export::Error::BrokenOff => failed(io::Error::from(io::ErrorKind::Interrupted)),
    })?;
    let digest = digested.sha256.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect();
    Ok((summary, digest))
}

/// Passes bytes on and digests them.
struct Digested<'a> {
    to: &'a mut dyn Write,
    sha256: Context,
}

impl Write for Digested<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.sha256.update(&bytes[..n]);
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn tell(summary: &Summary, digest: &str, format: LogFormat) {
    let Summary { rows, bytes, as_of } = summary;
    let (batch, received) = as_of.map_or((0, String::from("-")), |h| (h.batch, h.received.to_string()));
    match format {
        LogFormat::Text => {
            let _ = writeln!(io::stderr(), "{rows} rows, {bytes} bytes, sha256 {digest}, as of commit {batch} of {received}");
        }
        LogFormat::Json => info!(rows, bytes, sha256 = digest, commit = batch, committed_at = received, "exported"),
    }
}
