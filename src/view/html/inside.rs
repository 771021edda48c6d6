//! The pages of the agent's inside: the configuration in effect, and the last lines of the log.

use std::fmt::Write;

use super::{begin, end, escape};
use crate::promql::moment;
use crate::view::words::span;

/// The configuration in effect, without its secrets, and how the last reload went.
#[derive(Clone, Debug, Default)]
pub struct InEffect {
    /// As YAML.
    pub text: String,
    /// When it was loaded: ms since the epoch.
    pub loaded: i64,
    /// When a reload was refused since, and why.
    pub refused: Option<(i64, String)>,
}

/// The page of the configuration at a time in ms.
#[must_use]
pub fn config_page(config: &InEffect, at: i64) -> String {
    let mut out = begin("Configuration – neural-exporter", "");
    let ago = |then: i64| format!("{}, {} ago", moment(then), span((at - then).max(0) as f64 / 1000.0));
    // Writing to a string cannot fail.
    let _ = write!(out, "<h1>Configuration in effect</h1><p>Loaded at {}.</p>", ago(config.loaded));
    match &config.refused {
        Some((when, why)) => {
            let _ = write!(
                out,
                "<div class=\"verdict danger\" role=alert><h2><span aria-hidden=true>✖</span> The last reload was refused</h2>\
                 <p>At {}. What is below stays in effect.</p><pre>{}</pre></div>",
                ago(*when),
                escape(why.trim_end())
            );
        }
        None => out.push_str("<p class=ok>✔ No reload was refused since.</p>"),
    }
    let _ = write!(
        out,
        "<p class=quiet>Everything that is set, defaults included. <code>***</code> stands where a secret is. \
         <code>neural-exporter check</code> says what is wrong with a file before it is loaded.</p>\
         <pre><code>{}</code></pre>",
        escape(&config.text)
    );
    out.push_str(&end(""));
    out
}

/// The page of the log's last lines, which come in their order, and are shown with the newest first.
#[must_use]
pub fn log_page(lines: &[String]) -> String {
    let mut out = begin("Log – neural-exporter", "");
    out.push_str("<h1>The log's last lines</h1><p class=quiet>The newest first, from memory; the log itself is where the agent's standard error goes (<code>journalctl -u neural-exporter</code>).</p>");
    if lines.is_empty() {
        out.push_str("<p>Nothing was logged yet.</p>");
    } else {
        out.push_str("<ol class=log>");
        for line in lines.iter().rev() {
            let line = plain(line.trim_end());
            let (class, sign) = level(&line);
            let _ = write!(out, "<li class={class}><code>{sign}{}</code></li>", escape(&line));
        }
        out.push_str("</ol>");
    }
    out.push_str(&end(""));
    out
}

/// The class of a line by its level, and the sign before it.
fn level(line: &str) -> (&'static str, &'static str) {
    // The level stands behind the time, or is a field of JSON.
    let begin: String = line.chars().take(80).collect();
    if begin.contains("ERROR") || begin.contains("panicked at") {
        ("danger", "✖ ")
    } else if begin.contains("WARN") {
        ("attention", "▲ ")
    } else {
        ("plain", "")
    }
}

/// A line without what colours it on a terminal.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut pieces = line.split("\u{1b}[");
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let end = piece.find(|c: char| c.is_ascii_alphabetic()).map_or(piece.len(), |at| at + 1);
        out.push_str(piece.get(end..).unwrap_or_default());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_text_without_colours() {
        let coloured = "2026-01-01T00:00:00Z \u{1b}[33m WARN\u{1b}[0m <b>x</b>\n".to_owned();
        let page = log_page(&["it begins".to_owned(), coloured]);
        let (warned, first) = (page.find("WARN &lt;b&gt;").unwrap(), page.find("it begins").unwrap());
        assert!(warned < first && page.contains("<li class=attention><code>▲ 2026"), "{page}");
        assert!(!page.contains('\u{1b}') && !page.contains("[33m"), "{page}");
    }
}
