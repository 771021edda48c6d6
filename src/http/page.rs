//! The landing page: which sources there are and how they fare, and what fills the registry.

use std::fmt::Write;

use super::Listed;
use crate::hub::Hub;

/// Families the page lists.
const OFFENDERS: usize = 10;

pub(super) const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:68rem;padding:0 1rem;\
color:#1c2330;background:#fff}h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .5rem}\
p{margin:.3rem 0 0;color:#5a6475}table{border-collapse:collapse;width:100%}\
th{font-weight:600;text-align:left;color:#5a6475;font-size:.85rem}td,th{padding:.35rem .6rem .35rem 0;\
border-bottom:1px solid #e4e8ef}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\
.up{color:#0a7d3c}.down{color:#b3261e}code{font-size:.9em}a{color:#1756c4}\
@media(prefers-color-scheme:dark){body{color:#e3e7ee;background:#12161d}td,th{border-color:#2a313d}\
p,th{color:#98a3b5}.up{color:#4cc47f}.down{color:#ff8a80}a{color:#86b1ff}}";

/// The page as HTML.
pub(super) fn landing(hub: &Hub, sources: &[Listed]) -> String {
    let mut page = String::with_capacity(8192);
    let version = env!("CARGO_PKG_VERSION");
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>neural-exporter</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style>\
         <h1>neural-exporter</h1><p>Version {version} · <a href=\"/metrics\">metrics</a> · \
         <a href=\"/provision/\">dashboards, rules and runbooks</a> · \
         <a href=\"/-/healthy\">healthy</a> · <a href=\"/-/ready\">ready</a></p>"
    );
    let state = hub.lock();
    page.push_str(
        "<h2>Sources</h2><table><tr><th>name<th>kind<th>where<th>state<th class=n>events<th class=n>faults\
         <th class=n>shed<th class=n>dropped by the kernel<th class=n>clients</tr>",
    );
    for source in sources {
        let labels = format!("source=\"{}\"", source.name);
        let read = |family: &str| state.registry.number(family, &labels);
        let number = |family: &str| read(family).map_or_else(|| "–".to_owned(), |n| format!("{n}"));
        let faults = state.registry.total("neural_source_faults", &format!("source=\"{}\",", source.name));
        let (class, word) = match read("neural_source_up") {
            Some(up) if up > 0.0 => ("up", "up"),
            Some(_) => ("down", "down"),
            None => ("absent", "not here"),
        };
        let why = source.trouble.as_deref().or_else(|| state.why(&source.name));
        let why = why.map(|t| format!(": {}", escape(t))).unwrap_or_default();
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td><code>{}</code><td class={class}>{word}{why}<td class=n>{}<td class=n>{faults}\
             <td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            escape(&source.name),
            source.kind,
            escape(&source.place),
            number("neural_source_events"),
            number("neural_source_shed"),
            number("neural_source_kernel_drops"),
            number("neural_source_clients"),
        );
    }
    let held = state.registry.len();
    let _ = write!(
        page,
        "</table><h2>Series</h2><p>{held} series. The families that refused events, then the largest:</p>\
         <table><tr><th>family<th class=n>series<th class=n>events without a series of their own</tr>"
    );
    for usage in state.registry.usage(OFFENDERS) {
        let _ = write!(
            page,
            "<tr><td><code>{}</code><td class=n>{}<td class=n>{}</tr>",
            escape(&usage.family),
            usage.series,
            usage.refused
        );
    }
    page.push_str("</table></html>\n");
    page
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Event, Link, Timestamp};

    #[test]
    fn a_source_that_is_down_says_why() {
        let hub = Hub::default();
        let source = hub.add_source("engine");
        let listed =
            [Listed { name: "engine".to_owned(), kind: "scrape", place: "here".to_owned(), trouble: None }];
        let link = |link| hub.lock().fold(&Event { at: Timestamp(0), source, body: Body::Link(link) });
        hub.lock().down(Timestamp(0), source, "line 1 is <wrong>");
        link(Link::Down);
        let page = landing(&hub, &listed);
        assert!(page.contains("class=down>down: line 1 is &lt;wrong&gt;<td"), "{page}");
        link(Link::Up);
        assert!(landing(&hub, &listed).contains("class=up>up<td"));
    }
}
