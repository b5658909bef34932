//! The file of alerts: `ts,meter,kind`, a line for each finding when it would have been raised.

use super::Error;
use crate::domain::time::Ts;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

pub struct Alerts {
    path: PathBuf,
    csv: csv::Writer<BufWriter<File>>,
}

impl Alerts {
    /// Begins the file, so that it is valid even if nothing is ever found.
    pub fn create(path: &Path) -> Result<Alerts, Error> {
        let failed = |source| Error::Write { path: path.to_owned(), source };
        let file = File::create(path).map_err(failed)?;
        let mut alerts = Alerts { path: path.to_owned(), csv: csv::Writer::from_writer(BufWriter::new(file)) };
        alerts.line(["ts", "meter", "kind"])?;
        alerts.flush()?;
        Ok(alerts)
    }

    pub fn write(&mut self, ts: Ts, meter: &str, kind: &str) -> Result<(), Error> {
        self.line([&ts.to_string(), meter, kind])
    }

    /// What was written so far is in the file.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.csv.flush().map_err(|source| Error::Write { path: self.path.clone(), source })
    }

    fn line(&mut self, fields: [&str; 3]) -> Result<(), Error> {
        self.csv.write_record(fields).map_err(|e| Error::Write { path: self.path.clone(), source: io::Error::other(e) })
    }
}
