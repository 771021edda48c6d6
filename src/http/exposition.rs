//! Everything as text, for scrapers, and for those of the agent's own rooms that read as one.

use std::time::Instant;

use hyper::header;

use super::{Reply, Site, accept, reply};
use crate::clock::now;
use crate::history::BEGAN;
use crate::metrics::{Cursor, Format, SeriesRefusal};

impl Site {
    pub(super) fn metrics(&self, headers: &header::HeaderMap) -> Reply {
        #[expect(clippy::disallowed_methods, reason = "how long a scrape takes is measured here")]
        let began = Instant::now();
        let wanted = accept::format(headers);
        let out = self.write(wanted.format, None);
        self.own.scrape_size.set(i64::try_from(out.len()).unwrap_or(i64::MAX));
        let (body, gzip) =
            if accept::gzip(headers) { self.buffers.compress(out) } else { (self.buffers.lend(out), false) };
        self.own.scrape_duration.observe(began.elapsed().as_secs_f64());
        reply::exposition(body, &wanted.content_type, gzip)
    }

    /// Everything as text; with a comment behind each counter and histogram that says when it began, if these are its words.
    fn write(&self, format: Format, began: Option<&'static str>) -> Vec<u8> {
        let mut out = self.buffers.take();
        let at = now();
        self.hub.write_from(format, Cursor::new(at).saying(began), &mut out);
        self.own.write(format, at, || self.refresh(), &mut out);
        if format == Format::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
        out
    }

    /// What a scraper gets now that knows text format 0.0.4 alone.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        self.write(Format::Classic, None)
    }

    /// Hands over what a Prometheus would get now.
    pub fn scrape(&self, read: &mut dyn FnMut(&str)) {
        self.scrape_saying(None, read);
    }

    /// The same, and when each counter and histogram began, as the history reads it.
    pub fn scrape_with_begins(&self, read: &mut dyn FnMut(&str)) {
        self.scrape_saying(Some(BEGAN), read);
    }

    fn scrape_saying(&self, began: Option<&'static str>, read: &mut dyn FnMut(&str)) {
        let out = self.write(Format::OpenMetrics, began);
        if let Ok(text) = str::from_utf8(&out) {
            read(text);
        }
        self.buffers.put(out);
    }

    /// Updates the agent's own metrics from the hub.
    fn refresh(&self) {
        let state = self.hub.lock();
        self.own.series.set(i64::try_from(state.registry.len()).unwrap_or(i64::MAX));
        self.own.cut.inc_by(state.registry.cut().saturating_sub(self.own.cut.get()));
        self.own.memory.set(i64::try_from(state.registry.bytes()).unwrap_or(i64::MAX));
        // Families of senders come and go.
        self.own.refused.clear();
        for (family, refused) in state.registry.refusals() {
            self.own
                .refused
                .get_or_create_owned(&SeriesRefusal { family: family.to_owned() })
                .inc_by(refused);
        }
    }
}
