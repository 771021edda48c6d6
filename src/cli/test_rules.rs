//! `test-rules`: runs the unit tests of rules that promtool runs, with the agent's own engine.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Exit, Form, complain, json, print};
use crate::alert::{Definition, Mistake, RuleFile, Suite};
use crate::document::Problem;
use crate::sys::file;

/// Bytes of a file that is read.
const LONGEST: u64 = 1 << 24;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files of unit tests, as promtool takes them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Run only tests whose name matches, anywhere in it.
    #[arg(long, value_name = "REGEX")]
    run: Option<String>,
    /// The form of the answer.
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,
}

/// What became of a file.
#[derive(Serialize)]
struct Report {
    file: String,
    passed: usize,
    failed: Vec<Failed>,
    /// What is wrong with the file or with the rules that it names.
    problems: Vec<Problem>,
}

#[derive(Serialize)]
struct Failed {
    test: String,
    mistakes: Vec<Mistake>,
}

pub(super) fn test_rules(args: &Args) -> Exit {
    let wanted = match args.run.as_deref().map(crate::re2::compile).transpose() {
        Ok(wanted) => wanted,
        Err(why) => {
            complain(&format!("--run: {why}"));
            return Exit::Usage;
        }
    };
    let wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted.is_match(name));
    let reports: Vec<Report> = args.files.iter().map(|path| run(path, &wanted)).collect();
    let exit = if reports.iter().any(|report| !report.problems.is_empty()) {
        Exit::Usage
    } else if reports.iter().any(|report| !report.failed.is_empty()) {
        Exit::Failed
    } else if reports.iter().all(|report| report.passed == 0) {
        complain(&"no test was run\n  hint: is the name after --run right?");
        Exit::Usage
    } else {
        Exit::Fine
    };
    let text = match args.output {
        Form::Json => json(&reports),
        Form::Text => reports.iter().map(spell).collect::<String>().into_bytes(),
    };
    match print(&text) {
        Exit::Fine => exit,
        other => other,
    }
}

/// Runs the tests of a file.
fn run(path: &Path, wanted: &dyn Fn(&str) -> bool) -> Report {
    let name = path.display().to_string();
    let mut report = Report { file: name.clone(), passed: 0, failed: Vec::new(), problems: Vec::new() };
    let read = text(path).and_then(|text| Suite::read(&name, &text)).and_then(|suite| {
        let groups = groups(path, &suite.rule_files)?;
        Ok((suite, groups))
    });
    match read {
        Ok((suite, groups)) => {
            for (at, test) in suite.tests.iter().enumerate().filter(|(_, test)| wanted(&test.name)) {
                let mistakes = suite.run(test, &groups);
                if mistakes.is_empty() {
                    report.passed += 1;
                } else {
                    let number = || format!("test {}", at + 1);
                    let test = if test.name.is_empty() { number() } else { test.name.clone() };
                    report.failed.push(Failed { test, mistakes });
                }
            }
        }
        Err(problems) => report.problems = problems,
    }
    report
}

fn text(path: &Path) -> Result<String, Vec<Problem>> {
    let text = file::text(path, LONGEST);
    text.map_err(|error| vec![Problem::of_file(&path.display().to_string(), error.to_string())])
}

/// The groups of the files that a test names, in their order.
fn groups(test: &Path, patterns: &[String]) -> Result<Vec<(String, Definition)>, Vec<Problem>> {
    let own = test.display().to_string();
    let wrong =
        |message: String| vec![Problem { path: "rule_files".into(), ..Problem::of_file(&own, message) }];
    let folder = test.parent().unwrap_or_else(|| Path::new(""));
    let mut groups = Vec::new();
    for pattern in patterns {
        // The folder may have characters in it that a pattern gives a meaning.
        let folder = glob::Pattern::escape(&folder.to_string_lossy());
        let whole = Path::new(&folder).join(pattern);
        let found =
            glob::glob(&whole.to_string_lossy()).map_err(|error| wrong(format!("{pattern}: {error}")))?;
        let mut files: Vec<PathBuf> = found.filter_map(Result::ok).collect();
        files.sort();
        if files.is_empty() {
            return Err(wrong(format!("{pattern}: there is no such file")));
        }
        for path in files {
            let name = path.display().to_string();
            let read = RuleFile::read(&name, &text(&path)?)?;
            groups.extend(read.groups.into_iter().map(|group| (name.clone(), group)));
        }
    }
    Ok(groups)
}

/// A report for people.
fn spell(report: &Report) -> String {
    let mut out = String::new();
    for problem in &report.problems {
        let _ = writeln!(out, "{problem}");
    }
    if !report.problems.is_empty() {
        return out;
    }
    let (file, failed, all) = (&report.file, report.failed.len(), report.passed + report.failed.len());
    let tests = if all == 1 { "test" } else { "tests" };
    let _ = match failed {
        0 => writeln!(out, "{file}: {all} {tests} passed"),
        _ => writeln!(out, "{file}: {failed} of {all} {tests} failed"),
    };
    for Failed { test, mistakes } in &report.failed {
        let _ = writeln!(out, "  {test}");
        for mistake in mistakes {
            let _ = writeln!(out, "    {}", mistake.of);
            for (what, lines) in [("expected", &mistake.expected), ("found", &mistake.found)] {
                let none = ["nothing".to_owned()];
                for line in if lines.is_empty() { &none[..] } else { lines } {
                    let _ = writeln!(out, "      {what:<8}  {line}");
                }
            }
        }
    }
    out
}
