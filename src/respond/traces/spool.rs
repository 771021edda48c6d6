//! Requests on disk, one a file, for a target that does not take them. What is there is sent after a restart as well.
//!
//! A disk that does not answer is left alone for a while: what would go there is dropped and counted meanwhile.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::request::{ExportRequest, SpoolEntry};
use crate::clock::now;
use crate::file::{PRIVATE, Staged};
use crate::source::aside::apart;

/// How long the disk may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// For how long one that failed is left alone, ns.
const QUIET: u64 = 10_000_000_000;
/// Bytes of a file that is read: those of the longest request that a source takes.
const LONGEST: u64 = 64 << 20;
/// Files that are kept.
const FILES: usize = 10_000;

/// A folder of requests.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    limit: u64,
    files: Mutex<VecDeque<SpoolEntry>>,
    next: AtomicU64,
    /// Whether it is known what lay there at first.
    found: OnceCell<()>,
    /// Until when the disk is left alone, ns of the steady clock.
    quiet: AtomicU64,
}

impl Spool {
    /// The folder is made when something is put into it.
    pub(super) fn new(folder: PathBuf, limit: u64) -> Self {
        Self {
            folder,
            limit,
            files: Mutex::default(),
            next: AtomicU64::new(1),
            found: OnceCell::new(),
            quiet: AtomicU64::new(0),
        }
    }

    /// Bytes and spans on disk.
    pub(super) fn holds(&self) -> (u64, u64) {
        let files = self.files.lock();
        files.iter().fold((0, 0), |(bytes, spans), file| (bytes + file.bytes, spans + file.spans))
    }

    /// Does something with the disk, unless that failed just now.
    async fn disk<A: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> std::io::Result<A> + Send + 'static,
    ) -> Option<A> {
        if now().steady < self.quiet.load(Ordering::Relaxed) {
            return None;
        }
        let folder = self.folder.clone();
        let key = self.folder.display().to_string();
        let done = apart(&key, PATIENCE, move || work(&folder)).await;
        let done = done.and_then(|done| done.map_err(|error| error.to_string()));
        done.inspect_err(|why| {
            tracing::warn!("spans that wait cannot be kept in {key}: {why}");
            self.quiet.store(now().steady.saturating_add(QUIET), Ordering::Relaxed);
        })
        .ok()
    }

    /// Finds what lies there, once. Nothing where the disk does not answer: what is put there must not take the place of what lies there.
    pub(super) async fn recover(&self) -> Option<()> {
        self.found.get_or_try_init(|| async { self.list().await.ok_or(()) }).await.ok().copied()
    }

    async fn list(&self) -> Option<()> {
        let listed = self.disk(|folder| {
            let mut found = Vec::new();
            let entries = match fs::read_dir(folder) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
                entries => entries?,
            };
            for entry in entries.take(2 * FILES) {
                let entry = entry?;
                let about = entry.metadata()?;
                let of = entry.file_name().to_str().and_then(|name| SpoolEntry::of(name, about.len()));
                found.extend(of.filter(|_| about.is_file()));
            }
            found.sort_by_key(|of: &SpoolEntry| of.number);
            Ok(found)
        });
        let found = listed.await?;
        if let Some(last) = found.last() {
            self.next.store(last.number.saturating_add(1), Ordering::Relaxed);
        }
        *self.files.lock() = found.into();
        Some(())
    }

    /// Puts one there; the oldest give way. Returns which spans were dropped.
    pub(super) async fn put(&self, held: ExportRequest) -> Vec<(&'static str, u64)> {
        let bytes = held.body.len() as u64;
        let mut dropped = Vec::new();
        if bytes > self.limit {
            return vec![("queue_full", held.spans)];
        }
        if self.recover().await.is_none() {
            return vec![("disk_failed", held.spans)];
        }
        let mut old = Vec::new();
        {
            let mut files = self.files.lock();
            let mut held: u64 = files.iter().map(|file| file.bytes).sum();
            while (held + bytes > self.limit || files.len() >= FILES)
                && let Some(oldest) = files.pop_front()
            {
                held -= oldest.bytes;
                dropped.push(("queue_full", oldest.spans));
                old.push(oldest);
            }
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let new = SpoolEntry { number, spans: held.spans, gzip: held.gzip, bytes };
        let (file, body) = (new.name(), held.body);
        let written = self.disk(move |folder| {
            fs::create_dir_all(folder)?;
            for of in old {
                fs::remove_file(folder.join(of.name()))?;
            }
            Staged::write(&folder.join(file), &body, PRIVATE)?.commit().map(drop)
        });
        match written.await {
            Some(()) => self.files.lock().push_back(new),
            None => dropped.push(("disk_failed", held.spans)),
        }
        dropped
    }

    /// Takes the oldest. It lies there until it is done.
    ///
    /// # Errors
    /// How many spans could not be read.
    pub(super) async fn take(&self) -> Result<Option<ExportRequest>, u64> {
        // What cannot be listed now is sent later.
        if self.recover().await.is_none() {
            return Ok(None);
        }
        let Some(oldest) = self.files.lock().pop_front() else { return Ok(None) };
        let name = oldest.name();
        let read = self.disk(move |folder| crate::sys::file::read(&folder.join(name), LONGEST)).await;
        let body = read.ok_or(oldest.spans)?;
        Ok(Some(ExportRequest {
            body: Bytes::from(body),
            gzip: oldest.gzip,
            spans: oldest.spans,
            spooled: Some(oldest),
        }))
    }

    /// One is no longer needed.
    pub(super) async fn done(&self, spooled: &SpoolEntry) {
        let name = spooled.name();
        // One that cannot be removed is sent once more after a restart; the log says so.
        let _ = self.disk(move |folder| fs::remove_file(folder.join(name))).await;
    }
}
