//! The parts of a report's page that show when something was: the course of each channel, heads, gaps, markers, alerts and incidents.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Cell, GapKind, Report, Strip};
use crate::promql::{moment, moment_ms};
use crate::view::html::{class_of, escape, head};
use crate::view::screen::clean;
use crate::view::words::{count, digits, list, span};
use crate::view::{Part, Status};

/// Strips that are drawn; of more, those that were bad go first.
const DRAWN: usize = 256;
/// Rows of a list on a page.
const ROWS: usize = 100;
/// The same in a terminal.
const LINES: usize = 20;
/// Width and height of a strip, in its own units.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 10.0;
/// A part is bad from this share on, and partly bad below.
const BAD: f64 = 0.5;

/// The time of day, UTC.
fn clock(ms: i64) -> String {
    let text = moment(ms);
    text.get(11..19).unwrap_or(&text).to_owned()
}

/// Labels in a few words: `C3 of cyton`.
fn who(labels: &BTreeMap<String, String>) -> String {
    let texts: Vec<&str> = labels.values().map(|value| &**value).filter(|value| !value.is_empty()).collect();
    clean(&texts.join(" "))
}

/// Writes the heads and the courses of the channels of each device.
pub(super) fn channels(out: &mut String, report: &Report) {
    let (parts, devices) = judged(report);
    if report.strips.is_empty() {
        return;
    }
    out.push_str("<h2>Channels over time</h2><div class=heads>");
    for (device, all) in &devices {
        let mut drawn = String::new();
        // Here the colour says for how long it was bad.
        head::write(&mut drawn, all, |part| {
            (class_of(part.status), (part.status != Status::Healthy).then_some('✖'))
        });
        if !drawn.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(out, "<figure><figcaption>{}</figcaption>{drawn}</figure>", escape(device));
        }
    }
    out.push_str("</div>");
    let mut strips: Vec<&Strip> = report.strips.iter().collect();
    if strips.len() > DRAWN {
        strips.sort_by_key(|strip| strip.parts.iter().all(|part| part.bad == 0.0));
        let _ = write!(out, "<p>{DRAWN} of {} channels, those first that were bad.</p>", strips.len());
    }
    out.push_str(
        "<p class=key>A low line: good. Half as high: bad for a part of the time. As high as the row: bad for most of it. Nothing: not known.</p>\
         <div class=wide tabindex=0 role=region aria-label=\"Channels over time\"><table class=strips><tbody>",
    );
    for strip in strips.into_iter().take(DRAWN) {
        let name = parts.get(&strip.labels).map_or_else(|| who(&strip.labels), |part| part.name.clone());
        let words = course(strip);
        let _ = write!(
            out,
            "<tr><th scope=row>{} {}</th><td><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=none role=img aria-label=\"{}\">",
            escape(strip.labels.get("device").map_or("", |device| device)),
            escape(&name),
            escape(&words)
        );
        draw(out, strip, report);
        out.push_str("</svg></td></tr>");
    }
    let _ = write!(
        out,
        "</tbody></table></div><div class=times><span>{}</span><span>{}</span></div>",
        moment(report.start),
        moment(report.end)
    );
}

/// The channels of a table by their labels.
type ByLabels = BTreeMap<BTreeMap<String, String>, Part>;

/// Each channel of the table as the head shows it, by labels and by device.
fn judged(report: &Report) -> (ByLabels, BTreeMap<String, Vec<Part>>) {
    let (mut parts, mut devices) = (BTreeMap::new(), BTreeMap::<String, Vec<Part>>::new());
    let rows =
        report.sections.iter().filter(|section| section.name == "channels").flat_map(|section| &section.rows);
    for row in rows {
        let word = |key: &str| match row.values.get(key) {
            Some(Cell::Word(word)) if !word.is_empty() => Some(word.clone()),
            _ => None,
        };
        let id = row.labels.get("channel").cloned().unwrap_or_default();
        let good = match row.values.get("good") {
            Some(Cell::Number(good)) => {
                format!("good for {}", super::amount(*good, crate::catalog::Unit::Ratio))
            }
            _ => "not assessed".to_owned(),
        };
        let wrong = row.status != Status::Healthy;
        let reasons = word("reason").filter(|_| wrong).into_iter().chain(wrong.then_some(good)).collect();
        // Boards number their channels themselves: `3 C3`.
        let numbered = |name: String| if name.starts_with(&id) { name } else { format!("{id} {name}") };
        let name = clean(&word("name").map_or_else(|| id.clone(), numbered));
        let part = Part { id, name, status: row.status, reasons, ..Part::default() };
        let device = row.labels.get("instance").into_iter().chain(row.labels.get("device"));
        let device = device.map(|text| clean(text)).collect::<Vec<_>>().join(" ");
        devices.entry(device).or_default().push(part.clone());
        parts.insert(row.labels.clone(), part);
    }
    (parts, devices)
}

/// The course of a channel in words.
fn course(strip: &Strip) -> String {
    let bad: Vec<String> = strip
        .parts
        .iter()
        .filter(|part| part.bad > 0.0)
        .map(|part| {
            let percent = digits(part.bad * 100.0);
            format!("{} to {} {} {percent} %", clock(part.start), clock(part.end), clean(&part.reason))
        })
        .collect();
    if strip.parts.is_empty() {
        return "not assessed".to_owned();
    }
    let texts: Vec<&str> = bad.iter().map(|text| &**text).collect();
    if texts.is_empty() {
        "good wherever it was assessed".to_owned()
    } else {
        format!("bad: {}", list(&texts, 4))
    }
}

/// Good, partly bad and bad parts have different heights, so that paper without colours shows them.
fn draw(out: &mut String, strip: &Strip, report: &Report) {
    let window = (report.end.saturating_sub(report.start)).max(1) as f64;
    let x = |at: i64| ((at.saturating_sub(report.start)) as f64 / window * WIDTH).clamp(0.0, WIDTH);
    for (class, height, of) in [
        ("g", 2.0, (0.0, f64::MIN_POSITIVE)),
        ("p", 6.0, (f64::MIN_POSITIVE, BAD)),
        ("b", HEIGHT, (BAD, f64::INFINITY)),
    ] {
        let mut path = String::new();
        for part in strip.parts.iter().filter(|part| (of.0..of.1).contains(&part.bad)) {
            let (from, to) = (x(part.start), x(part.end));
            let _ = write!(path, "M{from:.0} {HEIGHT}V{:.0}H{to:.0}V{HEIGHT}z", HEIGHT - height);
        }
        if !path.is_empty() {
            let _ = write!(out, "<path class={class} d=\"{path}\"/>");
        }
    }
}

/// A list with its heading, of which a page shows the first.
fn rows(out: &mut String, heading: &str, columns: &[&str], all: &[Vec<String>]) {
    let _ = write!(
        out,
        "<h2>{heading}</h2><div class=wide tabindex=0 role=region aria-label=\"{heading}\"><table class=list><thead><tr>"
    );
    for column in columns {
        let _ = write!(out, "<th scope=col>{column}</th>");
    }
    out.push_str("</tr></thead><tbody>");
    for row in all.iter().take(ROWS) {
        out.push_str("<tr>");
        for cell in row {
            let _ = write!(out, "<td>{}</td>", escape(&clean(cell)));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    if all.len() > ROWS {
        let _ = write!(out, "<p>and {} more, which are in the JSON.</p>", all.len() - ROWS);
    }
}

/// A list of what happened when: its heading, its columns, its rows.
type List = (&'static str, &'static [&'static str], Vec<Vec<String>>);

/// What happened when, as lists; those without a row are omitted.
fn all(report: &Report) -> Vec<List> {
    let episode = |one: &super::Episode| {
        let until = one.resolved.map_or_else(|| "not over".to_owned(), moment);
        vec![moment(one.started), until, one.priority.clone(), one.summary.clone(), one.state.clone()]
    };
    let fired = |one: &super::Fired| {
        let until = if one.on { "fires on".to_owned() } else { moment(one.to) };
        vec![moment(one.from), until, one.alert.clone(), who(&one.labels)]
    };
    let mark = |one: &super::Mark| vec![exact(one.at), who(&one.labels), digits(one.count)];
    let lists: [List; 4] = [
        ("Gaps", &["Between", "and (UTC)", "Of", "What", "How long"], report.gaps.iter().map(gap).collect()),
        (
            "Incidents",
            &["Since", "Until (UTC)", "Priority", "What", "State"],
            report.incidents.iter().flatten().map(episode).collect(),
        ),
        (
            "When alerts fired",
            &["Since", "Until (UTC)", "Alert", "Of"],
            report.fired.iter().map(fired).collect(),
        ),
        ("Markers", &["Seen at (UTC)", "Stream", "How many"], report.marks.iter().map(mark).collect()),
    ];
    lists.into_iter().filter(|(.., rows)| !rows.is_empty()).collect()
}

/// Writes what happened when.
pub(super) fn times(out: &mut String, report: &Report) {
    for (heading, columns, all) in all(report) {
        rows(out, heading, columns, &all);
    }
}

/// The same as lines of text, by heading.
pub(super) fn lists(report: &Report) -> Vec<(&'static str, Vec<String>)> {
    let lines = |rows: Vec<Vec<String>>| {
        let more = rows.len().saturating_sub(LINES);
        let line = |row: &Vec<String>| clean(&row.join("  "));
        let mut lines: Vec<String> = rows.iter().take(LINES).map(line).collect();
        lines.extend((more > 0).then(|| format!("and {more} more, which are in the JSON")));
        lines
    };
    all(report).into_iter().map(|(heading, _, rows)| (heading, lines(rows))).collect()
}

/// A time of a scrape: to the millisecond, if it is not a whole second.
fn exact(ms: i64) -> String {
    if ms.rem_euclid(1000) == 0 { moment(ms) } else { moment_ms(ms) }
}

fn gap(gap: &super::Gap) -> Vec<String> {
    let what = match (gap.kind, gap.lost) {
        (GapKind::Silent, _) => "it did not stream".to_owned(),
        (GapKind::Lost, lost) => {
            let lost = lost.unwrap_or_default();
            let one = if gap.labels.contains_key("stream") { "sample" } else { "packet" };
            count(lost as usize, one) + " lost"
        }
    };
    let length = gap
        .seconds
        .map_or_else(|| "–".to_owned(), |seconds| super::amount(seconds, crate::catalog::Unit::Seconds));
    vec![exact(gap.from), exact(gap.to), who(&gap.labels), what, length]
}

/// What stands at the top of the report of a session.
pub(super) fn session(report: &Report) -> Option<String> {
    let session = report.session.as_ref()?;
    let lasted =
        session.seconds.map_or_else(|| "is open".to_owned(), |seconds| format!("lasted {}", span(seconds)));
    let end = session.end.map_or_else(String::new, |end| format!(" to {}", moment(end)));
    let ended = match session.state {
        crate::session::State::Failed => "; it broke off",
        crate::session::State::Lost => "; its end was not seen",
        _ => "",
    };
    Some(format!("Session {}: {}{end}, {lasted}{ended}", clean(&session.name), moment(session.start)))
}
