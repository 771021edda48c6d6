//! The history's file by itself: what it holds, and how it is made smaller, with no agent or beside one.

use std::collections::HashMap;
use std::io::{BufRead, Read};
use std::path::Path;
use std::sync::Arc;

use super::database::Failure;
use super::file::{File, read_scrapes, unbounded};
use super::reader::Readers;
use super::{History, Options, Retention, lines};
use crate::promql::{Labels, Sample};

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Series.
    pub series: i64,
    /// Samples in chunks.
    pub samples: i64,
    /// Bytes of the chunks.
    pub chunk_bytes: i64,
    /// Scrapes that are not in chunks yet.
    pub scrapes: i64,
    /// Bytes of the file.
    pub bytes: i64,
    /// First and last time, ms since the epoch.
    pub span: Option<(i64, i64)>,
    /// The families, those with the most bytes first.
    pub families: Vec<Family>,
}

/// The chunks of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// Its series.
    pub series: i64,
    /// Its samples.
    pub samples: i64,
    /// Its bytes.
    pub bytes: i64,
}

/// Says what a file holds.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn contents(path: &Path) -> Result<Contents, Failure> {
    there(path)?;
    Readers::new(path).with(|db| {
        let mut contents = Contents::default();
        let mut read = db.prepare(
            "SELECT name, count(*), coalesce(sum(samples), 0), coalesce(sum(bytes), 0) FROM series LEFT JOIN (SELECT series, \
             sum(samples) AS samples, sum(length(data)) AS bytes FROM chunk GROUP BY series) ON series = id GROUP BY name ORDER BY 4 DESC, 1",
        )?;
        let rows = read.query_map([], |row| {
            Ok(Family { name: row.get(0)?, series: row.get(1)?, samples: row.get(2)?, bytes: row.get(3)? })
        })?;
        for family in rows {
            let family = family?;
            contents.series += family.series;
            contents.samples += family.samples;
            contents.chunk_bytes += family.bytes;
            contents.families.push(family);
        }
        let span = "SELECT min(start), max(end) FROM (SELECT start, end FROM chunk UNION ALL SELECT time, time FROM scrape)";
        let (first, last): (Option<i64>, Option<i64>) = db.query_row(span, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        contents.span = first.zip(last);
        contents.scrapes = db.query_row("SELECT count(*) FROM scrape", [], |row| row.get(0))?;
        let number = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        contents.bytes = number("page_count")? * number("page_size")?;
        Ok(contents)
    })
}

/// Applies the retention now.
///
/// # Errors
/// An agent writes the file, or it cannot be written.
pub fn prune(path: &Path, retention: &Retention) -> Result<(), Failure> {
    there(path)?;
    let mut file = File::open(path)?;
    file.recover()?;
    file.retain(retention).map(drop)
}

/// What was read of a file with samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Samples that were taken.
    pub samples: u64,
    /// Lines that are none.
    pub refused: u64,
}

/// Samples that are held before they are written.
const BATCH: usize = 1 << 20;

/// Adds the samples of a text: OpenMetrics with times, CSV or JSON lines. Makes the file if there is none.
///
/// # Errors
/// An agent writes the file, or it or the text cannot be used.
pub fn import(path: &Path, mut text: impl BufRead) -> Result<Imported, Failure> {
    let mut file = File::open(path)?;
    file.recover()?;
    let (mut imported, mut held) = (Imported::default(), 0);
    let mut series: HashMap<Labels, Vec<Sample>> = HashMap::new();
    let mut write = |series: &mut HashMap<Labels, Vec<Sample>>| {
        for samples in series.values_mut() {
            samples.sort_by_key(|sample| sample.t);
            samples.dedup_by_key(|sample| sample.t);
        }
        file.import(series)?;
        series.clear();
        Ok(())
    };
    let unread = |error: std::io::Error| Failure::Disk("the samples".into(), error.to_string());
    let mut line = Vec::new();
    loop {
        line.clear();
        if text.by_ref().take(LINE).read_until(b'\n', &mut line).map_err(unread)? == 0 {
            break;
        }
        if line.len() as u64 == LINE && line.last() != Some(&b'\n') {
            text.skip_until(b'\n').map_err(unread)?;
            imported.refused += 1;
            continue;
        }
        let read = str::from_utf8(&line).map(str::trim_end);
        if read.is_ok_and(|line| line.is_empty() || line.starts_with('#')) {
            continue;
        }
        let Some((labels, samples)) = read.ok().and_then(lines::read) else {
            imported.refused += 1;
            continue;
        };
        imported.samples += samples.len() as u64;
        held += samples.len();
        series.entry(labels).or_default().extend(samples);
        if held >= BATCH {
            write(&mut series)?;
            held = 0;
        }
    }
    write(&mut series)?;
    Ok(imported)
}

/// Bytes of a line.
const LINE: u64 = 4 << 20;

/// Empties the file.
///
/// # Errors
/// An agent writes the file, or it cannot be written.
pub fn clear(path: &Path) -> Result<(), Failure> {
    there(path)?;
    File::open(path)?.clear()
}

fn there(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        return Ok(());
    }
    Err(Failure::Disk(
        path.into(),
        "there is no such file; an agent makes it when it runs with a state directory".into(),
    ))
}

impl History {
    /// The history of a file, as it is now.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        there(path)?;
        let readers = Arc::new(Readers::new(path));
        let mut head = unbounded();
        readers.with(|db| read_scrapes(db, &mut head, &mut HashMap::new(), &mut Vec::new()))?;
        let history = Self::new(&Options::reading());
        *history.head.lock() = head;
        *history.readers.lock() = Some(readers);
        Ok(history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        let why = contents(&path).unwrap_err().to_string();
        assert!(why.contains("history.db") && why.contains("no such file"), "{why}");
        assert!(History::read(&path).is_err() && clear(&path).is_err());
        assert!(!path.exists());
    }
}
