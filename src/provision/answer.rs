//! What a server answered, and what it says is wrong, in whichever shape. What to do about it is one more line.

use std::sync::Arc;

use serde_json::Value;

/// What stands where a server repeats a secret.
const SECRET: &str = "***";
/// Characters of a server's words that are passed on.
const WORDS: usize = 600;

/// What a server answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// The body, bounded.
    pub(super) body: Vec<u8>,
    /// What must not be told, should the server repeat it.
    pub(super) secrets: Arc<[String]>,
}

impl Answer {
    /// Itself, if its status says success.
    pub(super) fn good(self) -> Result<Self, String> {
        if (200..300).contains(&self.status) { Ok(self) } else { Err(self.told()) }
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|_| {
            let words = self.words();
            format!("the answer is not JSON but \"{words}\"; see whether the url is right, with its sub-path")
        })
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The status, the server's words, and what to do.
    pub(super) fn told(&self) -> String {
        let words = self.words();
        let said = if words.is_empty() { String::new() } else { format!(": {words}") };
        let hint = match self.status {
            300..=399 => "\n  hint: it redirects; set url to where it leads, with https or the sub-path",
            401 => "\n  hint: set access.token_file or access.basic; see whether the token has expired",
            403 => "\n  hint: the account lacks a permission",
            412 | 409 => "\n  hint: somebody else changed it meanwhile; run it again",
            429 => "\n  hint: it is asked too often; try again later",
            502..=504 => "\n  hint: it is overloaded or behind a proxy that does not reach it",
            _ => "",
        };
        format!("{}{said}{hint}", self.status)
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
        let words = self.secrets.iter().fold(words, |words, secret| words.replace(secret, SECRET));
        let words: String = words.trim().chars().take(WORDS).collect();
        if words.starts_with('<') { "a page of HTML".to_owned() } else { words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_an_error_is_understood() {
        let words = |body: &str| Answer { status: 400, body: body.into(), secrets: [].into() }.words();
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
            let answer = Answer { status: 401, body: body.into(), secrets: secrets.clone() };
            let told = answer.told() + &answer.json().err().unwrap_or_default();
            assert!(told.contains("***") && !told.contains("glsa_abc"), "{told}");
        }
    }
}
