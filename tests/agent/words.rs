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
    ("is told", "is reported"),
    ("are told", "are reported"),
    ("whoever", "who, or the passive"),
    ("cannot be heard", "is down"),
    ("is heard", "is received"),
    ("be asked for", "be requested"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("mends", "fixes"),
    ("last so long", "this long up to now"),
    ("nobody can be asked", "no server answers"),
    ("be an acquisition", "simulate an acquisition"),
    ("a time was like", "a report on a span of time"),
    ("over and over", "repeatedly"),
    ("is the most", "the limit is"),
    ("is the least", "the minimum is"),
    ("on its quickest way", "over the fastest delivery"),
    ("without a word", "silently"),
    ("what there is", "the object itself"),
];

/// Those that stand in no text of the program itself: an error, a log line, a title.
const BANNED_STRINGS: &[(&str, &str)] = &[
    ("brings", "sends"),
    ("brought", "sent"),
    ("heard", "received"),
    ("stands in", "is in"),
    ("goes on", "continues"),
    ("writes over", "overwrites"),
];

/// Those that stand in no comment either.
const BANNED_COMMENTS: &[(&str, &str)] = &[
    ("left away", "omitted"),
    ("leave away", "omit"),
    ("anew", "again"),
    ("is called so", "has this name"),
    ("what is to be done", "what to do"),
    ("the deed", "the change"),
    ("somebody", "the program, or the passive"),
    ("anybody", "the passive"),
    ("whoever", "the noun that it is"),
    ("until told", "until it is cancelled"),
    ("last told", "last reported"),
    ("brings", "sends, carries or adds"),
    ("brought", "sent, carried or added"),
];

/// Names that are no words of the field, each with what took its place. A newcomer would have to learn them before the code.
const PRIVATE: &[(&str, &str)] = &[
    ("Voice", "ComplaintLog"),
    ("Guests", "ConnectionPool"),
    ("Hope", "Retry"),
    ("Deed", "Operation, Transition or Change"),
    ("Teller", "Reporter"),
    ("Manner", "PanelOptions"),
    ("Surroundings", "Context"),
    ("Life", "Liveness"),
    ("lay_aside", "buffer"),
    ("reflect", "process_deferred"),
    ("farewell", "close"),
    ("aloud", "emit_samples"),
    ("told", "the name of what it returns"),
];

#[test]
fn names_are_words_of_the_field() {
    let mut wrong = Vec::new();
    let mut names = 0;
    for (file, line, code) in code() {
        for (place, keyword) in KEYWORDS.iter().flat_map(|keyword| code.match_indices(keyword)) {
            let before = code[..place].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &code[place + keyword.len()..];
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            names += 1;
            if let Some((_, instead)) = PRIVATE.iter().find(|(private, _)| *private == name) {
                wrong.push(format!("{file}:{line}: {name}; the field says {instead}"));
            }
        }
    }
    assert!(names > 8_000, "{names}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Words that say nothing of what a type is: the next file has one of the same name for something else. A type is called by a noun, in
/// more than one file only where its module says the rest (`fieldtrip::Settings`).
const NO_NOUNS: &[&str] = &[
    "Asked", "Began", "Counted", "Ended", "Found", "Given", "Gone", "Held", "Judged", "Kept", "Known",
    "Made", "One", "Open", "Posted", "Read", "Refused", "Said", "Seen", "Sent", "Taken", "Told", "Waiting",
    "Wanted", "What", "Wrong",
];

#[test]
fn types_are_called_by_nouns() {
    let mut types = 0;
    let mut wrong = Vec::new();
    for (file, line, code) in code() {
        let mut words = code.split_whitespace().skip_while(|word| word.starts_with("pub"));
        let (Some("struct" | "enum" | "trait" | "type"), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        types += 1;
        if NO_NOUNS.contains(&name) {
            wrong.push(format!("{file}:{line}: {name} is no noun: what is it?"));
        }
    }
    assert!(types > 1_500, "{types}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What gives something a name.
const KEYWORDS: &[&str] =
    &["fn ", "struct ", "enum ", "trait ", "type ", "mod ", "let ", "let mut ", "pub ", "pub(super) "];

/// The lines of the sources without comments and tests.
fn code() -> Vec<(String, usize, String)> {
    let mut folders = vec![at("src")];
    let mut lines = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
                for (number, line) in text.lines().enumerate() {
                    let code = line.split("//").next().unwrap_or_default();
                    lines.push((path.display().to_string(), number + 1, code.to_owned()));
                }
            }
        }
    }
    lines
}

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

/// The sources, without what only tests read, with the line at which each piece stands.
fn sources(comments: bool) -> Vec<(String, usize, String)> {
    let mut folders = vec![at("src")];
    let mut pieces = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
                let file = path.display().to_string();
                let found = if comments { comments_of(text) } else { strings_of(text) };
                pieces.extend(found.into_iter().map(|(line, piece)| (file.clone(), line, piece)));
            }
        }
    }
    pieces
}

/// The comments, each line with its number.
fn comments_of(text: &str) -> Vec<(usize, String)> {
    let comment = |line: &str| line.find("//").map(|begin| line[begin..].to_owned());
    text.lines().enumerate().filter_map(|(number, line)| Some((number + 1, comment(line)?))).collect()
}

/// The strings of several words, each with the number of its first line.
fn strings_of(text: &str) -> Vec<(usize, String)> {
    let (mut strings, mut number) = (Vec::new(), 0);
    let mut open: Option<(usize, String)> = None;
    for line in text.lines() {
        number += 1;
        if open.is_none() && line.trim_start().starts_with("//") {
            continue;
        }
        let mut characters = line.chars().peekable();
        while let Some(c) = characters.next() {
            match (&mut open, c) {
                (None, '\'') if characters.peek() == Some(&'"') => {
                    characters.next();
                }
                (None, '"') => open = Some((number, String::new())),
                (None, _) => {}
                (Some(_), '"') => strings.extend(open.take()),
                (Some((_, held)), '\\') => {
                    held.push(' ');
                    characters.next();
                }
                (Some((_, held)), c) => held.push(c),
            }
        }
    }
    strings.retain(|(_, held)| held.trim().contains(' '));
    strings
}

#[test]
fn what_the_program_says_is_plain() {
    let strings = sources(false);
    assert!(strings.len() > 2_000, "{}", strings.len());
    let mut wrong = Vec::new();
    for (file, line, text) in strings {
        for (phrase, instead) in BANNED.iter().chain(BANNED_STRINGS) {
            if found(&text, phrase).is_some() {
                wrong.push(format!("{file}:{line}: \"{phrase}\"; write {instead}: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn comments_are_plain() {
    let comments = sources(true);
    assert!(comments.len() > 8_000, "{}", comments.len());
    let mut wrong = Vec::new();
    for (file, line, text) in comments {
        for (phrase, instead) in BANNED_COMMENTS {
            if found(&text, phrase).is_some() {
                wrong.push(format!("{file}:{line}: \"{phrase}\"; write {instead}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn strings_and_comments_are_told_apart() {
    let text = "let a = '\"'; // one \"two\"\nlet b = \"three \\\n four\"; /// five\n// \"six seven\"\n";
    assert_eq!(strings_of("let b = \"three \\\n  four\";"), [(1, "three    four".to_owned())]);
    assert_eq!(strings_of("// \"six seven\"\nf('\"', \"eight \\\"nine\")"), [(2, "eight  nine".to_owned())]);
    assert_eq!(comments_of(text).len(), 3);
}

#[test]
fn phrases_are_found_as_words() {
    assert_eq!(found("a\nb anew.", "anew"), Some(2));
    assert_eq!(found("Somebody is.", "somebody"), Some(1));
    assert_eq!(found("a renewal, canews", "anew"), None);
}
