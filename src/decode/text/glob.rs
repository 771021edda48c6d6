//! Globs over dotted names, compiled into one tree, and templates filled with what they caught.
//!
//! It does not know what a rule does: a rule is its position in the file.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Components that a pattern has at most.
const MAX_COMPONENTS: usize = 128;

/// No rule, and later than every rule.
const NONE: u32 = u32::MAX;

/// What a mapping rule may ask a line to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatsdType {
    /// `c`
    Counter,
    /// `g`, and `s`, which is shown as a gauge.
    Gauge,
    /// `ms`, `h`, `d`
    Observer,
}

impl StatsdType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Counter, Self::Gauge, Self::Observer];
}

/// Many patterns such as `app.*.latency`, asked at once. A `*` stands for one component.
#[derive(Debug)]
pub(super) struct Globs {
    nodes: Vec<Node>,
    /// Components of the longest pattern.
    depth: usize,
    /// A literal beats a `*` at every level; otherwise the earliest rule wins.
    literal_first: bool,
}

#[derive(Debug)]
struct Node {
    literals: HashMap<Box<str>, usize, RandomState>,
    star: Option<usize>,
    /// The rule that ends here, by type.
    rule: [u32; 3],
    /// The earliest rule that ends here or below, by type.
    earliest: [u32; 3],
}

impl Node {
    fn new() -> Self {
        Self { literals: HashMap::default(), star: None, rule: [NONE; 3], earliest: [NONE; 3] }
    }
}

impl Globs {
    pub(super) fn new(literal_first: bool) -> Self {
        Self { nodes: vec![Node::new()], depth: 0, literal_first }
    }

    /// Adds the pattern of rule number `rule` for lines of `kind`, or of any. Says whether an
    /// earlier rule has the same pattern for all of them, so that this one never applies.
    pub(super) fn add(&mut self, pattern: &str, kind: Option<StatsdType>, rule: u32) -> bool {
        let kinds = StatsdType::ALL.into_iter().filter(|k| kind.is_none_or(|only| only == *k));
        let mut at = 0;
        self.note(at, kinds.clone(), rule);
        for (i, component) in pattern.split('.').enumerate() {
            let new = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { return true };
            at = match component {
                "*" => *node.star.get_or_insert(new),
                literal => *node.literals.entry(literal.into()).or_insert(new),
            };
            if at == new {
                self.nodes.push(Node::new());
            }
            self.note(at, kinds.clone(), rule);
            self.depth = self.depth.max(i + 1);
        }
        let mut never = true;
        if let Some(node) = self.nodes.get_mut(at) {
            for kind in kinds {
                let slot = &mut node.rule[kind as usize];
                if *slot == NONE {
                    *slot = rule;
                    never = false;
                }
            }
        }
        never
    }

    fn note(&mut self, at: usize, kinds: impl Iterator<Item = StatsdType>, rule: u32) {
        if let Some(node) = self.nodes.get_mut(at) {
            for kind in kinds {
                let earliest = &mut node.earliest[kind as usize];
                *earliest = rule.min(*earliest);
            }
        }
    }

    /// The rule that `name` belongs to, and what its stars stand for.
    pub(super) fn find<'n>(&self, name: &'n str, kind: StatsdType) -> Option<(u32, Vec<&'n str>)> {
        if self.depth == 0 {
            return None;
        }
        // One more than the longest pattern tells a name that is too long from one that fits.
        let mut parts = Vec::with_capacity(self.depth + 1);
        parts.extend(name.split('.').take(self.depth + 1));
        if parts.len() > self.depth {
            return None;
        }
        let mut search = Search { globs: self, kind, best: NONE, stars: Vec::new(), caught: Vec::new() };
        search.walk(0, &parts);
        (search.best != NONE).then_some((search.best, search.caught))
    }
}

struct Search<'g, 'n> {
    globs: &'g Globs,
    kind: StatsdType,
    best: u32,
    stars: Vec<&'n str>,
    caught: Vec<&'n str>,
}

impl<'n> Search<'_, 'n> {
    /// Looks below a node; true ends the search. A node has one way to it, so none is met twice.
    fn walk(&mut self, at: usize, parts: &[&'n str]) -> bool {
        let Some(node) = self.globs.nodes.get(at) else { return false };
        if node.earliest[self.kind as usize] >= self.best {
            return false;
        }
        let Some((part, rest)) = parts.split_first() else {
            let rule = node.rule[self.kind as usize];
            if rule < self.best {
                self.best = rule;
                self.caught.clone_from(&self.stars);
                return self.globs.literal_first;
            }
            return false;
        };
        if let Some(&next) = node.literals.get(*part)
            && self.walk(next, rest)
        {
            return true;
        }
        let Some(next) = node.star else { return false };
        self.stars.push(part);
        let done = self.walk(next, rest);
        self.stars.pop();
        done
    }
}

/// Whether `pattern` is a glob over a dotted name: letters, digits, `_`, `-` and whole `*`
/// components, the first not beginning with a digit.
pub(super) fn is_pattern(pattern: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    pattern.split('.').enumerate().all(|(i, component)| {
        let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || (i > 0 && c.is_ascii_digit());
        i < MAX_COMPONENTS
            && (component == "*" || component.starts_with(begins) && component.chars().all(legal))
    })
}

/// Text with `$1` or `${1}` in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    /// Counted from 1; 0 for a reference that is no number.
    Star(usize),
}

impl Template {
    pub(super) fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            let inner = after.strip_prefix('{').unwrap_or(after);
            let name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
            let (name, tail) = inner.split_at(inner.find(|c| !name(c)).unwrap_or(inner.len()));
            if name.is_empty() {
                plain.push('$');
                rest = after;
                continue;
            }
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Star(name.parse().unwrap_or(0)));
            rest = tail.strip_prefix('}').unwrap_or(tail);
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self(pieces)
    }

    /// Whether it refers to something that `stars` stars do not catch: that place stays empty.
    pub(super) fn misses(&self, stars: usize) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Star(n) if *n == 0 || *n > stars))
    }

    pub(super) fn fill(&self, caught: &[&str]) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Star(n) => out.push_str(n.checked_sub(1).and_then(|i| caught.get(i)).unwrap_or(&"")),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use StatsdType::{Counter, Gauge, Observer};

    fn globs(literal_first: bool, patterns: &[&str]) -> Globs {
        let mut globs = Globs::new(literal_first);
        for (rule, pattern) in (0..).zip(patterns) {
            globs.add(pattern, None, rule);
        }
        globs
    }

    #[test]
    fn the_earliest_rule_wins_in_file_order() {
        let globs = globs(false, &["*.lost.*", "eeg.lost.*", "eeg.*", "eeg.*.*.x", "eeg.lost"]);
        assert_eq!(globs.find("eeg.lost.cyton", Counter), Some((0, vec!["eeg", "cyton"])));
        assert_eq!(globs.find("eeg.lost", Counter), Some((2, vec!["lost"])));
        assert_eq!(globs.find("eeg.a.b.x", Counter), Some((3, vec!["a", "b"])));
        assert_eq!(globs.find("eeg.", Counter), Some((2, vec![""])));
        for none in ["eeg", "lost", "", "eeg.a.b.y", "eeg.a.b.x.y", "a.b.c.d.e.f.g.h"] {
            assert_eq!(globs.find(none, Counter), None, "{none}");
        }
    }

    #[test]
    fn captures_of_a_path_given_up_do_not_stay() {
        let globs = globs(false, &["*.dead.*", "full.name.*"]);
        assert_eq!(globs.find("full.name.x", Gauge), Some((1, vec!["x"])));
    }

    #[test]
    fn literals_beat_stars_without_order() {
        let globs = globs(true, &["n.*.*", "n.*.b", "n.c.b", "n.c.q"]);
        assert_eq!(globs.find("n.c.b", Counter), Some((2, vec![])));
        assert_eq!(globs.find("n.x.b", Counter), Some((1, vec!["x"])));
        assert_eq!(globs.find("n.c.z", Counter), Some((0, vec!["c", "z"])), "a dead end is left again");
    }

    #[test]
    fn types_have_rules_of_their_own() {
        let mut globs = Globs::new(false);
        assert!(!globs.add("a.*", Some(Gauge), 0));
        assert!(!globs.add("a.*", None, 1));
        assert!(globs.add("a.*", Some(Counter), 2), "rule 1 has it");
        assert_eq!(globs.find("a.x", Gauge).map(|f| f.0), Some(0));
        assert_eq!(globs.find("a.x", Counter).map(|f| f.0), Some(1));
        assert_eq!(globs.find("a.x", Observer).map(|f| f.0), Some(1));
    }

    #[test]
    fn patterns_are_checked() {
        for good in ["*", "a", "a.*", "*.a-b.*", "a.99.b", "_a--b.9x", "a.*.*"] {
            assert!(is_pattern(good), "{good}");
        }
        for bad in ["", ".", "a.", "9a", "a.b*", "a**", "bad!!name.*", "a b", "-a", "ä"] {
            assert!(!is_pattern(bad), "{bad}");
        }
    }

    #[test]
    fn templates_are_filled() {
        for (template, filled) in [
            ("plain", "plain"),
            ("$1", "one"),
            ("${1}_x", "one_x"),
            ("$1_x", ""),
            ("$2-$1-$3", "two-one-"),
            ("a$$", "a"),
            ("$", "$"),
            ("5 $ {1}", "5 $ {1}"),
            ("$0$x", ""),
            ("100%s $1", "100%s one"),
        ] {
            assert_eq!(Template::new(template).fill(&["one", "two"]), filled, "{template}");
        }
        assert!(Template::new("$3").misses(2));
        assert!(!Template::new("$2 $1").misses(2));
    }

    proptest! {
        /// The tree against the plain reading of the rules.
        #[test]
        fn the_tree_agrees_with_a_list(
            patterns in proptest::collection::vec("[ab*](\\.[ab*]){0,3}", 1..12),
            name in "[abc]?(\\.[abc]?){0,3}",
        ) {
            let refs: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let fits = |pattern: &str| {
                let (p, n): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), name.split('.').collect());
                p.len() == n.len() && p.iter().zip(&n).all(|(p, n)| *p == "*" || p == n)
            };
            let first = patterns.iter().position(|p| fits(p));
            let found = globs(false, &refs).find(&name, Counter).map(|f| f.0 as usize);
            prop_assert_eq!(found, first);
            // Without order, a literal sorts before a star from left to right.
            let best = patterns.iter().filter(|p| fits(p)).min_by_key(|p| p.replace('*', "~"));
            let found = globs(true, &refs).find(&name, Counter).map(|f| &patterns[f.0 as usize]);
            prop_assert_eq!(found, best);
        }
    }
}
