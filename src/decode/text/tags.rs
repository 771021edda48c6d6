//! The four ways StatsD clients write tags, and names made legal.
//!
//! Runs once for a series that is new, never for a line whose series is known. It does not know
//! mapping rules.

use std::borrow::Cow;

use crate::event::{FaultKind, LABELS};

/// Labels in the order they came.
pub(super) type Labels = Vec<(String, String)>;

/// Which styles of tags inside a name are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameStyles {
    /// `name#k=v,k=v`
    pub(super) librato: bool,
    /// `name,k=v,k=v`
    pub(super) influxdb: bool,
    /// `na[k=v,k=v]me`
    pub(super) signalfx: bool,
}

impl NameStyles {
    /// Takes the tags out of `name`, into `labels`, and gives what is left.
    pub(super) fn split<'n>(self, name: &'n str, labels: &mut Labels) -> Result<Cow<'n, str>, FaultKind> {
        if self.signalfx {
            match (name.find('['), name.find(']')) {
                (Some(open), Some(close)) if open < close => {
                    let (before, rest) = name.split_at(open);
                    let (inside, after) = rest.split_at(close - open);
                    each(inside.strip_prefix('[').unwrap_or(inside), '=', labels)?;
                    let after = after.strip_prefix(']').unwrap_or(after);
                    return Ok(match (before, after) {
                        (name, "") | ("", name) => Cow::Borrowed(name),
                        _ => Cow::Owned(format!("{before}{after}")),
                    });
                }
                // A lone bracket belongs to the name, and so does what follows it.
                (None, None) => {}
                _ => return Ok(Cow::Borrowed(name)),
            }
        }
        let begins = |c: char| (c == '#' && self.librato) || (c == ',' && self.influxdb);
        match name.split_once(begins) {
            Some((name, tags)) => {
                each(tags, '=', labels)?;
                Ok(Cow::Borrowed(name))
            }
            None => Ok(Cow::Borrowed(name)),
        }
    }
}

/// Reads the tags of a DogStatsD line: `k:v,k:v`.
pub(super) fn dogstatsd(tags: &str, labels: &mut Labels) -> Result<(), FaultKind> {
    each(tags, ':', labels)
}

/// A tag without a value is a label without a value, and that is no label.
fn each(tags: &str, separator: char, labels: &mut Labels) -> Result<(), FaultKind> {
    for (count, tag) in tags.split(',').enumerate() {
        // Those without a value count as well: reading them takes time.
        if count == LABELS {
            return Err(FaultKind::Limit);
        }
        // Some clients repeat the `#` before each tag.
        let Some((key, value)) = tag.strip_prefix('#').unwrap_or(tag).split_once(separator) else { continue };
        if !key.is_empty() && !value.is_empty() {
            set(labels, legal(key), value.to_owned())?;
        }
    }
    Ok(())
}

/// Sets a label; the last value of a name wins.
pub(super) fn set(labels: &mut Labels, name: String, value: String) -> Result<(), FaultKind> {
    if name.is_empty() || name.starts_with("__") {
        return Err(FaultKind::BadName);
    }
    if let Some((_, known)) = labels.iter_mut().find(|(known, _)| *known == name) {
        *known = value;
        return Ok(());
    }
    if labels.len() == LABELS {
        return Err(FaultKind::Limit);
    }
    labels.push((name, value));
    Ok(())
}

/// `name` in the characters that a metric name of every Prometheus may have: others become `_`, a
/// run of dashes becomes one, and a digit in front gets one before it.
pub(super) fn legal(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 1);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    let mut before = ' ';
    for c in name.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => out.push(c),
            '-' if before == '-' => {}
            _ => out.push('_'),
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: NameStyles = NameStyles { librato: true, influxdb: true, signalfx: true };

    fn split(styles: NameStyles, name: &str) -> (String, String) {
        let mut labels = Labels::new();
        let name = styles.split(name, &mut labels).unwrap().into_owned();
        let labels: Vec<String> = labels.into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        (name, labels.join(" "))
    }

    #[test]
    fn names_give_up_their_tags() {
        for (name, left, tags) in [
            ("eeg.lost", "eeg.lost", ""),
            ("eeg#board=cyton,bank=2", "eeg", "board=cyton bank=2"),
            ("eeg,board=cyton,bank=2", "eeg", "board=cyton bank=2"),
            ("eeg[board=cyton,bank=2].lost", "eeg.lost", "board=cyton bank=2"),
            ("[board=cyton]eeg", "eeg", "board=cyton"),
            ("eeg[board=cyton]", "eeg", "board=cyton"),
            ("eeg[]", "eeg", ""),
            ("eeg[board", "eeg[board", ""),
            ("eeg]board=a,b[", "eeg]board=a,b[", ""),
            ("eeg,board", "eeg", ""),
            ("eeg,=x,y=,,z=1,z=2", "eeg", "z=2"),
            ("eeg,7th.lead=a=b", "eeg", "_7th_lead=a=b"),
        ] {
            assert_eq!(split(ALL, name), (left.into(), tags.into()), "{name}");
        }
    }

    #[test]
    fn a_style_that_is_off_is_part_of_the_name() {
        let none = NameStyles { librato: false, influxdb: false, signalfx: false };
        for name in ["a#k=v", "a,k=v", "a[k=v]"] {
            assert_eq!(split(none, name), (name.into(), String::new()));
        }
        assert_eq!(split(NameStyles { librato: false, ..ALL }, "a#b,k=v"), ("a#b".into(), "k=v".into()));
    }

    #[test]
    fn dog_tags_split_at_the_first_colon() {
        let mut labels = Labels::new();
        dogstatsd("url:http://x,bare,#again:1,,empty:", &mut labels).unwrap();
        assert_eq!(labels, [("url".into(), "http://x".into()), ("again".into(), "1".into())]);
        assert_eq!(dogstatsd("__name__:x", &mut labels), Err(FaultKind::BadName));
        let many: Vec<String> = (0..100).map(|i| format!("k{i}:v")).collect();
        assert_eq!(dogstatsd(&many.join(","), &mut labels), Err(FaultKind::Limit));
        assert_eq!(dogstatsd(&"bare,".repeat(100), &mut Labels::new()), Err(FaultKind::Limit));
    }

    #[test]
    fn names_are_made_legal() {
        for (name, legal_name) in [
            ("a.b.c", "a_b_c"),
            ("9lives", "_9lives"),
            ("a--b---c-d", "a_b_c_d"),
            ("µV.rms", "_V_rms"),
            ("a:b c", "a_b_c"),
            ("", ""),
        ] {
            assert_eq!(legal(name), legal_name, "{name}");
        }
    }
}
