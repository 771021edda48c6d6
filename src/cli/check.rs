//! `check`: every mistake in what the agent would read, before it reads it.

use super::{Exit, FileArgs, complain, print, run};
use crate::agent;
use crate::catalog::{PAGES, lint};
use crate::document::Problem;

pub(super) fn check(args: &FileArgs, print_it: bool) -> Exit {
    let file = run::chosen(args);
    let config = match run::load(file.as_deref()) {
        Ok(config) => config,
        Err(problems) => {
            let text: Vec<String> = problems.iter().map(Problem::to_string).collect();
            let count = if problems.len() == 1 {
                "1 mistake".to_owned()
            } else {
                format!("{} mistakes", problems.len())
            };
            complain(&format!("{count}\n{}", text.join("\n")));
            return Exit::Usage;
        }
    };
    let (mut wrong, notes) = agent::check_files(&config);
    let pages: Vec<_> = PAGES.iter().chain(&config.pages.0).copied().collect();
    wrong.extend(lint::lint(&pages));
    if !wrong.is_empty() {
        complain(&wrong.join("\n"));
        return Exit::Usage;
    }
    for note in notes {
        complain(&format!("note: {note}"));
    }
    if print_it {
        return print(config.print().as_bytes());
    }
    let name = file.map_or_else(|| "the defaults".to_owned(), |f| f.display().to_string());
    let packs = config.pages.0.len();
    print(format!("{name}: fine ({} sources, {packs} packs)\n", config.sources.len()).as_bytes())
}
