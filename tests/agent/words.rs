//! Plain English: phrases that a reader stumbles over stand in no text that users read.

use super::at;

/// The phrases, each with what to write instead.
const BANNED: &[(&str, &str)] = &[
    ("left away", "omitted"),
    ("leave it away", "omit it"),
    ("anew", "again"),
    ("somebody", "you, or the passive"),
    ("is called so", "has this name"),
    ("who is told", "who is notified"),
    ("what is to be done", "what to do"),
    ("who has it", "which program has it"),
    ("be a device", "simulate a device"),
    ("the deed", "the change"),
    ("no way to listen", "unsupported scheme"),
];

/// What users read: pages, help, schemas, metrics, runbooks, dashboards.
fn texts() -> Vec<(String, String)> {
    let mut files: Vec<_> = ["README.md", "METRICS.md", "CONTRIBUTING.md"].map(at).into();
    for folder in ["docs", "docs/reference", "deploy", "alert-rules", "alert-rules/runbooks", "dashboards"] {
        let entries = std::fs::read_dir(at(folder)).unwrap().map(|entry| entry.unwrap().path());
        let text = |end: &str| ["md", "yml", "json"].contains(&end);
        files.extend(entries.filter(|file| file.extension().and_then(|end| end.to_str()).is_some_and(text)));
    }
    assert!(files.len() > 80, "{files:?}");
    files
        .into_iter()
        .map(|file| (file.display().to_string(), std::fs::read_to_string(&file).unwrap()))
        .collect()
}

/// Where a phrase stands as words of their own.
fn found(text: &str, phrase: &str) -> Option<usize> {
    let text = text.to_lowercase();
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let whole = |at: &(usize, &str)| {
        let after = text[at.0 + phrase.len()..].chars().next();
        !letter(text[..at.0].chars().next_back()) && !letter(after)
    };
    let first = text.match_indices(phrase).find(whole)?.0;
    Some(text[..first].matches('\n').count() + 1)
}

#[test]
fn what_users_read_is_plain() {
    let mut wrong = Vec::new();
    for (file, text) in texts() {
        for (phrase, instead) in BANNED {
            if let Some(line) = found(&text, phrase) {
                wrong.push(format!("{file}:{line}: \"{phrase}\"; write {instead}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn phrases_are_found_as_words() {
    assert_eq!(found("a\nb anew.", "anew"), Some(2));
    assert_eq!(found("Somebody is.", "somebody"), Some(1));
    assert_eq!(found("a renewal, canews", "anew"), None);
}
