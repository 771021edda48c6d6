//! The page of an alert: how it is now, and its runbook with what its queries answer now.

use std::fmt::Write;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::http::request::Parts;
use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, html as markdown};

use super::api::Parameters;
use super::reply::Form;
use super::{Groups, Reply, Site, reply};
use crate::alert::{ALERT_NAME, State};
use crate::clock::now;
use crate::promql::{self, Interrupt, Query, Storage, Value, When, moment};
use crate::view::html::{self, escape};

/// How long all queries of a runbook may take, ns.
const PATIENCE: u64 = 2_000_000_000;
/// Values that one of them may hold, and series of an answer that are shown.
const VALUES: usize = 1_000_000;
const SERIES: usize = 5;

impl Site {
    /// The page of an alert.
    pub(super) async fn alert_page(self: &Arc<Self>, request: &Parts) -> Reply {
        let parameters = Parameters::read(request, &[]);
        let name = parameters.get("name").unwrap_or_default().to_owned();
        let files = self.files().await;
        let path = format!("alert-rules/runbooks/{name}.md");
        let runbook =
            files.and_then(|files| files.iter().find(|file| file.path == path).map(|file| file.text.clone()));
        let Some(runbook) = runbook else {
            return reply::text(
                StatusCode::NOT_FOUND,
                "no alert of this name has a runbook; /provision/ lists them\n",
            );
        };
        let site = self.clone();
        let made = self.page_work(move || site.write_alert(&name, &runbook)).await;
        made.map_or_else(|why| why.reply(Form::Text), reply::page)
    }

    fn write_alert(&self, name: &str, runbook: &str) -> String {
        let mut out = html::begin(&format!("{name} – neural-exporter"), "");
        out.push_str("<article class=runbook>");
        let began = now().steady;
        let interrupt = || (now().steady.saturating_sub(began) > PATIENCE).then_some(Interrupt::Timeout);
        let history = self.history.get().map(|history| &**history);
        let values =
            |query: &str| history.map(|history| values(history, query, &interrupt)).unwrap_or_default();
        write_runbook(&mut out, runbook, &|| self.active(name), &values);
        out.push_str("</article>");
        out.push_str(&html::end(""));
        out
    }

    /// Whose alert of this name fires or waits.
    fn active(&self, name: &str) -> String {
        let rules = self.rules.load();
        let Some(Groups(visit)) = rules.as_deref() else {
            return "<p class=quiet>The agent does not evaluate alerts: see the server that does.</p>"
                .to_owned();
        };
        let mut out = String::new();
        visit(&mut |group| {
            for alert in group.rules.iter().flat_map(|live| live.active()) {
                if alert.labels.get(ALERT_NAME) != name {
                    continue;
                }
                let (class, state) =
                    if alert.state == State::Firing { ("danger", "fires") } else { ("attention", "waits") };
                // Writing to a string cannot fail.
                let _ = write!(
                    out,
                    "<li class={class}><b>It {state}</b> since {}: {}</li>",
                    moment(alert.fired_at.unwrap_or(alert.active_at)),
                    escape(alert.annotations.get("summary"))
                );
            }
        });
        if out.is_empty() {
            "<p class=up>✔ It does not fire now.</p>".to_owned()
        } else {
            format!("<ul class=sentences>{out}</ul>")
        }
    }
}

/// What a query answers now, as HTML.
fn values(history: &dyn Storage, query: &str, interrupt: &dyn Fn() -> Option<Interrupt>) -> String {
    let at = now().wall_milliseconds();
    let ask = || {
        let asked = Query { max_samples: VALUES, interrupt, ..Query::new(When::At(at)) };
        promql::evaluate(&promql::parse(query)?, &asked, history)
    };
    let series = match ask().map(|answer| answer.value) {
        Ok(Value::Vector(series)) => series,
        Ok(Value::Scalar(value)) => return format!("<p>Now: <b>{}</b></p>", promql::digits(value, 4)),
        Ok(_) => return String::new(),
        Err(error) => return format!("<p class=quiet>Not answered: {}</p>", escape(&error.to_string())),
    };
    if series.is_empty() {
        return "<p class=quiet>Now: no series.</p>".to_owned();
    }
    let mut out = String::from("<ul class=values>");
    for one in series.iter().take(SERIES) {
        let _ = write!(
            out,
            "<li><b>{}</b> <code>{}</code></li>",
            promql::digits(one.value, 4),
            escape(&one.labels.metric())
        );
    }
    out.push_str("</ul>");
    let more = series.len().saturating_sub(SERIES);
    if more > 0 {
        let _ = write!(out, "<p class=quiet>and {more} more</p>");
    }
    out
}

/// The runbook as HTML: HTML in it is text, links to other runbooks lead to their pages, and behind each query is what it answers.
fn write_runbook(
    out: &mut String,
    runbook: &str,
    state: &dyn Fn() -> String,
    values: &dyn Fn(&str) -> String,
) {
    let mut events: Vec<Event<'_>> = Vec::new();
    let (mut query, mut headed) = (None, false);
    for event in Parser::new_ext(runbook, Options::ENABLE_TABLES) {
        match event {
            Event::Html(text) if text.trim_start().starts_with("<!--") => {}
            Event::Html(text) | Event::InlineHtml(text) => events.push(Event::Text(text)),
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let dest_url = match dest_url.strip_suffix(".md").filter(|name| !name.contains('/')) {
                    Some(name) => CowStr::from(format!("alert?name={name}")),
                    None => dest_url,
                };
                events.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind))) => {
                query = (&*kind == "promql").then(String::new);
                events.push(Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(kind))));
            }
            Event::End(TagEnd::CodeBlock) => {
                events.push(Event::End(TagEnd::CodeBlock));
                events.extend(query.take().map(|query| Event::Html(values(&query).into())));
            }
            Event::End(TagEnd::Heading(level)) => {
                events.push(Event::End(TagEnd::Heading(level)));
                if !std::mem::replace(&mut headed, true) {
                    events.push(Event::Html(state().into()));
                }
            }
            Event::Text(text) => {
                if let Some(query) = &mut query {
                    query.push_str(&text);
                }
                events.push(Event::Text(text));
            }
            other => events.push(other),
        }
    }
    markdown::push_html(out, events.into_iter());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runbook_is_html_with_what_its_queries_answer() {
        let runbook = "<!-- generated -->\n\n# A\n\n<script>x</script>\n\nsee [B](B.md) and [far](https://x.example/a.md)\n\n\
                       ```promql\nup == 0\n```\n\n```sh\nls\n```\n\n| id | limit |\n|---|---|\n| `loss` | 1 % |\n";
        let mut out = String::new();
        write_runbook(&mut out, runbook, &|| "<p>state</p>".into(), &|query| {
            format!("<p>answer to {}</p>", query.trim())
        });
        assert!(out.contains("<h1>A</h1>\n<p>state</p>"), "{out}");
        assert!(
            !out.contains("<script>") && out.contains("&lt;script&gt;") && !out.contains("generated"),
            "{out}"
        );
        assert!(
            out.contains("href=\"alert?name=B\"") && out.contains("href=\"https://x.example/a.md\""),
            "{out}"
        );
        assert!(out.contains("<td><code>loss</code></td><td>1 %</td>"), "{out}");
        assert_eq!(out.matches("<p>answer to ").count(), 1, "{out}");
        assert!(out.contains("</pre>\n<p>answer to up == 0</p>"), "{out}");
        crate::http::same_page("runbook.html", &out);
    }
}
