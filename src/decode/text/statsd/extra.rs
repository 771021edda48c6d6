//! The two kinds of DogStatsD lines that are no metrics: events and service checks.
//!
//! An event is counted by its alert type. Its title and text are not kept.

use super::{EDITION, fault};
use crate::decode::Sink;
use crate::event::{Body, Change, Check, FaultKind, Kind, Observation, Spell, Spelled};

/// Reads `line` if it is one of the two. `key` begins with the edition.
pub(super) fn read(line: &[u8], key: &mut Vec<u8>, out: &mut Sink<'_>) -> bool {
    let read = if let Some(rest) = line.strip_prefix(b"_e{") {
        event(rest, key, out)
    } else if let Some(rest) = line.strip_prefix(b"_sc|") {
        check(rest, out)
    } else {
        return false;
    };
    if let Err(kind) = read {
        fault(kind, line.len(), line, out);
    }
    true
}

/// `title-bytes,text-bytes}:title|text|fields`
fn event(rest: &[u8], key: &mut Vec<u8>, out: &mut Sink<'_>) -> Result<(), FaultKind> {
    let lengths = rest.iter().position(|b| *b == b'}').ok_or(FaultKind::Syntax)?;
    let (lengths, rest) = rest.split_at_checked(lengths).ok_or(FaultKind::Syntax)?;
    let lengths = std::str::from_utf8(lengths).map_err(|_| FaultKind::Syntax)?;
    let (title, text) = lengths.split_once(',').ok_or(FaultKind::Syntax)?;
    let length = |digits: &str| digits.parse::<u32>().map_err(|_| FaultKind::Syntax);
    let (title, text) = (length(title)? as usize, length(text)? as usize);
    let rest = rest.strip_prefix(b"}:").ok_or(FaultKind::Syntax)?;
    let rest = rest.get(title..).and_then(|rest| rest.strip_prefix(b"|")).ok_or(FaultKind::Syntax)?;
    let fields = rest.get(text..).ok_or(FaultKind::Syntax)?;
    if !matches!(fields, [] | [b'|', ..]) {
        return Err(FaultKind::Syntax);
    }
    let alert = match fields.split(|b| *b == b'|').find_map(|field| field.strip_prefix(b"t:")) {
        None | Some(b"info") => Alert("info"),
        Some(b"warning") => Alert("warning"),
        Some(b"error") => Alert("error"),
        Some(b"success") => Alert("success"),
        Some(_) => Alert("other"),
    };
    key.truncate(EDITION);
    key.push(b'e');
    key.extend_from_slice(alert.0.as_bytes());
    out(Body::Observation(Observation { key, spelling: &alert, change: Change::Add(1.0), trace: None }));
    Ok(())
}

/// The alert type of an event.
struct Alert(&'static str);

impl Spell for Alert {
    fn spell(&self, out: &mut Spelled) -> Result<(), FaultKind> {
        "statsd_events".clone_into(&mut out.name);
        "Events received as DogStatsD events, by alert type".clone_into(&mut out.help);
        out.kind = Kind::Counter;
        out.labels.push(("alert_type".to_owned(), self.0.to_owned()));
        Ok(())
    }
}

/// `name|status|fields`
fn check(rest: &[u8], out: &mut Sink<'_>) -> Result<(), FaultKind> {
    let mut fields = rest.split(|b| *b == b'|');
    let name = fields.next().unwrap_or_default();
    let check = std::str::from_utf8(name).map_err(|_| FaultKind::Encoding)?;
    if check.is_empty() {
        return Err(FaultKind::BadName);
    }
    let status = match fields.next() {
        Some([status @ b'0'..=b'3']) => status - b'0',
        Some(_) => return Err(FaultKind::BadValue),
        None => return Err(FaultKind::MissingField),
    };
    out(Body::Check(Check { check, status }));
    Ok(())
}
