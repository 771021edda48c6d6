//! The table of names as Markdown: what each of ours means, and what an engine calls it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Entry, Label, Profile};
use crate::event::Kind;

/// The reference of all engines.
#[must_use]
pub fn markdown() -> String {
    let mut text = BEGINNING.to_owned();
    for (name, rows) in by_name() {
        let Some((_, first)) = rows.first() else { continue };
        let (suffix, kind) = match first.kind {
            Kind::Counter => ("_total", "counter"),
            Kind::Histogram => ("", "histogram"),
            _ => ("", "gauge"),
        };
        let mut labels: Vec<&str> = Vec::new();
        for (_, entry) in &rows {
            for label in entry.labels {
                let (Label::Rename(_, to) | Label::Add(to, _)) = label;
                if !labels.contains(to) {
                    labels.push(to);
                }
            }
        }
        let labels: Vec<String> = labels.into_iter().map(|label| format!("`{label}`")).collect();
        let theirs: Vec<String> = rows.iter().map(|(profile, entry)| spelling(*profile, entry)).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{name}{suffix}` | {kind} | {} | {} | {} | {} |",
            labels.join(", "),
            first.unit(),
            first.help,
            theirs.join("<br>")
        );
    }
    text
}

const BEGINNING: &str = "
## Inference engines

A scrape source with a `profile` translates the engine's metrics to these names, which are the same for every engine.
Every series has the label `engine`, and `model` and `replica` if the engine reports them; other labels of the engine
stay. Older names of an engine are translated too; the newest is listed. Metrics that are not in the table are dropped
and counted unless the source has `rest: keep`.

| name | type | more labels | unit | meaning | the engine's name |
|---|---|---|---|---|---|
";

/// Our names with the entries that lead to them.
fn by_name() -> BTreeMap<&'static str, Vec<(Profile, &'static Entry)>> {
    let mut names: BTreeMap<&str, Vec<(Profile, &Entry)>> = BTreeMap::new();
    for &profile in Profile::ALL {
        for entry in profile.engine().entries.iter().copied().flatten() {
            names.entry(entry.to).or_default().push((profile, entry));
        }
    }
    names
}

/// What an engine calls it.
fn spelling(profile: Profile, entry: &Entry) -> String {
    let from = entry.from.first().copied().unwrap_or_default();
    let sum = if entry.sum { "_sum" } else { "" };
    format!("`{}{from}{sum}`", profile.engine().prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_one_row() {
        let text = markdown();
        let rows: Vec<&str> =
            text.lines().filter(|line| line.starts_with("| `neural_engine_requests_running`")).collect();
        assert_eq!(rows.len(), 1);
        for engine in ["vllm:num_requests_running", "sglang:num_running_reqs", "tgi_batch_current_size"] {
            assert!(rows[0].contains(engine), "{}", rows[0]);
        }
    }

    #[test]
    fn one_name_has_one_type() {
        for (name, rows) in by_name() {
            assert!(rows.windows(2).all(|pair| pair[0].1.kind == pair[1].1.kind), "{name}");
        }
    }
}
