//! The generated files, as this configuration has them.

use crate::catalog::{OWN, PAGES};
use crate::config::Config;
use crate::http::Catalogue;
use crate::render::{self, File};

/// What the files are generated from, secrets that stand in the configuration included.
fn catalogue(config: &Config) -> Catalogue {
    let pages = PAGES.iter().copied().chain(OWN.iter().copied()).chain(config.pages.0.iter().copied());
    Catalogue { pages: pages.collect(), settings: config.settings() }
}

/// What the files that are served are generated from: every client that reaches the port may read them.
pub(super) fn served(config: &Config) -> Catalogue {
    let mut all = catalogue(config);
    all.settings = all.settings.redacted();
    all
}

/// Every file that is generated.
#[must_use]
pub fn files(config: &Config) -> Vec<File> {
    let Catalogue { pages, settings } = catalogue(config);
    render::render(&pages, &settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grafana_reads_itself_lies_in_the_folder_of_a_push() {
        let files = files(&Config::default());
        let provider =
            files.iter().find(|file| file.path == "provisioning/grafana/dashboards/neural-exporter.yml");
        let provider: serde_yaml::Value = serde_yaml::from_str(&provider.unwrap().text).unwrap();
        let pushed: crate::provision::Grafana = serde_yaml::from_str("url: http://grafana").unwrap();
        let folder = &provider["providers"][0];
        assert_eq!(
            (&folder["folderUid"], &folder["folder"]),
            (&pushed.folder_uid.into(), &pushed.folder.into())
        );
    }
}
