//! How an object says that it is ours, what it was when we wrote it, and which deployment did: two hashes, of its
//! content and of `alerts.job`, kept in the object. A third one is of the content less what older servers drop.
//!
//! A dashboard has it in a tag, a data source in its `jsonData`, a rule of Grafana in an annotation, a ruler's
//! namespace in a group of its own, a file in its first line. It guards against accidents, not against malice.

/// What every mark begins with, and what finds our dashboards.
pub(super) const OURS: &str = "neural-exporter";

/// What stands for the hash of a content that is not complete.
const UNFINISHED: &str = "unfinished";

/// FNV-1a of 64 bits: stable over versions and machines.
#[must_use]
pub fn hash(text: &str) -> String {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{state:016x}")
}

/// The mark of a content and its deployment. Short, because a tag of Grafana has fifty characters.
pub(super) fn mark(text: &str, owner: &str) -> String {
    format!("{}-{}", hash(text), short(owner))
}

/// What stands in marks for a deployment.
pub(super) fn short(owner: &str) -> String {
    hash(owner).chars().take(8).collect()
}

/// The hash of the content that a mark was made for.
pub(super) fn content(mark: &str) -> &str {
    mark.split('-').next().unwrap_or_default()
}

/// Whether another deployment made a mark. One without a deployment, as in earlier versions, may belong to any.
pub(super) fn foreign(mark: &str, owner: &str) -> bool {
    mark.split('-').nth(1).is_some_and(|made| made != short(owner))
}

/// A mark that also knows the content less what an older server drops.
pub(super) fn with_core(mark: &str, core: &str) -> String {
    format!("{mark}-{}", hash(core))
}

/// The hash of the content less what an older server drops, if the mark has it.
pub(super) fn core(mark: &str) -> Option<&str> {
    mark.split('-').nth(2)
}

/// The mark of an object that is being made in several requests. It is of no content, so that a run that finds it
/// continues.
pub(super) fn unfinished(mark: &str) -> String {
    let owner = mark.split('-').nth(1).unwrap_or_default();
    format!("{UNFINISHED}-{owner}")
}

/// Whether a mark is of an object that was not finished.
pub(super) fn is_unfinished(mark: &str) -> bool {
    content(mark) == UNFINISHED
}

/// A file's text under a line with its mark.
#[must_use]
pub fn sign(text: &str, mark: &str) -> String {
    format!("# {OURS} {mark} - generated, do not edit: a changed file is not written over\n{text}")
}

/// The text and the mark of a file; no mark if there is none.
#[must_use]
pub fn unsign(text: &str) -> (&str, Option<&str>) {
    let signed = text.split_once('\n').and_then(|(first, rest)| {
        let mark = first.strip_prefix("# ")?.strip_prefix(OURS)?.trim_start().split(' ').next()?;
        (content(mark).len() == 16).then_some((rest, mark))
    });
    signed.map_or((text, None), |(rest, mark)| (rest, Some(mark)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_mark() {
        let text = "groups: []\n";
        let made = mark(text, "neural");
        let signed = sign(text, &made);
        assert_eq!(unsign(&signed), (text, Some(&*made)));
        assert_eq!(unsign(&sign(text, &hash(text))), (text, Some(&*hash(text))), "as it was before");
        assert_eq!(unsign(text), (text, None));
        assert_eq!(unsign(""), ("", None));
        let edited = signed.replace("[]", "[1]");
        let (rest, kept) = unsign(&edited);
        assert_eq!(kept, Some(&*made));
        assert_ne!(hash(rest), content(&made));
    }

    #[test]
    fn a_mark_knows_its_deployment() {
        let made = mark("text", "neural");
        assert_eq!(content(&made), hash("text"));
        assert!(!foreign(&made, "neural") && foreign(&made, "rig2"));
        assert!(!foreign(&hash("text"), "rig2"), "nobody's in particular");
        let kept = with_core(&made, "less");
        assert!(!foreign(&kept, "neural") && foreign(&kept, "rig2") && content(&kept) == hash("text"));
        assert_eq!((core(&kept), core(&made)), (Some(&*hash("less")), None));
        let begun = unfinished(&made);
        assert!(is_unfinished(&begun) && !is_unfinished(&made) && !foreign(&begun, "neural"));
        assert!(foreign(&begun, "rig2"), "it knows its deployment");
        assert!(OURS.len() + 1 + made.len() <= 50, "a tag of Grafana");
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // From the reference vectors of FNV-1a.
        assert_eq!(hash(""), "cbf29ce484222325");
        assert_eq!(hash("foobar"), "85944171f73967e8");
    }
}
