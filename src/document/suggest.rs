//! Which known word a misspelt one may have meant.

/// The one of `known` that `word` is most likely a slip of.
#[must_use]
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let word = plain(word);
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .filter_map(|candidate| {
            let other = plain(candidate);
            let far = strsim::damerau_levenshtein(&word, &other);
            let begins = word.len() > 2 && (other.starts_with(&word) || word.starts_with(&other));
            // Scaled units, as in `milliseconds`.
            let ends = other.len() > 4 && word.ends_with(&other);
            // The end of a name, without what it is of: `latency` of `stage_latency`.
            let tail = other
                .match_indices('_')
                .filter_map(|(at, _)| other.get(at + 1..))
                .any(|end| end.len() > 4 && strsim::damerau_levenshtein(&word, end) <= 1);
            (far <= allowed || begins || ends || tail).then_some((far, candidate))
        })
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// Words in a row, as a hint lists them.
#[must_use]
pub fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["listen", "mapping", "receive_buffer", "name"];
        assert_eq!(suggest("lisen", known), Some("listen"));
        assert_eq!(suggest("lsiten", known), Some("listen"));
        assert_eq!(suggest("receive-buffer", known), Some("receive_buffer"));
        assert_eq!(suggest("receive", known), Some("receive_buffer"));
        assert_eq!(suggest("bufer", known), Some("receive_buffer"));
        assert_eq!(suggest("latencyy", ["stage_loss", "stage_latency"]), Some("stage_latency"));
        assert_eq!(suggest("colour", known), None);
        assert_eq!(suggest("", known), None);
    }
}
