//! The documentation against the code: files that it names exist, and so do the pages that it links.

use super::at;

/// The pages that people read.
fn pages() -> Vec<(String, String)> {
    let mut files = vec![
        "README.md".to_owned(),
        "ARCHITECTURE.md".to_owned(),
        "CONTRIBUTING.md".to_owned(),
        "SECURITY.md".to_owned(),
        "deploy/README.md".to_owned(),
    ];
    for folder in ["docs", "docs/reference"] {
        let entries = std::fs::read_dir(at(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        let names = entries.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".md"));
        files.extend(names.map(|name| format!("{folder}/{name}")));
    }
    assert!(files.len() > 8, "{files:?}");
    files.into_iter().map(|file| (file.clone(), std::fs::read_to_string(at(&file)).unwrap())).collect()
}

/// What stands between `open` and `close`, wherever it does.
fn between<'a>(text: &'a str, open: &str, close: char) -> Vec<&'a str> {
    text.split(open).skip(1).filter_map(|rest| rest.split_once(close).map(|(inside, _)| inside)).collect()
}

#[test]
fn files_that_the_documentation_names_exist() {
    for (file, text) in pages() {
        for named in between(&text, "`src/", '`').iter().map(|rest| format!("src/{rest}")) {
            assert!(at(&named).exists(), "{file} names {named}");
        }
    }
}

/// `source/aside.rs` and `promql/`, which stand below `src`; `source/thing`, which is no file, is told apart by its word.
#[test]
fn files_that_the_map_of_the_code_names_exist() {
    let mut seen = 0;
    for (file, text) in
        pages().iter().filter(|(file, _)| ["ARCHITECTURE.md", "CONTRIBUTING.md"].contains(&file.as_str()))
    {
        for named in text.split('`').skip(1).step_by(2) {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_/.".contains(c);
            let (path, first) = (named.trim_end_matches('/'), named.split('/').next().unwrap_or_default());
            let is_path = named.contains('/') && named.chars().all(good);
            let below_src = !first.is_empty() && at(&format!("src/{first}")).exists();
            if !is_path || !below_src || named == "source/thing" {
                continue;
            }
            seen += 1;
            let there = at(&format!("src/{path}")).exists() || at(&format!("src/{path}.rs")).exists();
            assert!(there, "{file} names {named}");
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn pages_that_the_documentation_links_exist() {
    let heading = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    };
    for (file, text) in pages() {
        let folder = at(&file).parent().unwrap().to_owned();
        for link in between(&text, "](", ')').into_iter().filter(|link| !link.contains("://")) {
            let (page, part) = link.split_once('#').unwrap_or((link, ""));
            let place = if page.is_empty() { at(&file) } else { folder.join(page) };
            assert!(place.exists(), "{file} links {link}");
            if !part.is_empty() {
                let linked = std::fs::read_to_string(&place).unwrap();
                let there =
                    linked.lines().filter(|line| line.starts_with('#')).any(|line| heading(line) == part);
                assert!(there, "{file} links {link}: no such heading");
            }
        }
    }
}

/// The board of the example is compiled and tested; the page shows that file.
#[test]
fn the_board_of_the_example_is_the_one_that_is_tested() {
    let page = std::fs::read_to_string(at("docs/add-a-board.md")).unwrap();
    let file = std::fs::read_to_string(at("src/decode/board/quartet.rs")).unwrap();
    let shown = page.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(shown, file.split("\n#[cfg(test)]").next().unwrap());
}
