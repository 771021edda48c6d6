//! The floors: imports go down, never up or sideways, and below floor 3 nothing touches the world.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::at;

/// Every module, the floor it stands on, and those of its own floor that it may know.
const FLOORS: &[(&str, u32, &[&str])] = &[
    ("event", 0, &[]),
    ("setting", 0, &[]),
    ("listen", 0, &["setting"]),
    ("origin", 0, &[]),
    ("secret", 0, &[]),
    ("document", 0, &["secret", "setting"]),
    ("file", 0, &[]),
    ("quote", 0, &[]),
    ("protobuf", 0, &[]),
    ("re2", 0, &[]),
    ("routing", 0, &[]),
    ("sys", 0, &[]),
    ("decode", 1, &[]),
    ("catalog", 1, &[]),
    ("promql", 1, &[]),
    ("metrics", 2, &[]),
    ("analysis", 2, &[]),
    ("render", 2, &[]),
    ("history", 2, &[]),
    ("alert", 2, &[]),
    ("session", 2, &[]),
    ("trace", 2, &[]),
    ("write_request", 2, &[]),
    ("hub", 3, &[]),
    ("clock", 3, &[]),
    ("client", 3, &[]),
    ("backoff", 3, &[]),
    ("watched", 3, &[]),
    ("view", 3, &[]),
    ("source", 4, &[]),
    ("http", 4, &[]),
    ("provision", 4, &[]),
    ("store", 4, &[]),
    ("respond", 4, &["provision", "source", "store"]),
    ("ask", 4, &["provision", "store"]),
    ("remote_write", 4, &["provision", "source", "store"]),
    ("pushgateway", 4, &["provision", "source"]),
    ("simulate", 4, &[]),
    ("config", 5, &[]),
    ("agent", 6, &[]),
    ("cli", 7, &[]),
    ("main", 7, &["cli"]),
];

/// What touches the world, and is not named below floor 3.
const WORLD: &[&str] = &[
    "tokio",
    "std::fs",
    "std::thread",
    "std::process",
    "os::unix::net",
    "SystemTime",
    "Instant",
    "tracing::",
];

/// What is shared behind the back of a caller, or is never given back.
const HIDDEN: &[&str] =
    &["static mut", "LazyLock", "OnceLock", "Mutex", "RwLock", "ArcSwap", "thread_local", "Atomic", "leak("];
/// The agent's own metrics are of prometheus-client's types, which are shared, and its collector takes a lock. Two tables of
/// JSON are made once.
const SHARED: &[&str] =
    &["metrics/own.rs", "metrics/writes.rs", "metrics/collector.rs", "render/dashboard/panel_options.rs"];

/// What is in `std::net` and opens nothing.
const ADDRESSES: &[&str] = &["SocketAddr", "IpAddr", "Ipv4Addr", "Ipv6Addr", "AddrParseError"];

/// Names that say nothing of what is in a file.
const VAGUE: &[&str] = &["util", "utils", "common", "helpers", "manager", "handler", "types"];

struct Source {
    /// From `src`: `decode/text/statsd/mod.rs`.
    path: String,
    /// The module at the top: `decode`.
    module: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = at("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    let source = |file: &PathBuf| {
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let module = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        Source { path, module, text: std::fs::read_to_string(file).unwrap() }
    };
    files.iter().map(source).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

/// The text without comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Code without its tests.
fn shipped<'c>(path: &str, code: &'c str) -> &'c str {
    if path.contains("/tests") {
        ""
    } else {
        code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
    }
}

/// The modules at the top that a file names: `a` and `b` in `crate::a::x` and `use crate::{a, b::y}`.
fn named(code: &str, root: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (place, _) in code.match_indices(root) {
        let before = code[..place].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[place + root.len()..];
        match rest.strip_prefix('{') {
            None => named.extend(word(rest)),
            Some(list) => {
                let (mut depth, mut begins) = (0, true);
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        c if begins && !c.is_whitespace() => {
                            named.extend(word(&list[i..]));
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    named
}

fn word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

fn floor(module: &str) -> Option<&'static (&'static str, u32, &'static [&'static str])> {
    FLOORS.iter().find(|(name, ..)| *name == module)
}

#[test]
fn imports_go_down() {
    let mut wrong = Vec::new();
    for Source { path, module, text } in sources() {
        if module == "lib" {
            continue;
        }
        let Some((_, here, beside)) = floor(&module) else {
            wrong.push(format!("{path}: the module {module} stands on no floor; give it one in this test"));
            continue;
        };
        let code = code(&text);
        let mut all = named(&code, "crate::");
        all.extend(named(&code, "neural_exporter::"));
        for other in all {
            let down = match floor(&other) {
                Some(("sys" | "file", ..)) => *here >= 4 || module == other,
                Some((_, there, _)) => there < here || other == module || beside.contains(&&*other),
                None => false,
            };
            if !down {
                wrong.push(format!("{path}: names {other}, which is not below {module}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn below_the_third_floor_nothing_touches_the_world() {
    let mut wrong = Vec::new();
    for Source { path, module, text } in sources() {
        if ["lib", "sys", "file"].contains(&&*module)
            || floor(&module).is_some_and(|(_, floor, _)| *floor >= 3)
        {
            continue;
        }
        let code = code(&text);
        for word in WORLD {
            if code.contains(word) {
                wrong.push(format!("{path}: {word}"));
            }
        }
        let hidden = HIDDEN.iter().filter(|word| shipped(&path, &code).contains(**word));
        wrong.extend(hidden.filter(|_| !SHARED.contains(&&*path)).map(|word| format!("{path}: {word}")));
        let sockets =
            named(&code, "std::net::").into_iter().filter(|name| !ADDRESSES.contains(&name.as_str()));
        wrong.extend(sockets.map(|name| format!("{path}: std::net::{name}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn configuration_opens_its_files_and_nothing_else() {
    for Source { path, .. } in sources().iter().filter(|source| source.module == "config") {
        let code = code(&std::fs::read_to_string(at("src").join(path)).unwrap());
        for word in WORLD.iter().filter(|word| **word != "std::fs") {
            assert!(!code.contains(word), "{path}: {word}");
        }
    }
}

#[test]
fn files_say_what_they_are() {
    for Source { path, text, .. } in sources() {
        assert!(text.starts_with("//! "), "{path} does not begin with a sentence about itself");
        let vague = |part: &str| VAGUE.contains(&part.trim_end_matches(".rs"));
        assert!(!path.split('/').any(vague), "{path}: the name says nothing");
        let code = code(&text);
        let unsafe_code =
            ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|word| code.contains(word));
        assert!(path == "sys.rs" || !unsafe_code, "{path} is unsafe");
    }
}

#[test]
fn lists_of_imports_are_read() {
    let code = "use crate::{a, b::{c, d}, e::f};\nlet x = crate::g::h();\n$crate::i; mycrate::j;";
    let names: Vec<String> = named(code, "crate::").into_iter().collect();
    assert_eq!(names, ["a", "b", "e", "g"]);
}

/// What `ARCHITECTURE.md` says of what a change costs: beside its own file and the table of protocols nobody names a board.
/// Simulated devices are apart: they share nothing with decoders.
#[test]
fn a_board_is_one_file_and_one_row() {
    let naming = |words: &[&str]| -> Vec<String> {
        let named = |source: &Source| words.iter().any(|word| code(&source.text).contains(word));
        let sources = sources().into_iter().filter(|source| source.module != "simulate" && named(source));
        sources.map(|source| source.path).collect()
    };
    assert_eq!(naming(&["OpeneegP3", "openeeg_p3"]), ["decode/board/openeeg.rs", "decode/protocol.rs"]);
    assert_eq!(
        naming(&["SpikerBox::", "Protocol::SpikerBox", "SpikerBox =>"]),
        ["decode/board/spikerbox.rs", "decode/protocol.rs"]
    );
}

/// The files whose code has a word.
fn naming(word: &str) -> Vec<String> {
    let named = |source: &Source| code(&source.text).contains(word);
    sources().into_iter().filter(named).map(|source| source.path).collect()
}

/// The same of a kind of source.
#[test]
fn a_kind_of_source_is_one_file_and_one_row() {
    assert_eq!(naming("fieldtrip::Settings"), ["config/source.rs"]);
    assert_eq!(naming("Exec("), ["config/source.rs"]);
    for kind in ["Source::Textfile", "Source::Scrape", "Source::Rda"] {
        assert_eq!(naming(kind), Vec::<String>::new(), "{kind}");
    }
    assert_eq!(naming("Fieldtrip("), ["config/source.rs"]);
    assert_eq!(naming("Rda("), ["config/source.rs"]);
}

/// The same of a target to push to.
#[test]
fn a_target_is_one_file_and_one_row() {
    assert_eq!(naming("Directory("), ["provision/settings.rs"]);
    assert_eq!(naming("directory::"), ["provision/mod.rs", "provision/settings.rs"]);
    assert_eq!(naming("Loki("), ["provision/ruler.rs", "provision/settings.rs"]);
    assert_eq!(naming("Target::Prometheus"), Vec::<String>::new());
}

/// The functions of a text that have more than so many lines and no comment that says why: `// Long: ` before them.
fn long_functions(text: &str, most: usize) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((before, rest)) = line.split_once("fn ") else { continue };
        let indent = before.len() - before.trim_start().len();
        let words = ["", "pub", "const", "async", "unsafe", "extern", "default"];
        let keyword = |word: &str| words.contains(&word) || word.starts_with("pub(") || word == "super)";
        if !before.trim().split(' ').all(keyword) || line.trim_end().ends_with([';', '}']) {
            continue;
        }
        let end = format!("{}}}", &line[..indent]);
        let length = lines[at..].iter().position(|line| *line == end).map_or(0, |length| length + 1);
        let mut above = lines[..at].iter().rev().take_while(|line| {
            let line = line.trim_start();
            line.starts_with("//") || line.starts_with('#')
        });
        if length > most && !above.any(|line| line.trim_start().starts_with("// Long: ")) {
            long.push((word(rest).unwrap_or_default(), length));
        }
    }
    long
}

#[test]
fn long_functions_say_why() {
    let mut wrong = Vec::new();
    for Source { path, text, .. } in sources() {
        for (name, length) in long_functions(&text, 70) {
            wrong.push(format!(
                "{path}: {name} has {length} lines; split it, or say why not: // Long: REASON"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn functions_are_measured() {
    let text = "impl A {\n    pub(super) async fn long(\n        a: u8,\n    ) {\n        a();\n    }\n}\n\n\
                // Long: a table.\n#[test]\nfn table() {\n    1;\n    2;\n}\nfn one() -> u8 { 1 }\ntrait T {\n    fn t();\n}\n";
    assert_eq!(long_functions(text, 4), [("long".to_owned(), 5)]);
    assert_eq!(long_functions(text, 2), [("long".to_owned(), 5)]);
    assert_eq!(
        long_functions(&text.replace("// Long", "//"), 3),
        [("long".to_owned(), 5), ("table".to_owned(), 4)]
    );
}

/// A module by its path, `decode::text::line`.
type Module = Vec<String>;

/// The paths that code names, from the root: those of `use`, taken apart, and those that stand elsewhere.
fn paths(code: &str, here: &[String]) -> Vec<Module> {
    let mut paths = Vec::new();
    for part in code.split("use ").skip(1) {
        if let Some((tree, _)) = part.split_once(';').filter(|(tree, _)| !tree.contains(['$', '(', '=', '"']))
        {
            leaves(tree, &[], &mut paths);
        }
    }
    for root in ["crate::", "super::"] {
        for (at, _) in code.match_indices(root).filter(|(at, _)| !code[..*at].ends_with("::")) {
            let path = code[at..].split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            paths.push(path.take(1).flat_map(|path| path.split("::")).map(str::to_owned).collect());
        }
    }
    let from_root = |path: Module| -> Module {
        let up = path.iter().take_while(|part| *part == "super").count();
        let base = if path.first().is_some_and(|part| part == "crate") {
            &[]
        } else {
            &here[..here.len().saturating_sub(up)]
        };
        let rest = path.iter().filter(|part| !["crate", "super", "self"].contains(&part.as_str()));
        base.iter().chain(rest).cloned().collect()
    };
    paths.into_iter().map(from_root).collect()
}

/// The paths of a tree of imports: `a::b` and `a::c::d` of `a::{b, c::d}`.
fn leaves(tree: &str, before: &[String], paths: &mut Vec<Module>) {
    let tree = tree.trim();
    let (head, list) =
        tree.split_once('{').map_or((tree, None), |(head, rest)| (head, rest.trim_end().strip_suffix('}')));
    let parts = head.split("::").map(|part| part.split_whitespace().next().unwrap_or_default());
    let mut path: Module = before.to_vec();
    path.extend(parts.filter(|part| !part.is_empty()).map(str::to_owned));
    let Some(list) = list else { return paths.push(path) };
    let (mut depth, mut from) = (0, 0);
    for (at, c) in list.char_indices().chain([(list.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                leaves(&list[from..at], &path, paths);
                from = at + 1;
            }
            _ => {}
        }
    }
}

/// Where there are circles, and why.
const CIRCLES: &[(&str, &str)] = &[(
    "promql::",
    "a call in the tree is a row of the table of functions, which the parser checks arguments against, and a row computes \
     its arguments with the evaluator",
)];

/// Modules that need each other cannot be read, tested or moved alone. A module and those within it are one.
#[test]
fn no_imports_go_in_a_circle() {
    let module = |path: &str| -> Module {
        let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').map(str::to_owned).collect()
    };
    let sources: Vec<(Module, String)> = sources()
        .into_iter()
        .map(|source| (module(&source.path), shipped(&source.path, &code(&source.text)).to_owned()))
        .collect();
    let known: BTreeSet<&Module> = sources.iter().map(|(module, _)| module).collect();
    let mut needs: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
    for (here, code) in &sources {
        for path in paths(code, here) {
            let there = (1..=path.len()).rev().find_map(|length| known.get(&path[..length].to_vec()));
            let Some(there) = there.filter(|there| !there.starts_with(here) && !here.starts_with(there))
            else {
                continue;
            };
            needs.entry(here).or_default().insert(there);
        }
    }
    // What needs nothing that is left cannot be in a circle.
    loop {
        let done: Vec<&Module> = needs
            .iter()
            .filter(|(_, of)| of.iter().all(|of| !needs.contains_key(*of)))
            .map(|(name, _)| *name)
            .collect();
        if done.is_empty() {
            break;
        }
        needs.retain(|name, _| !done.contains(name));
    }
    // What is left is in circles, or needs what is.
    loop {
        let needed: BTreeSet<&Module> = needs.values().flatten().copied().collect();
        let before = needs.len();
        needs.retain(|name, _| needed.contains(name));
        if needs.len() == before {
            break;
        }
    }
    let circles: Vec<String> = needs.keys().map(|module| module.join("::")).collect();
    let known = |circle: &&String| CIRCLES.iter().any(|(known, _)| circle.starts_with(known));
    let new: Vec<&String> = circles.iter().filter(|circle| !known(circle)).collect();
    assert_eq!(new, Vec::<&String>::new(), "these need each other");
    for (known, why) in CIRCLES {
        assert!(circles.iter().any(|circle| circle.starts_with(known)), "{known} has no circle now: {why}");
    }
}

#[test]
fn trees_of_imports_are_taken_apart() {
    let here = ["a".to_owned(), "b".to_owned()];
    let code = "use super::{c, d::{self, E}};\nuse crate::f::G as H;\nlet x = super::super::i::j();";
    let all: BTreeSet<String> = paths(code, &here).iter().map(|path| path.join("::")).collect();
    for path in ["a::c", "a::d", "a::d::E", "f::G", "i::j"] {
        assert!(all.contains(path), "{path}: {all:?}");
    }
}

/// What a number means is its name: `PAUSE.1` says nothing.
#[test]
fn constants_are_read_by_name() {
    let of_tuple = regex::Regex::new(r"\b[A-Z][A-Z_]+\.[0-9]\b").unwrap();
    let mut wrong = Vec::new();
    for Source { path, text, .. } in sources() {
        let code = code(&text);
        wrong.extend(of_tuple.find_iter(&code).map(|found| format!("{path}: {}", found.as_str())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// proptest writes the whole failing case behind its seed, which alone is read again.
#[test]
fn seeds_of_failing_cases_are_kept_without_the_cases() {
    for entry in std::fs::read_dir(at("tests/proptest-regressions")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let long = text.lines().position(|line| line.len() > 200);
        assert_eq!(long.map(|line| line + 1), None, "{}: cut what stands behind the seed", path.display());
    }
}
