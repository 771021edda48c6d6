//! Where everything in a document stands, and whether it is safe to read.
//!
//! A walk over the parser's events, before anything is built from them: it bounds size, depth
//! and what aliases may blow a document up to, finds keys that are written twice, and keeps the
//! line and column of each key and value. It does not keep the values.

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event, Marker, Parser, ScalarStyle};

use super::{Path, PathSegment, Problem};

/// The longest document that is read, bytes.
pub const LONGEST: usize = 1 << 20;
/// How deep lists and mappings may be nested, aliases followed.
const DEEPEST: usize = 64;
/// How many values a document may have, aliases followed.
const LARGEST: usize = 100_000;

/// A place in a text; lines and columns (in characters) count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The line; 0 if unknown.
    pub line: usize,
    /// The column; 0 if unknown.
    pub column: usize,
}

impl From<&Marker> for Position {
    fn from(at: &Marker) -> Self {
        Self { line: at.line(), column: at.col() + 1 }
    }
}

/// The places of a document's keys and values.
#[derive(Debug, Default)]
pub struct Positions {
    root: Option<Rc<Node>>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Position,
    size: usize,
    depth: usize,
    pub(super) inner: Inner,
}

#[derive(Debug)]
pub(super) enum Inner {
    Plain { text: String, quoted: bool },
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Position,
    pub(super) value: Rc<Node>,
}

impl Positions {
    /// Whether there is nothing in the document.
    pub(super) fn is_empty(&self) -> bool {
        match self.root.as_deref() {
            None => true,
            Some(Node { inner: Inner::Plain { text, .. }, .. }) => text.is_empty() || text == "~",
            Some(_) => false,
        }
    }

    pub(super) fn root(&self) -> Option<&Node> {
        self.root.as_deref()
    }

    /// Where the value at `path` begins, or the innermost value around it.
    #[must_use]
    pub fn value(&self, path: &Path) -> Position {
        self.find(path).1
    }

    /// Where the key that `path` ends in stands, or the innermost key or item around it.
    pub(super) fn key(&self, path: &Path) -> Position {
        self.find(path).0
    }

    fn find(&self, path: &Path) -> (Position, Position) {
        let Some(mut node) = self.root.as_deref() else { return Default::default() };
        let mut key = node.place;
        for step in path.steps() {
            let next = match (step, &node.inner) {
                (PathSegment::Item(index), Inner::List(items)) => items.get(*index).map(|n| (n.place, n)),
                (PathSegment::Key(key), Inner::Map(entries)) => entry(entries, key),
                _ => None,
            };
            let Some((place, next)) = next.map(|(place, next)| (place, &**next)) else { break };
            (key, node) = (place, next);
        }
        (key, node.place)
    }
}

/// The last entry of that key, or what a merge key adds.
fn entry<'a>(entries: &'a [Entry], key: &str) -> Option<(Position, &'a Rc<Node>)> {
    let own = entries.iter().rev().find(|entry| entry.key == key);
    if let Some(entry) = own {
        return Some((entry.place, &entry.value));
    }
    let merged = &entries.iter().find(|entry| entry.key == "<<")?.value;
    match &merged.inner {
        Inner::Map(entries) => entry(entries, key),
        Inner::List(items) => items.iter().find_map(|item| match &item.inner {
            Inner::Map(entries) => entry(entries, key),
            _ => None,
        }),
        Inner::Plain { .. } => None,
    }
}

/// Walks the text, which may be so many times larger than is usual. With the places come the keys that are written
/// twice.
pub(super) fn walk(file: &str, text: &str, times: usize) -> Result<(Positions, Vec<Problem>), Vec<Problem>> {
    let longest = LONGEST * times;
    if text.len() > longest {
        let message = format!("the file has {} bytes; {longest} is the limit", text.len());
        return Err(vec![Problem::of_file(file, message)]);
    }
    let mut walk = Walk { file, largest: LARGEST * times, ..Walk::default() };
    for next in Parser::new_from_str(text) {
        let step = match next {
            Ok((event, span)) => walk.step(event, Position::from(&span.start)),
            Err(error) => Err(walk.problem(Position::from(error.marker()), error.info())),
        };
        if let Err(problem) = step {
            walk.problems.push(problem);
            return Err(walk.problems);
        }
    }
    Ok((Positions { root: walk.root }, walk.problems))
}

/// A list or mapping that has begun and not ended.
struct OpenNode {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<(String, Position)>,
    /// The keys so far and their lines.
    seen: HashMap<String, usize>,
}

#[derive(Default)]
struct Walk<'a> {
    file: &'a str,
    largest: usize,
    open: Vec<OpenNode>,
    anchors: HashMap<usize, Rc<Node>>,
    documents: usize,
    root: Option<Rc<Node>>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn problem(&self, place: Position, message: impl Into<String>) -> Problem {
        Problem { line: place.line, column: place.column, ..Problem::of_file(self.file, message) }
    }

    fn step(&mut self, event: Event<'_>, place: Position) -> Result<(), Problem> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(self.problem(place, "a second document begins; one is read"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.tag(tag.as_deref(), place)?;
                let inner = Inner::Plain { text: text.into_owned(), quoted: style != ScalarStyle::Plain };
                self.put(Node { place, size: 1, depth: 0, inner }, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), place)?;
                self.begin(Inner::List(Vec::new()), anchor, place)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), place)?;
                self.begin(Inner::Map(Vec::new()), anchor, place)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(OpenNode { node, anchor, .. }) = self.open.pop() {
                    self.put(node, anchor)?;
                }
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.problem(place, "the alias stands inside of what it names"));
                };
                self.attach(node, place)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn tag(&self, tag: Option<&granit_parser::Tag>, place: Position) -> Result<(), Problem> {
        match tag {
            Some(tag) if !tag.is_yaml_core_schema() => {
                Err(self.problem(place, format!("the tag {} is not understood", tag.original())))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, inner: Inner, anchor: usize, place: Position) -> Result<(), Problem> {
        if self.open.len() >= DEEPEST {
            return Err(self.problem(place, format!("nested deeper than {DEEPEST} levels")));
        }
        let node = Node { place, size: 1, depth: 1, inner };
        self.open.push(OpenNode { node, anchor, key: None, seen: HashMap::new() });
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        let place = node.place;
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.attach(node, place)
    }

    /// Hangs a finished node into the list or mapping that is open.
    fn attach(&mut self, node: Rc<Node>, place: Position) -> Result<(), Problem> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.node.size += node.size;
        open.node.depth = open.node.depth.max(node.depth + 1);
        let (size, depth) = (open.node.size, open.node.depth + self.open.len() - 1);
        let largest = self.largest;
        if size > largest {
            let message = format!("more than {largest} values, counting what aliases repeat");
            return Err(self.problem(place, message));
        }
        if depth > DEEPEST {
            return Err(self.problem(place, format!("nested deeper than {DEEPEST} levels")));
        }
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        let Inner::Map(entries) = &mut open.node.inner else {
            if let Inner::List(items) = &mut open.node.inner {
                items.push(node);
            }
            return Ok(());
        };
        if let Some((key, at)) = open.key.take() {
            entries.push(Entry { key, place: at, value: node });
            return Ok(());
        }
        let Inner::Plain { text: key, .. } = &node.inner else {
            return Err(self.problem(place, "a key must be plain text"));
        };
        open.key = Some((key.clone(), place));
        let first = open.seen.get(key).copied();
        open.seen.entry(key.clone()).or_insert(place.line);
        if let Some(line) = first {
            let mut path = self.path();
            path = path.key(key);
            let message = format!("the key is written twice; first on line {line}");
            let problem = Problem { path: path.to_string(), ..self.problem(place, message) };
            self.problems.push(problem);
        }
        Ok(())
    }

    /// The path of the innermost open list or mapping.
    fn path(&self) -> Path {
        let outer = self.open.len().saturating_sub(1);
        self.open.iter().take(outer).fold(Path::default(), |path, open| match (&open.node.inner, &open.key) {
            (Inner::List(items), _) => path.item(items.len()),
            (_, Some((key, _))) => path.key(key),
            _ => path,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn refused(text: &str) -> String {
        let problems = walk("f", text, 1).unwrap_err();
        problems.last().unwrap().to_string()
    }

    #[test]
    fn keys_and_values_have_their_places() {
        let text = "# comment\na:\n  - b: 1\n    c:   [x, \"y\"]\n";
        let (places, problems) = walk("f", text, 1).unwrap();
        assert_eq!(problems, []);
        let c = Path::from("a").item(0).key("c");
        assert_eq!(places.key(&c), Position { line: 4, column: 5 });
        assert_eq!(places.value(&c), Position { line: 4, column: 10 });
        assert_eq!(places.value(&c.item(1)), Position { line: 4, column: 14 });
        // What is not there is as near as it gets.
        assert_eq!(places.key(&c.item(7).key("z")), Position { line: 4, column: 5 });
    }

    #[test]
    fn a_key_twice_deep_inside_has_its_path() {
        let (_, problems) = walk("f", "a:\n  - x: 1\n  - x: 1\n    x: 2\n", 1).unwrap();
        let text = problems[0].to_string();
        assert_eq!(text, "f:4:5: a[1].x: the key is written twice; first on line 3");
    }

    #[test]
    fn what_is_too_much_is_refused() {
        assert!(refused(&"x".repeat(LONGEST + 1)).contains("is the limit"));
        assert!(refused(&("[".repeat(65) + &"]".repeat(65))).contains("nested deeper"));
        assert!(refused(&"[".repeat(100_000)).starts_with("f:1:"));
        assert!(refused(&"- ".repeat(65)).contains("nested deeper"));
        let mut bomb = "a: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let list = vec![format!("*a{}", level - 1); 10].join(",");
            writeln!(bomb, "b{level}: &a{level} [{list}]").unwrap();
        }
        assert!(refused(&bomb).contains("more than 100000 values"));
        let mut chain = "c0: &c0 [x]\n".to_owned();
        for level in 1..100 {
            writeln!(chain, "c{level}: &c{level} [*c{}]", level - 1).unwrap();
        }
        assert!(refused(&chain).contains("nested deeper"));
        assert!(refused("a: &a [*a]\n").contains("inside of what it names"));
        assert!(refused("a: *b\n").contains("f:1:4"));
        assert!(refused("a: 1\n---\nb: 2\n").contains("second document"));
        assert!(refused("a: !secret x\n").contains("!secret is not understood"));
        assert!(refused("[a]: 1\n").contains("a key must be plain text"));
        assert!(refused("a: [1\nb: 2\n").starts_with("f:"));
    }

    #[test]
    fn nothing_is_empty() {
        for text in ["", "# only a comment\n", "---\n", "~\n"] {
            let (places, _) = walk("f", text, 1).unwrap();
            assert!(places.is_empty(), "{text:?}");
        }
    }
}
