//! What a scrape says of its families: type, help, unit.

use std::collections::BTreeMap;

/// What is known of a family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// Its type, as the text formats write it.
    pub kind: String,
    /// What it means.
    pub help: String,
    /// Its unit, if it has one.
    pub unit: String,
}

/// The families of a scrape, by name.
#[derive(Clone, Debug, Default)]
pub struct Families(BTreeMap<String, Family>);

/// What the name of a series may have behind that of its family.
const ENDS: &[&str] = &["_total", "_bucket", "_count", "_sum", "_created", "_info", "_gcount", "_gsum"];

impl Families {
    /// Those of the text of a scrape.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut all = BTreeMap::<String, Family>::new();
        for line in text.lines() {
            let mut words = line.splitn(4, ' ');
            let (Some("#"), Some(word), Some(name)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let rest = words.next().unwrap_or_default();
            let family = all.entry(name.to_owned()).or_default();
            match word {
                "TYPE" => rest.clone_into(&mut family.kind),
                "HELP" => family.help = unescaped(rest),
                "UNIT" => rest.clone_into(&mut family.unit),
                _ => {}
            }
        }
        Self(all)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Family)> {
        self.0.iter().map(|(name, family)| (name.as_str(), family))
    }

    /// That of the series of this name.
    #[must_use]
    pub fn get(&self, series: &str) -> Option<&Family> {
        let without = || ENDS.iter().find_map(|end| self.0.get(series.strip_suffix(end)?));
        self.0.get(series).or_else(without)
    }
}

/// Help as it was before it was written into a line.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => out.push('\n'),
                Some(other @ ('\\' | '"')) => out.push(other),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_by_the_name_of_its_family() {
        let text = "# TYPE a histogram\n# HELP a b\\nc \\\\n \\\"d\\\"\n# TYPE b_total gauge\n# EOF\n";
        let families = Families::of(text);
        for (name, kind) in [
            ("a_bucket", Some("histogram")),
            ("a", Some("histogram")),
            ("b_total", Some("gauge")),
            ("c", None),
        ] {
            assert_eq!(families.get(name).map(|family| family.kind.as_str()), kind, "{name}");
        }
        assert_eq!(families.get("a_sum").unwrap().help, "b\nc \\n \"d\"");
    }
}
