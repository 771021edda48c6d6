//! What a server answered, and what it says is wrong, in whichever shape. What to do about it is one more line.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// What stands where a server repeats a secret.
const SECRET: &str = "***";
/// Characters of a server's words that are passed on.
const WORDS: usize = 600;

/// What SQLite says, which Grafana keeps its objects in by default, when another request holds it; and what Grafana (9 to 13)
/// says where another request wrote a contact point, a quiet hour or a policy between its own reading and writing. They
/// are one object there, whichever of them is asked for.
const LOCKED: &[&str] = &[
    "database is locked",
    "database table is locked",
    "sqlite_busy",
    "could not find object using provided id and hash",
];
/// What Grafana says in place of it where it does not pass the reason on.
const OPAQUE: &[&str] = &["Failed to ", "Folder API error", "Internal ", "An unexpected error", "failed to "];
/// What an answer has of what two writers did at once, whatever its status is.
const CLASHES: &[&str] =
    &["unique", "already exist", "already been", "could not find alert rule", "conflict"];

/// Why the same request may succeed in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// The server is overloaded, or not there yet.
    Overloaded,
    /// Another request holds the database of a Grafana, or wrote at the same time.
    Locked,
}

/// Why a request did not do what it should.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    why: String,
    /// The status of the answer; nothing if there is none.
    status: Option<u16>,
    clash: bool,
}

impl Failure {
    /// Whether another writer may have been faster, so that the object should be read again.
    pub(super) fn clashes(&self) -> bool {
        self.clash
    }

    /// The status of the answer, if there is one.
    pub(super) fn status(&self) -> Option<u16> {
        self.status
    }

    /// The same with its reason rewritten.
    pub(super) fn map_reason(self, map: impl FnOnce(String) -> String) -> Self {
        Self { why: map(self.why), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self { why, status: None, clash: false }
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        failure.why
    }
}

/// What a server answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// Where it was asked, as it may be printed.
    pub(super) url: String,
    /// The status code.
    pub(super) status: u16,
    /// The body, bounded.
    pub(super) body: Vec<u8>,
    /// What must not be shown, should the server repeat it.
    pub(super) secrets: Arc<[String]>,
}

impl Answer {
    /// Itself, if its status says success.
    ///
    /// # Errors
    /// What the server says.
    pub(super) fn good(self) -> Result<Self, Failure> {
        if (200..300).contains(&self.status) { Ok(self) } else { Err(self.failure()) }
    }

    /// What is wrong, if something is.
    pub(super) fn failure(&self) -> Failure {
        let words = self.words();
        let clash = matches!(self.status, 409 | 412)
            || (matches!(self.status, 400 | 500) && CLASHES.iter().any(|clash| words.contains(clash)));
        Failure { why: self.describe(), status: Some(self.status), clash }
    }

    /// Whether the same request may succeed in a moment, and why. A 500 of any server but a Grafana is its last word: a
    /// The words with which Prometheus rejects a configuration.
    pub(super) fn busy(&self, grafana: bool) -> Option<Busy> {
        match self.status {
            429 | 502..=504 => Some(Busy::Overloaded),
            500 if grafana => {
                let words = self.words();
                let (small, clash) =
                    (words.to_ascii_lowercase(), CLASHES.iter().any(|of| words.contains(of)));
                let locked = LOCKED.iter().any(|locked| small.contains(locked))
                    || (!clash && OPAQUE.iter().any(|opaque| words.starts_with(opaque)));
                locked.then_some(Busy::Locked)
            }
            _ => None,
        }
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is something else: where it came from, and what it is.
    pub(super) fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|_| {
            let (url, words) = (&self.url, self.words());
            let is = if words.is_empty() { "empty".to_owned() } else { format!("not JSON but \"{words}\"") };
            format!("the answer of {url} is {is}\n  hint: check the url, its port and its sub-path")
        })
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The status, the server's words, and what to do.
    pub(super) fn describe(&self) -> String {
        let words = self.words();
        let said = if words.is_empty() { String::new() } else { format!(": {words}") };
        let hint = match self.status {
            300..=399 => {
                "\n  hint: it redirects; set url to the target of the redirect, with https or the sub-path"
            }
            401 => "\n  hint: set access.token_file or access.basic, or check whether the token has expired",
            403 => "\n  hint: the account lacks a permission",
            412 | 409 => "\n  hint: another writer changed it; run the command again",
            429 => "\n  hint: rate limited; try again later",
            502..=504 => "\n  hint: the server is overloaded, or its proxy cannot reach it",
            _ => "",
        };
        format!("{}{said}{hint}", self.status)
    }

    /// Words of the server, without what must not be shown.
    pub(super) fn veil(&self, words: String) -> String {
        self.secrets.iter().fold(words, |words, secret| words.replace(secret, SECRET))
    }

    /// What the server says is wrong, in whichever of the known shapes: Grafana's four, a bare JSON string, text.
    pub(super) fn words(&self) -> String {
        let text = self.text();
        let words = match serde_json::from_str::<Value>(&text) {
            Ok(Value::String(words)) => words,
            Ok(Value::Object(map)) => {
                let word = |key: &str| map.get(key).and_then(Value::as_str).filter(|word| !word.is_empty());
                let mut words: Vec<&str> =
                    ["title", "message", "error"].iter().filter_map(|key| word(key)).collect();
                words.dedup();
                if words.is_empty() { text.clone() } else { words.join(": ") }
            }
            _ => text.clone(),
        };
        let words = self.veil(words);
        let words: String = words.trim().chars().take(WORDS).collect();
        if words.starts_with('<') { "a page of HTML".to_owned() } else { words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { url: "http://lab/api".to_owned(), status, body: body.into(), secrets: [].into() }
    }

    #[test]
    fn an_answer_that_is_not_json_is_shown_with_its_address() {
        let why = answer(200, "<html><body>Sign in</body></html>").json().unwrap_err();
        assert!(
            why.starts_with("the answer of http://lab/api is not JSON but \"a page of HTML\"\n"),
            "{why}"
        );
        let why = answer(200, "").json().unwrap_err();
        assert!(why.starts_with("the answer of http://lab/api is empty\n"), "{why}");
        assert!(answer(200, "{}").json().is_ok());
    }

    #[test]
    fn what_a_moment_mends_is_told_from_what_it_does_not() {
        for (status, body, busy, clash) in [
            (500, "{\"message\":\"failed to update alert rules: database is locked\"}", true, false),
            (500, "{\"message\":\"database table is locked: alert_rule\"}", true, false),
            (500, "{\"message\":\"Failed to save dashboard\"}", true, false),
            (500, "{\"message\":\"could not find object using provided id and hash\"}", true, false),
            (
                500,
                "{\"message\":\"failed to update rule with UID a because could not find alert rule\"}",
                false,
                true,
            ),
            (
                500,
                "{\"message\":\"a conflicting alert rule is found: rule title should be unique\"}",
                false,
                true,
            ),
            (500, "{\"message\":\"invalid alert rule\"}", false, false),
            (400, "{\"message\":\"Failed to parse\"}", false, false),
            (400, "{\"message\":\"a mute timing with this name already exists\"}", false, true),
            (409, "", false, true),
            (412, "{\"status\":\"version-mismatch\"}", false, true),
            (503, "", true, false),
            (403, "{\"message\":\"Access denied\"}", false, false),
        ] {
            let answer = answer(status, body);
            let reported = (answer.busy(true).is_some(), answer.failure().clashes());
            assert_eq!(reported, (busy, clash), "{status} {body}");
            let other = answer.busy(false).is_some();
            assert_eq!(other, busy && status != 500, "of another server: {status} {body}");
        }
    }

    #[test]
    fn every_shape_of_an_error_is_understood() {
        let words = |body: &str| answer(400, body).words();
        assert_eq!(words("{\"message\":\"no\",\"status\":\"x\"}"), "no");
        assert_eq!(
            words("{\"title\":\"Access denied\",\"message\":\"need a:b\"}"),
            "Access denied: need a:b"
        );
        assert_eq!(words("{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":\"rv\"}"), "rv");
        assert_eq!(words("\"bare\""), "bare");
        assert_eq!(words("plain text\n"), "plain text");
        assert_eq!(words("<html>"), "a page of HTML");
        assert_eq!(words(""), "");
    }

    #[test]
    fn a_secret_that_is_repeated_is_not_told() {
        let secrets: Arc<[String]> = ["glsa_abc".to_owned()].into();
        for body in ["{\"message\":\"no glsa_abc\"}", "no glsa_abc", "{\"key\":\"glsa_abc\"}"] {
            let answer = Answer { secrets: secrets.clone(), ..answer(401, body) };
            let reported = answer.describe() + &answer.json().err().unwrap_or_default();
            assert!(reported.contains("***") && !reported.contains("glsa_abc"), "{reported}");
        }
    }
}
