//! Boards and pages become dashboards of pictures: whole queries, numbers for limits, and a panel for each
//! metric that no view shows.
//!
//! It knows nothing of JSON.

use std::collections::{BTreeMap, BTreeSet};

use super::board::{BOARDS, EVALUATED};
use super::mark::MARKS;
use super::nothing::whole;
use super::query::{Names, Selected, select, select_over};
use super::spec::{BAD, Dashboard, GOOD, Heading, Marked, PanelSpec, Steps, Target, beside, colours, named};
use super::view::{Board, Query, Row, View, Zero};
use super::{default, variable};
use crate::catalog::draw::{Panel, Rating, State};
use crate::catalog::limit::{Limit, Limits};
use crate::catalog::{Metric, OWN, PAGES, Page};
use crate::render::Settings;

/// The alert that always fires.
const WATCHDOG: &str = "NeuralWatchdog";

/// Every dashboard of these pages.
#[must_use]
pub fn dashboards(pages: &[&Page], settings: &Settings) -> Vec<Dashboard> {
    let names = Names::of(pages);
    let has = |id: &&str| pages.iter().any(|page| page.id == *id);
    let mut all = Vec::new();
    for board in BOARDS.iter().filter(|board| board.pages.is_empty() || board.pages.iter().any(has)) {
        let of: Vec<&Page> = pages.iter().copied().filter(|page| board.pages.contains(&page.id)).collect();
        all.push(Assembly { names: &names, settings, board, used: BTreeSet::new() }.assemble(&of));
    }
    let placed: BTreeSet<&str> = BOARDS.iter().flat_map(|board| board.pages).copied().collect();
    for page in pages.iter().filter(|page| !placed.contains(page.id)) {
        all.push(alone(page, &names, settings));
    }
    all
}

/// Views of dashboards whose pages are here, which name metrics that are not, and so are not drawn.
#[must_use]
pub fn lost(pages: &[&Page]) -> Vec<String> {
    let names = Names::of(pages);
    let mut lost = Vec::new();
    let drawn = |board: &Board| board.pages.iter().all(|id| pages.iter().any(|page| page.id == *id));
    for board in BOARDS.iter().filter(|board| drawn(board)) {
        for view in board.rows.iter().flat_map(|row| row.views) {
            let missing = view.queries.iter().filter_map(|query| select(query.expr, &names, &[]).err());
            lost.extend(missing.map(|name| format!("{}: {}: {name}", board.key, view.title)));
        }
    }
    lost
}

/// The key of the dashboard that a page is drawn on.
#[must_use]
pub fn key(page: &Page) -> String {
    let board = BOARDS.iter().find(|board| board.pages.contains(&page.id));
    let built_in = PAGES.iter().chain(OWN).any(|known| known.id == page.id);
    match board {
        Some(board) => board.key.to_owned(),
        None if built_in => page.id.replace('_', "-"),
        None => format!("pack-{}", page.id.replace('_', "-")),
    }
}

/// The labels that can be chosen from on the dashboard that a page is drawn on, besides job and instance.
#[must_use]
pub fn labels(page: &Page) -> Vec<&'static str> {
    if let Some(board) = BOARDS.iter().find(|board| board.pages.contains(&page.id)) {
        return board.variables.iter().map(|(label, _)| *label).collect();
    }
    let mut labels: Vec<&'static str> = Vec::new();
    for label in page.metrics.iter().flat_map(|metric| metric.labels).copied() {
        if labels.len() < 4 && !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

/// The dashboard of a page that no board names, as those of users are.
fn alone(page: &Page, names: &Names<'_>, settings: &Settings) -> Dashboard {
    let labels = labels(page);
    let variables: Vec<(&'static str, &'static str)> = labels.iter().map(|label| (*label, "")).collect();
    let board = Board {
        key: "",
        title: page.title,
        about: page.about,
        pages: &[],
        by_machine: false,
        variables: &[],
        range: "now-1h",
        refresh: "30s",
        rows: &[],
    };
    let mut assembly = Assembly { names, settings, board: &board, used: BTreeSet::new() };
    let mut rows = Vec::new();
    assembly.defaults(&[page], &BTreeSet::new(), &labels, &mut rows);
    for row in &mut rows {
        row.open = true;
    }
    let job = &settings.alerts.job;
    let variables = variable::variables(&variables, &assembly.used, &[page], names.components(), job);
    Dashboard {
        key: key(page),
        title: page.title.to_owned(),
        about: page.about.to_owned(),
        range: board.range,
        refresh: board.refresh,
        runbooks: settings.alerts.runbooks(),
        variables,
        components: page.id.to_owned(),
        marks: Vec::new(),
        rows,
    }
}

struct Assembly<'a> {
    names: &'a Names<'a>,
    settings: &'a Settings,
    board: &'a Board,
    /// The variables that some query uses.
    used: BTreeSet<String>,
}

impl Assembly<'_> {
    fn assemble(mut self, pages: &[&Page]) -> Dashboard {
        let board = self.board;
        let labels: Vec<&str> = board.variables.iter().map(|(label, _)| *label).collect();
        let mut shown = BTreeSet::new();
        let mut rows = Vec::new();
        for Row { title, open, each, views } in board.rows {
            let panels: Vec<PanelSpec> =
                views.iter().filter_map(|view| self.spec(view, &labels, &mut shown)).collect();
            if !panels.is_empty() {
                rows.push(Heading { title: (*title).to_owned(), open: *open, each, panels });
            }
        }
        self.defaults(pages, &shown, &labels, &mut rows);
        // With nothing of its own above them, what is drawn by default is what one comes for.
        if board.rows.is_empty() {
            rows.iter_mut().for_each(|row| row.open = true);
        }
        let all: Vec<&Page> = if pages.is_empty() { PAGES.to_vec() } else { pages.to_vec() };
        let components = self.names.components();
        // Where one chooses among components, all of them are what it is about.
        let chosen = labels.contains(&"component");
        let about = if pages.is_empty() || chosen {
            components.to_owned()
        } else {
            pages.iter().map(|page| page.id).collect::<Vec<_>>().join("|")
        };
        let marks = self.marks(&labels);
        let job = &self.settings.alerts.job;
        Dashboard {
            key: board.key.to_owned(),
            title: board.title.to_owned(),
            about: board.about.to_owned(),
            range: board.range,
            refresh: board.refresh,
            runbooks: self.settings.alerts.runbooks(),
            variables: variable::variables(board.variables, &self.used, &all, components, job),
            components: about,
            marks,
            rows,
        }
    }

    /// The marks of a dashboard, with their selectors.
    fn marks(&mut self, labels: &[&str]) -> Vec<Marked> {
        let board = self.board.key;
        let of = MARKS.iter().filter(|mark| mark.boards.contains(&board));
        of.filter_map(|mark| {
            let Selected { expr, variables, .. } = select(mark.expr, self.names, labels).ok()?;
            self.used.extend(variables.into_iter().map(str::to_owned));
            Some(Marked { mark, expr })
        })
        .collect()
    }

    /// A view, unless it names a metric that these pages have not.
    fn spec(&mut self, view: &View, labels: &[&str], shown: &mut BTreeSet<String>) -> Option<PanelSpec> {
        let targets: Vec<Target> = view
            .queries
            .iter()
            .map(|query| self.target(query, view, labels, shown))
            .collect::<Option<_>>()?;
        let judged = view.judged.filter(|(by, _)| self.watched() || !by.contains(WATCHDOG));
        let judged = match judged {
            Some((by, _)) => Some(select(by, self.names, labels).ok()?),
            None => None,
        };
        self.used.extend(judged.iter().flat_map(|of| &of.variables).map(|of| (*of).to_owned()));
        let targets = whole(view.panel, targets, judged.as_ref().map(|of| &*of.expr));
        let limits = &self.settings.limits;
        let mut steps = steps(view.zero, view.limits, limits);
        if view.unit == "ppm" {
            // Limits are ratios, as the metrics are.
            steps.from.iter_mut().for_each(|(number, _)| *number *= 1e6);
        }
        let about = match view.panel {
            // What a table says where it is empty is the text of each empty cell too, so it is said here.
            Panel::Table => format!("{} Empty: {}.", view.about, view.empty),
            _ => view.about.to_owned(),
        };
        Some(PanelSpec {
            title: view.title.to_owned(),
            about,
            panel: view.panel,
            unit: view.unit.to_owned(),
            targets,
            steps,
            states: view.states,
            beside: beside(view.beside, view.panel),
            floor: view.floor,
            ceiling: view.ceiling,
            empty: view.empty.to_owned(),
            unknown: view.judged.filter(|_| judged.is_some()).map(|(_, words)| words),
            to: view.to,
            first: view.first,
            sorted: view.sorted,
            seen: view.seen,
            words: view.words,
            buckets: self.buckets(view.panel, view.queries),
        })
    }

    /// Whether the watchdog tells where rules are evaluated.
    fn watched(&self) -> bool {
        !self.settings.alerts.off.iter().any(|name| name == WATCHDOG)
    }

    /// How many buckets a histogram has of which the spread is shown.
    fn buckets(&self, panel: Panel, queries: &[Query]) -> usize {
        let heat = queries.iter().filter(|_| panel == Panel::Heat);
        let metrics = heat.filter_map(|query| select(query.expr, self.names, &[]).ok());
        let of = |metric: &Metric| metric.ladder(None, &self.settings.limits).len();
        metrics.flat_map(|selected| selected.metrics).map(of).max().unwrap_or_default()
    }

    fn target(
        &mut self,
        query: &Query,
        view: &View,
        labels: &[&str],
        shown: &mut BTreeSet<String>,
    ) -> Option<Target> {
        // A test fills every query: what is no limit is no query.
        let text = if self.watched() { query.expr.to_owned() } else { query.expr.replace(EVALUATED, "") };
        let filled = self.settings.limits.fill(&text, |_, number, _| number.to_string()).ok()?;
        let panel = view.panel;
        let worst = worst(panel, query.expr, view.states);
        let Selected { expr, metrics, variables } = select_over(&filled, self.names, labels, worst).ok()?;
        self.used.extend(variables.into_iter().map(str::to_owned));
        shown.extend(metrics.into_iter().map(Metric::family));
        Some(Target {
            // A table has a column for the machine.
            legend: if panel == Panel::Table {
                query.legend.to_owned()
            } else {
                self.legend(panel, query.legend, &expr)
            },
            expr: lasting(panel, query.legend, expr),
            unit: query.unit.to_owned(),
            steps: steps(query.zero, query.limits, &self.settings.limits),
            states: query.states,
            dashed: query.dashed,
        })
    }

    /// The legend, with the machine if series of several machines are shown.
    fn legend(&mut self, panel: Panel, text: &str, expr: &str) -> String {
        if text.is_empty() || text.contains("{{instance}}") || !expr.contains("(instance") {
            return text.to_owned();
        }
        let rows = matches!(panel, Panel::States | Panel::Cells);
        let name = if rows { variable::MACHINE_FIRST } else { variable::MACHINE };
        self.used.insert(name.to_owned());
        if rows { format!("${{{name}}} {text}") } else { format!("{text} ${{{name}}}") }
    }

    /// Puts a picture for each metric that is not shown into its row.
    fn defaults(
        &mut self,
        pages: &[&Page],
        shown: &BTreeSet<String>,
        labels: &[&str],
        rows: &mut Vec<Heading>,
    ) {
        let mut added: BTreeMap<&str, usize> = BTreeMap::new();
        let metrics = pages.iter().flat_map(|page| page.metrics);
        for metric in metrics.filter(|metric| !shown.contains(&metric.family())) {
            let Some(mut spec) = default::spec(metric, self.board.by_machine, &self.settings.limits) else {
                continue;
            };
            for target in &mut spec.targets {
                let worst = worst(spec.panel, &target.expr, spec.states);
                let Ok(selected) = select_over(&target.expr, self.names, labels, worst) else { continue };
                self.used.extend(selected.variables.iter().map(|of| (*of).to_owned()));
                let legend = self.legend(spec.panel, &target.legend, &selected.expr);
                target.expr = lasting(spec.panel, &target.legend, selected.expr);
                target.legend = legend;
            }
            spec.targets = whole(spec.panel, spec.targets, None);
            let at = *added.entry(metric.draw.row).or_insert_with(|| {
                rows.iter().position(|row| row.title == metric.draw.row).unwrap_or_else(|| {
                    rows.push(Heading {
                        title: metric.draw.row.to_owned(),
                        open: false,
                        each: "",
                        panels: Vec::new(),
                    });
                    rows.len() - 1
                })
            });
            if let Some(row) = rows.get_mut(at) {
                row.panels.push(spec);
            }
        }
    }
}

/// The colours of numbers: by limits, or by what zero means.
fn steps(zero: Zero, of: &[&Limit], limits: &Limits) -> Steps {
    match zero {
        Zero::Plain => colours(of, limits),
        Zero::Wanted => Steps { base: Some(GOOD), from: vec![(1e-9, BAD)], limits: false },
        Zero::Missing => Steps { base: Some(BAD), from: vec![(1e-9, GOOD)], limits: false },
    }
}

/// A number alone is drawn with how it came to be, so it is asked for over time; and what is no longer there must not
/// stand there with its last value, so that nothing is a value too.
fn lasting(panel: Panel, legend: &str, expr: String) -> String {
    let ends = expr.contains("or vector(") && !expr.contains(EVALUATED);
    if panel == Panel::Stat && !named(legend) && !ends {
        return format!("{expr} or vector(NaN)");
    }
    expr
}

/// What stands for a cell of a status history that lasts longer than a scrape: what the query itself looks for. Of states it is the
/// worst of the time between two points, which over a day are minutes apart; where numbers do not rank states, the last one stands.
fn worst(panel: Panel, expr: &str, states: &[State]) -> Option<&'static str> {
    let inner = expr.trim_start().trim_start_matches("label_replace(");
    let of = |word: &&str| inner.starts_with(*word);
    let own = ["min", "max"].into_iter().find(of)?;
    match panel {
        Panel::Cells => Some(own),
        Panel::States => ranked(states),
        _ => None,
    }
}

/// Whether the highest number or the lowest is the worst; nothing if what is good is between what is not. What is neither may be
/// anywhere.
fn ranked(states: &[State]) -> Option<&'static str> {
    let of = |good: bool| {
        let rated = move |state: &&State| (state.rating == Rating::Good) == good;
        states.iter().filter(|state| state.rating != Rating::Plain).filter(rated).collect::<Vec<_>>()
    };
    let (good, bad) = (of(true), of(false));
    let all = |worse: fn(f64, f64) -> bool| {
        !bad.is_empty() && bad.iter().all(|bad| good.iter().all(|good| worse(bad.value, good.value)))
    };
    if all(|bad, good| bad > good) { Some("max") } else { all(|bad, good| bad < good).then_some("min") }
}
