//! Messages of Alertmanager's webhook, one a line: none makes the reader or the book of incidents panic, grow without end, or forget an incident.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::alert::incident::{Book, Incident, Limits, webhook};

const NOW: i64 = 1_800_000_000_000;

fuzz_target!(|lines: &[u8]| {
    let limits = Limits { open: 8, closed: 8, acknowledge: [Some(1), Some(0), None, Some(i64::MAX)] };
    let mut book = Book::new(limits);
    for (round, body) in lines.split(|&byte| byte == b'\n').enumerate() {
        let now = NOW + round as i64 * 1_000;
        let Ok(message) = webhook::read(body, now) else { continue };
        message.firing.iter().for_each(|notice| book.fires(notice, now));
        message.resolved.iter().for_each(|(labels, at)| book.over(labels, *at, now));
        book.tick(now);
        assert!(book.open().count() <= limits.open);
        for incident in book.take_changed(true) {
            let text = incident.json().to_string();
            assert!(text.len() < 1 << 20);
            let read: Incident = serde_json::from_str(&text).expect("an incident is read as it was written");
            assert_eq!(read.json(), incident.json());
        }
    }
});
