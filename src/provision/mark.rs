//! How an object says that it is ours and what it was when we wrote it: a hash of its content, kept in the object.
//!
//! A dashboard has it in a tag, a data source in its `jsonData`, a rule of Grafana in an annotation, a ruler's
//! namespace in a group of its own, a file in its first line. It guards against accidents, not against malice.

/// What every mark begins with, and what finds our dashboards.
pub(super) const OURS: &str = "neural-exporter";

/// FNV-1a of 64 bits: stable over versions and machines.
#[must_use]
pub fn hash(text: &str) -> String {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{state:016x}")
}

/// The first line of a file of ours.
fn line(text: &str) -> String {
    format!("# {OURS} {} - generated, do not edit: a changed file is not written over\n", hash(text))
}

/// A file's text with its mark.
#[must_use]
pub fn sign(text: &str) -> String {
    line(text) + text
}

/// The text and the mark of a file; no mark if there is none.
#[must_use]
pub fn unsign(text: &str) -> (&str, Option<&str>) {
    let signed = text.split_once('\n').and_then(|(first, rest)| {
        let mark = first.strip_prefix("# ")?.strip_prefix(OURS)?.trim_start().split(' ').next()?;
        (mark.len() == 16).then_some((rest, mark))
    });
    signed.map_or((text, None), |(rest, mark)| (rest, Some(mark)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_mark() {
        let text = "groups: []\n";
        let signed = sign(text);
        assert_eq!(unsign(&signed), (text, Some(&*hash(text))));
        assert_eq!(unsign(text), (text, None));
        assert_eq!(unsign(""), ("", None));
        let (edited, mark) = (signed.replace("[]", "[1]"), hash(text));
        let (rest, kept) = unsign(&edited);
        assert_eq!(kept, Some(&*mark));
        assert_ne!(hash(rest), mark);
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // From the reference vectors of FNV-1a.
        assert_eq!(hash(""), "cbf29ce484222325");
        assert_eq!(hash("foobar"), "85944171f73967e8");
    }
}
