//! Words that name a secret, and words that look like one.

/// A part of a path that is no key: `alerts`, `v1`.
pub(super) fn is_word(name: &str) -> bool {
    let version = |rest: &str| rest.chars().all(|c| c.is_ascii_digit());
    name.len() <= 16
        && (name.chars().all(|c| c.is_ascii_lowercase()) || name.strip_prefix('v').is_some_and(version))
}

/// Beginnings of the keys that well known services give out.
const KEYS: &[&str] = &[
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "glsa_",
    "glc_",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "sk-",
    "AKIA",
    "eyJ",
    "hf_",
];

/// Whether a word looks like a key: long, of letters and digits, and no file.
pub(super) fn is_key(word: &str) -> bool {
    let word = word.trim_matches(['"', '\'']);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_+=.~%".contains(c);
    let mixed = word.chars().any(|c| c.is_ascii_digit()) && word.chars().any(|c| c.is_ascii_alphabetic());
    word.chars().all(plain)
        && (word.len() >= 20 && mixed || word.len() >= 12 && KEYS.iter().any(|key| word.starts_with(key)))
}

/// Words in the names of secrets.
const WORDS: &[&str] = &[
    "token",
    "secret",
    "passw",
    "passphrase",
    "pwd",
    "apikey",
    "accesskey",
    "credential",
    "authoriz",
    "signature",
    "bearer",
    "cookie",
    "session",
];
/// Names and last words of names.
const NAMES: &[&str] = &["key", "pass", "pw", "sig", "auth", "jwt", "pat", "sas", "code", "k", "psk", "user"];

/// Whether what has this name is a secret: `--api-key`, `DB_PASSWORD`, `X-Auth-Token`, `sig`. What names a file is none.
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_ascii_lowercase();
    let last = name.rsplit(['-', '_', '.']).next().unwrap_or_default();
    if matches!(last, "file" | "path" | "dir") {
        return false;
    }
    WORDS.iter().any(|word| name.contains(word)) || NAMES.contains(&last)
}

/// Whether a text can be the name of something that a value is assigned to.
pub(super) fn is_name(name: &str) -> bool {
    let name = name.trim_start_matches(['"', '\'', '-', '(']);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Words with the blanks behind them.
pub(super) fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let blank = behind.find(|c: char| !c.is_whitespace()).unwrap_or(behind.len());
        let (blank, behind) = behind.split_at(blank);
        rest = behind;
        Some((word, blank))
    })
}
