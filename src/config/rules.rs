//! The files of rules that a configuration names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::alert::{Definition, RuleFile};
use crate::document::{self, Document, Problem};

/// Files of rules at most: a pattern that is too wide is a mistake.
const MOST: usize = 1_000;

/// The groups of the files that match, in the order of the patterns and of the names, and what is wrong with them. `at` is where the
/// patterns stand in the document, `folder` where they start from.
pub(super) fn read(
    document: &Document,
    at: &document::Path,
    folder: &Path,
    patterns: &[String],
) -> (Vec<(String, Definition)>, Vec<Problem>) {
    let (mut groups, mut problems, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (index, pattern) in patterns.iter().enumerate() {
        let wrong = |why: String| document.problem(&at.item(index), why);
        let files = match files(folder, pattern) {
            Ok(files) => files,
            Err(why) => {
                problems.push(wrong(why));
                continue;
            }
        };
        for path in files {
            if !known.insert(path.clone()) {
                continue;
            }
            if known.len() > MOST {
                problems.push(wrong(format!("more than {MOST} files")));
                return (groups, problems);
            }
            let name = path.display().to_string();
            let read = super::text(&path, false).map_err(|problem| vec![problem]);
            match read.and_then(|text| RuleFile::read(&name, &text)) {
                Ok(file) => groups.extend(file.groups.into_iter().map(|group| (name.clone(), group))),
                Err(mut wrong) => problems.append(&mut wrong),
            }
        }
    }
    (groups, problems)
}

/// The files that match a pattern. One without a pattern's characters must be there; a pattern may match nothing, as in Prometheus.
fn files(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    if !pattern.contains(['*', '?', '[']) {
        let path = folder.join(pattern);
        return if path.exists() { Ok(vec![path]) } else { Err(format!("no such file: {}", path.display())) };
    }
    // The folder may have characters in it that a pattern gives a meaning.
    let whole = Path::new(&glob::Pattern::escape(&folder.to_string_lossy())).join(pattern);
    let found = glob::glob(&whole.to_string_lossy()).map_err(|error| format!("{pattern}: {error}"))?;
    Ok(found.filter_map(Result::ok).filter(|path| path.is_file()).collect())
}
