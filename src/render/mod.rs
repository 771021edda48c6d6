//! The catalogue as files for other programs: dashboards, rules, their tests, runbooks, routes. Pure: what is
//! written where is for the caller.

pub mod dashboard;

use crate::catalog::Page;
use crate::catalog::limit::Limits;

/// A file, before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// From the folder that is generated into, with `/`: `alert-rules/device.yml`.
    pub path: String,
    /// Its whole text.
    pub text: String,
}

/// What a user may change about the files.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The numbers beyond which something is wrong.
    pub limits: Limits,
}

/// Every file, in the order of their paths. The same input gives the same bytes.
#[must_use]
pub fn render(pages: &[&Page], settings: &Settings) -> Vec<File> {
    let mut files = dashboard::files(pages, settings);
    files.sort_by(|a: &File, b: &File| a.path.cmp(&b.path));
    files
}
