//! What the files of a report are called. A name may come from a network: of it nothing is left that a file system or a shell reads as
//! anything but a name.

use super::Session;
use crate::promql::moment;

/// Bytes of what is left of a name.
const LONGEST: usize = 80;
/// Bytes of a name in the form of BIDS.
const LONGEST_BIDS: usize = 180;

/// The name of a session's files without their endings: `2026-11-29T14-03_cyton`, or what BIDS calls a file beside its recording,
/// `sub-01_ses-01_task-rest_quality`. `turn` is 1, or more if files of the name are there already.
#[must_use]
pub fn stem(session: &Session, turn: usize) -> String {
    if let Some(entities) = bids(&session.name) {
        // `desc` is what BIDS has to tell files apart that are derived from the same recording.
        let desc = if turn > 1 { format!("_desc-{turn}") } else { String::new() };
        return format!("{entities}{desc}_quality");
    }
    dated(session.start, &session.name, turn)
}

/// A name with the time at which something began, UTC to the minute.
#[must_use]
pub fn dated(start: i64, name: &str, turn: usize) -> String {
    let time: String = moment(start).chars().take(16).map(|c| if c == ':' { '-' } else { c }).collect();
    let turn = if turn > 1 { format!("-{turn}") } else { String::new() };
    format!("{time}_{}{turn}", safe(name))
}

/// What is left of a name: letters, digits, `-`, `_` and `.`, none of which stands where a name could become another thing.
#[must_use]
pub fn safe(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
        // Runs of these say nothing, and two dots are the folder above.
        if !(matches!(c, '-' | '.') && out.ends_with(['-', '.'])) && out.len() < LONGEST {
            out.push(c);
        }
    }
    let out = out.trim_matches(['-', '.', '_']);
    if out.is_empty() { "session".to_owned() } else { out.to_owned() }
}

/// The entities of a name that is one of BIDS: `sub-01_ses-01_task-rest` of `sub-01_ses-01_task-rest_eeg` as well.
#[must_use]
pub fn bids(name: &str) -> Option<&str> {
    let plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
    let entity = |part: &str| part.split_once('-').is_some_and(|(key, value)| plain(key) && plain(value));
    // The last part may be what kind of recording it is.
    let entities = match name.rsplit_once('_') {
        Some((before, suffix)) if plain(suffix) => before,
        _ => name,
    };
    let parts: Vec<&str> = entities.split('_').collect();
    let is = name.len() <= LONGEST_BIDS
        && parts.len() >= 2
        && parts.first().is_some_and(|first| first.starts_with("sub-"))
        && parts.iter().all(|part| entity(part));
    is.then_some(entities)
}

#[cfg(test)]
mod tests {
    use super::super::{NewSession, Origin};
    use super::*;
    use crate::event::Timestamp;

    fn named(name: &str) -> Session {
        let at = Timestamp::both(1_796_047_427_000_000_000);
        let mut book = super::super::Book::default();
        let id = book.begin(NewSession { origin: Origin::Hand, of: "", name }, at).unwrap();
        book.find(&id).unwrap().clone()
    }

    #[test]
    fn what_a_sender_writes_is_a_name_in_this_folder_and_nothing_else() {
        for (name, left) in [
            ("cyton", "cyton"),
            ("../../etc/passwd", "etc-passwd"),
            ("/etc/cron.d/x", "etc-cron.d-x"),
            ("..", "session"),
            ("", "session"),
            ("a b\u{202e}c\nd\u{0}", "a-b-c-d"),
            ("-rf *", "rf"),
            (".hidden", "hidden"),
            ("$(reboot);`x`", "reboot-x"),
            ("Sitzung-ä-7", "Sitzung-7"),
        ] {
            assert_eq!(safe(name), left, "{name:?}");
        }
        assert_eq!(safe(&"x".repeat(500)).len(), LONGEST);
    }

    #[test]
    fn files_have_the_time_and_the_name_or_what_bids_calls_them() {
        assert_eq!(stem(&named("cyton"), 1), "2026-11-30T14-03_cyton");
        assert_eq!(stem(&named("cyton"), 3), "2026-11-30T14-03_cyton-3");
        for (name, want) in [
            ("sub-01_ses-01_task-rest", "sub-01_ses-01_task-rest_quality"),
            ("sub-01_task-rest_eeg", "sub-01_task-rest_quality"),
            ("sub-P7_task-oddball_run-2", "sub-P7_task-oddball_run-2_quality"),
        ] {
            assert_eq!(stem(&named(name), 1), want);
        }
        assert_eq!(stem(&named("sub-01_task-rest"), 2), "sub-01_task-rest_desc-2_quality");
        // What only looks like one.
        for other in
            ["sub-01", "sub-01_", "sub-_task-x", "task-rest_sub-01", "sub-01_../x", "sub-01_task-a-b"]
        {
            assert!(bids(other).is_none(), "{other}");
            assert!(!stem(&named(other), 1).ends_with("_quality"), "{other}");
        }
    }
}
