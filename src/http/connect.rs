//! The page that says how other programs reach the agent, with lines to paste.

use std::fmt::Write;

use hyper::header::{HOST, HeaderMap};

use crate::view::html::{self, escape};

/// The page, for the name under which the agent was asked.
pub(super) fn page(headers: &HeaderMap, tls: bool) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:9612");
    let mut out = html::begin("Connect – neural-exporter", "");
    out.push_str("<h1>Connect other programs</h1>");
    for (heading, about, lines) in PARTS {
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<h2>{heading}</h2><p>{about}</p><pre><code>{}</code></pre>",
            escape(&written(lines, host, tls))
        );
    }
    out.push_str(&html::end(""));
    out
}

/// Lines as they are pasted for an agent of this name, with TLS or without.
fn written(lines: &str, host: &str, tls: bool) -> String {
    let lines = if tls { lines.replace("http://HOST", "https://HOST") } else { lines.to_owned() };
    let scheme = if tls { "    scheme: https\n" } else { "" };
    lines.replace("SCHEME", scheme).replace("HOST", host)
}

/// A heading, what it is about, and what is pasted.
const PARTS: &[(&str, &str, &str)] = &[
    (
        "Prometheus scrapes the agent",
        "Add this to <code>scrape_configs</code> in prometheus.yml. The job's name is the one that dashboards and rules expect.",
        "  - job_name: neural\n    scrape_interval: 5s\nSCHEME    static_configs: [{targets: [\"HOST\"]}]\n",
    ),
    (
        "Prometheus evaluates the alerts",
        "Download the rules and add them to <code>rule_files</code>.",
        "curl -o /etc/prometheus/rules/neural.yml http://HOST/provision/rules.yml\n",
    ),
    (
        "Grafana without a Prometheus",
        "The agent answers PromQL itself. In Grafana: Connections → Data sources → Add → Prometheus, with this address.",
        "http://HOST\n",
    ),
    (
        "Grafana's dashboards",
        "Dashboards → New → Import, with a file of <a href=provision/>the list</a>; or let the agent push all of them: in its configuration,",
        "provision:\n  datasource: agent\n  targets:\n    - grafana: {url: http://127.0.0.1:3000, access: {token_file: /etc/neural-exporter/grafana-token}}\n",
    ),
    (
        "Alertmanager, and incidents of its alerts",
        "The agent sends its alerts there; and where a Prometheus raises alerts, Alertmanager's webhook makes incidents of them here.",
        "# the agent's configuration\nrespond:\n  alertmanagers: [{url: http://127.0.0.1:9093}]\n  incidents: {webhook: {enabled: true}}\n\n# alertmanager.yml\nroute: {receiver: neural-exporter}\nreceivers:\n  - name: neural-exporter\n    webhook_configs: [{url: \"http://HOST/api/v1/alertmanager\"}]\n",
    ),
    (
        "A shell",
        "The verdict with an exit code, a question in PromQL, and the cards in a terminal.",
        "neural-exporter status --server http://HOST\nneural-exporter query 'neural_device_rate_hertz' --last 1h --server http://HOST\nneural-exporter top --server http://HOST\n",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_it_was() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "lab<1>:9612".parse().unwrap());
        crate::http::same_page("connect.html", &page(&headers, false));
        let with_tls = page(&headers, true);
        assert!(with_tls.contains("scheme: https") && !with_tls.contains("http://lab"), "{with_tls}");
    }
}
