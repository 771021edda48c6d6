//! The generated files for clients that fetch them: Prometheus, vmalert, a person with curl. Read only, and no secret is
//! in them.
//!
//! They are generated when they are first asked for, and kept until there is another configuration.

use std::fmt::Write;
use std::sync::Arc;

use hyper::{StatusCode, header};
use serde_yaml::Value;

use super::gate::{FILES, RUNBOOKS};
use super::{Reply, Site, reply};
use crate::catalog::Page;
use crate::render::{self, File, Settings};
use crate::view::html::{self, escape};

/// Where the runbooks are among the files.
const RUNBOOKS_FOLDER: &str = "alert-rules/runbooks/";
/// All groups of rules in one file, for servers that fetch one.
const RULES: &str = "rules.yml";
/// Bytes of a name in a `Host` header.
const HOST: usize = 255;

/// What the files are generated from.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// Everything that is measured.
    pub pages: Vec<&'static Page>,
    /// What a user changed.
    pub settings: Settings,
}

/// The files, and what they were generated from.
pub(super) type Rendered = Arc<tokio::sync::Mutex<Option<(Arc<Catalogue>, Arc<[File]>)>>>;

impl Site {
    /// The list of files, or one of them.
    pub(super) async fn file(&self, headers: &header::HeaderMap, path: &str) -> Reply {
        // What the list names is below it.
        if path == FILES.trim_end_matches('/') {
            return reply::back("provision/");
        }
        let Some(files) = self.files().await else {
            return reply::text(StatusCode::INTERNAL_SERVER_ERROR, "the files cannot be generated\n");
        };
        let runbook = path.strip_prefix(RUNBOOKS).map(|name| {
            let name = if name.is_empty() { "README.md" } else { name };
            format!("{RUNBOOKS_FOLDER}{name}")
        });
        let name = runbook.as_deref().or_else(|| path.strip_prefix(FILES)).unwrap_or_default();
        if name.is_empty() {
            return reply::page(list(&files));
        }
        // Who fetches a file again and again gets it when it is another one.
        let tagged =
            |kind, text: String| reply::tagged(headers, kind, &reply::tag(text.as_bytes()), text.into());
        if name == RULES {
            return tagged(kind(RULES), rules(&files));
        }
        match files.iter().find(|file| file.path == name) {
            Some(file) => tagged(kind(&file.path), file.text.clone()),
            None => reply::text(StatusCode::NOT_FOUND, "not found; /provision/ lists the files\n"),
        }
    }

    /// What the catalogue that is in force makes; nothing if that panics.
    pub(super) async fn files(&self) -> Option<Arc<[File]>> {
        // The lock goes along, so that one is made at a time, also when the client goes away meanwhile.
        let mut kept = self.rendered.clone().lock_owned().await;
        let catalogue = self.catalogue.load_full();
        if let Some((of, files)) = &*kept
            && Arc::ptr_eq(of, &catalogue)
        {
            return Some(files.clone());
        }
        let rendered = tokio::task::spawn_blocking(move || {
            let files: Arc<[File]> = render::render(&catalogue.pages, &catalogue.settings).into();
            *kept = Some((catalogue, files.clone()));
            files
        });
        rendered.await.ok()
    }
}

/// The agent as Prometheus discovers it (`http_sd_configs`): under the name by which it was asked.
pub(super) fn targets(headers: &header::HeaderMap, tls: bool) -> Reply {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let good = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if host.is_empty() || host.len() > HOST || !host.chars().all(good) {
        return reply::text(StatusCode::BAD_REQUEST, "the Host header must name the agent\n");
    }
    let labels = if tls { serde_json::json!({"__scheme__": "https"}) } else { serde_json::json!({}) };
    let list = serde_json::json!([{"targets": [host], "labels": labels}]);
    reply::file("application/json", format!("{list}\n"))
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("json") => "application/json",
        Some("yml" | "yaml") => "application/yaml; charset=utf-8",
        // Runbooks too: browsers show plain text, and would save Markdown.
        _ => "text/plain; charset=utf-8",
    }
}

/// The groups of every file of rules.
fn rules(files: &[File]) -> String {
    let mut groups = Vec::new();
    for file in files {
        let direct = file.path.strip_prefix("alert-rules/").is_some_and(|name| !name.contains('/'));
        if !direct || kind(&file.path) != kind(RULES) {
            continue;
        }
        let value: Value = serde_yaml::from_str(&file.text).unwrap_or_default();
        groups.extend(value.get("groups").and_then(Value::as_sequence).cloned().unwrap_or_default());
    }
    let mut all = serde_yaml::Mapping::new();
    all.insert("groups".into(), Value::Sequence(groups));
    serde_yaml::to_string(&all).unwrap_or_default()
}

/// The folders of the files, what is in them, and what is done with it.
const FOLDERS: &[(&str, &str, &str)] = &[
    (
        "dashboards/",
        "Dashboards",
        "In Grafana: Dashboards → New → Import, and choose the data source at the top of the dashboard.",
    ),
    (
        "alert-rules/runbooks/",
        "Runbooks",
        "What an alert means and what to do; the page of an alert shows its own.",
    ),
    (
        "alert-rules/tests/",
        "Tests of the rules",
        "For <code>promtool test rules</code> and <code>neural-exporter test-rules</code>.",
    ),
    ("alert-rules/loki/", "Rules for Loki", "Over the agent's log; for Loki's ruler."),
    (
        "alert-rules/",
        "Rules",
        "For <code>rule_files</code> of Prometheus or vmalert, one by one or all in <a href=rules.yml>rules.yml</a>.",
    ),
    (
        "provisioning/",
        "What servers read as files",
        "Grafana, Prometheus, Alertmanager, Compose and Kubernetes; the agent can also push: <code>neural-exporter provision plan</code>.",
    ),
    ("", "Others", "The rest of what <code>neural-exporter generate</code> writes."),
];

fn list(files: &[File]) -> String {
    let mut out = html::begin("Dashboards, rules and runbooks – neural-exporter", "../");
    out.push_str("<h1>Dashboards, rules and runbooks</h1><p>Made from the configuration in effect. <a href=../api/v1/sd>http_sd</a></p>");
    let place = |file: &File| FOLDERS.iter().position(|(folder, ..)| file.path.starts_with(folder));
    for (number, (_, heading, about)) in FOLDERS.iter().enumerate() {
        let mut of = files.iter().filter(|file| place(file) == Some(number)).peekable();
        if of.peek().is_none() {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = write!(out, "<h2>{heading}</h2><p>{about}</p><ul class=files>");
        for file in of {
            let name = escape(&file.path);
            let _ = write!(out, "<li><a href=\"{name}\">{name}</a></li>");
        }
        out.push_str("</ul>");
    }
    out.push_str(&html::end("../"));
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;
    use crate::analysis::{Budget, Peaks};
    use crate::hub::Hub;
    use crate::metrics::{Limits, Own, Registry};

    #[tokio::test]
    async fn files_are_made_once_for_each_configuration() {
        let registry = Registry::new(&[], Limits::default(), HashMap::new());
        let hub = Hub::new(registry, Budget::default(), Peaks::new(Duration::from_secs(1)));
        let site = Site::new(hub, Arc::new(Own::new()), tokio::sync::mpsc::channel(1).0);
        let first = site.files().await.unwrap();
        assert!(Arc::ptr_eq(&first, &site.files().await.unwrap()));
        site.catalogue
            .store(Arc::new(Catalogue { pages: crate::catalog::PAGES.to_vec(), ..Catalogue::default() }));
        let second = site.files().await.unwrap();
        assert!(second.len() > first.len());
    }

    #[tokio::test]
    async fn who_has_a_file_is_told_that_it_is_the_same() {
        let registry = Registry::new(&[], Limits::default(), HashMap::new());
        let hub = Hub::new(registry, Budget::default(), Peaks::new(Duration::from_secs(1)));
        let site = Site::new(hub, Arc::new(Own::new()), tokio::sync::mpsc::channel(1).0);
        let of =
            |pages: &[&'static Page]| Arc::new(Catalogue { pages: pages.to_vec(), ..Catalogue::default() });
        site.catalogue.store(of(crate::catalog::PAGES));
        for path in
            ["/provision/rules.yml", "/provision/dashboards/agent.json", "/runbooks/NeuralDeviceSilent.md"]
        {
            let first = site.file(&header::HeaderMap::new(), path).await;
            assert_eq!(first.status(), StatusCode::OK, "{path}");
            assert_eq!(first.headers()["x-content-type-options"], "nosniff");
            let mut known = header::HeaderMap::new();
            known.insert("if-none-match", first.headers()["etag"].clone());
            let again = site.file(&known, path).await;
            assert_eq!((again.status(), again.body().len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
        }
        // Another configuration makes other files.
        let mut known = header::HeaderMap::new();
        let first = site.file(&known, "/provision/rules.yml").await;
        known.insert("if-none-match", first.headers()["etag"].clone());
        site.catalogue.store(of(&crate::catalog::PAGES[..1]));
        assert_eq!(site.file(&known, "/provision/rules.yml").await.status(), StatusCode::OK);
    }

    #[test]
    fn all_rules_are_in_one_file() {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let files = [
            file("alert-rules/a.yml", "# a\ngroups:\n- {name: a, rules: [{alert: A, expr: x}]}\n"),
            file("alert-rules/b.yml", "groups:\n- name: b\n  rules: []\n"),
            file("alert-rules/tests/a.yml", "groups: [{name: no}]"),
            file("dashboards/<a>.json", "{}"),
        ];
        let all: Value = serde_yaml::from_str(&rules(&files)).unwrap();
        let names: Vec<_> =
            all["groups"].as_sequence().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(list(&files).contains("href=\"dashboards/&lt;a&gt;.json\""));
        crate::http::same_page("provision.html", &list(&files));
    }
}
