//! What changes between two texts, by lines, for a person to read. Secrets do not appear in it.

use std::fmt::Write;

use serde_yaml::Value;

use crate::secret::told;

/// Lines that are shown around a change.
const AROUND: usize = 2;
/// Cells of the table of common lines; larger texts are told as replaced.
const CELLS: usize = 4_000_000;
/// Lines that a diff has at most.
const LINES: usize = 200;

/// The changed lines with `-` and `+`, and some around them. Empty if nothing changes.
#[must_use]
pub fn diff(old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let lines = edits(&old, &new);
    let mut text = String::new();
    let (mut shown, mut last) = (0, None);
    for (place, (sign, line)) in lines.iter().enumerate() {
        let near = lines.iter().skip(place.saturating_sub(AROUND)).take(AROUND + 1 + place.min(AROUND));
        if !near.clone().any(|(sign, _)| *sign != ' ') {
            continue;
        }
        if shown == LINES {
            text.push_str("… and more\n");
            break;
        }
        if last.is_some_and(|last| last + 1 != place) {
            text.push_str("…\n");
        }
        last = Some(place);
        shown += 1;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{sign} {}", told(line));
    }
    text
}

/// Every line of both, each with `-`, `+` or a blank, by the longest common subsequence.
fn edits<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (old.get(head..).unwrap_or_default(), new.get(head..).unwrap_or_default());
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, kept) = old_rest.split_at(old_rest.len() - tail);
    let b = new_rest.split_at(new_rest.len() - tail).0;
    let mut lines: Vec<(char, &str)> = old.iter().take(head).map(|line| (' ', *line)).collect();
    if a.len().saturating_mul(b.len()) > CELLS {
        lines.extend(a.iter().map(|line| ('-', *line)));
        lines.extend(b.iter().map(|line| ('+', *line)));
    } else {
        middle(a, b, &mut lines);
    }
    lines.extend(kept.iter().map(|line| (' ', *line)));
    lines
}

fn middle<'a>(a: &[&'a str], b: &[&'a str], lines: &mut Vec<(char, &'a str)>) {
    // common[i][j]: lines that a[i..] and b[j..] have in common.
    let width = b.len() + 1;
    let mut common = vec![0_u32; (a.len() + 1) * width];
    let at = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or_default();
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            let longest = if a.get(i) == b.get(j) {
                at(&common, i + 1, j + 1) + 1
            } else {
                at(&common, i + 1, j).max(at(&common, i, j + 1))
            };
            if let Some(cell) = common.get_mut(i * width + j) {
                *cell = longest;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    loop {
        match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) if x == y => {
                lines.push((' ', x));
                (i, j) = (i + 1, j + 1);
            }
            (Some(x), y) if y.is_none() || at(&common, i + 1, j) >= at(&common, i, j + 1) => {
                lines.push(('-', x));
                i += 1;
            }
            (_, Some(y)) => {
                lines.push(('+', y));
                j += 1;
            }
            _ => return,
        }
    }
}

/// Words that the key of a secret has in an Alertmanager's configuration. What ends in `_file` is none.
const SECRETS: &[&str] = &[
    "password",
    "secret",
    "token",
    "key",
    "credentials",
    "url",
    "authorization",
    "bearer",
    "headers",
    "identity",
];

/// A YAML text with `<secret>` where secrets may be; nothing but a word about it if it is not YAML.
#[must_use]
pub(super) fn conceal(text: &str) -> String {
    match serde_yaml::from_str::<Value>(text) {
        Ok(mut value) => {
            conceal_value(&mut value);
            serde_yaml::to_string(&value).unwrap_or_default()
        }
        Err(_) => "# not YAML, and not shown because it may hold secrets\n".to_owned(),
    }
}

fn conceal_value(value: &mut Value) {
    match value {
        Value::Mapping(map) => {
            for (key, value) in map.iter_mut() {
                let key = key.as_str().unwrap_or_default().to_ascii_lowercase();
                let secret = SECRETS.iter().any(|word| key.contains(word));
                if secret && !key.ends_with("_file") && key != "runbook_url" && !value.is_null() {
                    *value = Value::String("<secret>".to_owned());
                } else {
                    conceal_value(value);
                }
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(conceal_value),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_its_neighbours() {
        let old: String = (0..20).map(|n| format!("{n}\n")).collect();
        let new = old.replace("\n5\n", "\nfive\n").replace("\n15\n", "\n15\n15b\n");
        assert_eq!(diff(&old, &new), "  3\n  4\n- 5\n+ five\n  6\n  7\n…\n  14\n  15\n+ 15b\n  16\n  17\n");
        assert_eq!(diff(&old, &old), "");
        assert_eq!(diff("", "a\n"), "+ a\n");
        assert_eq!(diff("a\n", ""), "- a\n");
        assert_eq!(diff("a\nb\nc\n", "b\nc\na\n"), "- a\n  b\n  c\n+ a\n");
    }

    #[test]
    fn large_texts_are_cut() {
        let (old, new): (String, String) =
            ((0..3000).map(|n| format!("a{n}\n")).collect(), (0..3000).map(|n| format!("b{n}\n")).collect());
        let text = diff(&old, &new);
        assert_eq!(text.lines().count(), LINES + 1);
        assert!(text.ends_with("… and more\n"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let text = "global: {slack_api_url: 'https://hooks/T0/abc', smtp_auth_password_file: /run/p}\n\
                    receivers:\n- name: a\n  pagerduty_configs: [{routing_key: abc}]\n\
                    \x20 webhook_configs:\n  - url: >-\n      http://u:abc@h/\n";
        let shown = conceal(text);
        assert!(!shown.contains("abc"), "{shown}");
        assert!(shown.contains("/run/p") && shown.contains("name: a"), "{shown}");
        assert!(!conceal("a: [abc").contains("abc"));
    }
}
