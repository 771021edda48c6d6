//! What is wrong in a document beyond its schema, as those who know its parts find it.

use super::{Document, Path, Problem};

/// A document that is being checked, and what was found so far.
///
/// Only parts that are right by themselves are read, so that one mistake does not hide another.
#[derive(Debug)]
pub struct Check<'a> {
    /// What is checked.
    pub document: &'a Document,
    /// The folder that relative paths start from, if the files that the document names are checked as well.
    pub folder: Option<&'a std::path::Path>,
    /// What was found.
    pub problems: Vec<Problem>,
    /// The hint of a problem that is not reported.
    unsaid: Option<String>,
}

impl<'a> Check<'a> {
    /// Begins to check `document`.
    #[must_use]
    pub fn new(document: &'a Document, folder: Option<&'a std::path::Path>) -> Self {
        Self { document, folder, problems: Vec::new(), unsaid: None }
    }

    /// Reports a problem, unless the schema has reported one there already: what is read instead is a default.
    /// What is returned takes the hint.
    pub fn wrong(&mut self, path: &Path, message: impl Into<String>) -> &mut Option<String> {
        if self.document.omits(path) {
            return &mut self.unsaid;
        }
        let problem = self.document.problem(path, message);
        self.problems.push(problem);
        let last = self.problems.len() - 1;
        &mut self.problems[last].hint
    }

    /// Checks a name that becomes the value of a label.
    pub fn label(&mut self, path: &Path, name: &str) {
        if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
            self.wrong(path, "a name is 1 to 256 bytes of text");
        }
    }

    /// Whether a problem of `path`, or of something in it, was reported.
    #[must_use]
    pub fn reported(&self, path: &Path) -> bool {
        let path = path.to_string();
        self.problems.iter().any(|problem| problem.path.starts_with(&path))
    }
}
