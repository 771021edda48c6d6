//! What an expression is once it is read: a tree whose nodes know where in the text they begin.

use super::functions::Function;
use super::matcher::Matcher;

/// An expression that was read and checked by [`super::parse`]. Its `Display` is the expression in Prometheus' form.
#[derive(Clone, Debug)]
pub struct Expr {
    pub(super) text: Box<str>,
    pub(super) tree: Tree,
}

impl Expr {
    /// The text it was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it yields.
    #[must_use]
    pub fn yields(&self) -> Type {
        self.tree.yields
    }

    /// The conditions of each selector in it.
    #[must_use]
    pub fn selectors(&self) -> Vec<&[Matcher]> {
        let mut found = Vec::new();
        self.tree.visit(&mut |node| {
            if let Node::Selector(selector) | Node::Range(selector, _) = node {
                found.push(&*selector.matchers);
            }
        });
        found
    }
}

impl Expr {
    /// The names of the metrics that it selects by name.
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        let named = |one: &&Matcher| one.name() == super::NAME && one.op() == super::Op::Equal;
        self.selectors().into_iter().flatten().filter(named).map(Matcher::value)
    }
}

/// A node and what is below it.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// Where it begins in the text, in bytes.
    pub(super) at: usize,
    pub(super) node: Node,
    /// How many nodes are above one another, this one included.
    pub(super) depth: usize,
    pub(super) yields: Type,
}

impl Tree {
    /// Shows each node, this one first. The parser bounds the depth.
    fn visit<'t>(&'t self, see: &mut impl FnMut(&'t Node)) {
        see(&self.node);
        self.node.below().into_iter().for_each(|below| below.visit(see));
    }
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Number {
        value: f64,
        duration: bool,
    },
    /// May hold bytes that are no UTF-8.
    Text(Vec<u8>),
    Selector(Selector),
    Range(Selector, Length),
    Subquery(Box<Subquery>),
    Paren(Box<Tree>),
    Unary {
        negative: bool,
        operand: Box<Tree>,
    },
    Binary(Box<Binary>),
    Call(Call),
    Aggregate(Box<Aggregate>),
}

/// What an expression yields at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A number.
    Scalar,
    /// A text.
    Text,
    /// A number for each of some series.
    Vector,
    /// Samples of a stretch of time for each of some series.
    Matrix,
}

impl Type {
    /// As Prometheus names it in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Text => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    /// The name before the braces.
    pub(super) name: Option<String>,
    /// All conditions, that on the name last.
    pub(super) matchers: Vec<Matcher>,
    pub(super) shift: Shift,
}

/// When a selector looks, if not at the time of evaluation.
#[derive(Clone, Debug, Default)]
pub(super) struct Shift {
    pub(super) offset: Option<Length>,
    pub(super) at: Option<At>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    Time(i64),
    Start,
    End,
}

/// A length of time.
#[derive(Clone, Debug)]
pub(super) enum Length {
    /// In milliseconds.
    Fixed(i64),
    Computed(Term),
}

/// Arithmetic with durations. Numbers are seconds.
#[derive(Clone, Debug)]
pub(super) enum Term {
    Number { value: f64, duration: bool },
    Step,
    Range,
    Negative(Box<Self>),
    Paren(Box<Self>),
    Binary(Op, Box<(Self, Self)>),
    Least(Box<(Self, Self)>),
    Greatest(Box<(Self, Self)>),
}

#[derive(Clone, Debug)]
pub(super) struct Subquery {
    pub(super) inner: Tree,
    pub(super) range: Length,
    pub(super) step: Option<Length>,
    pub(super) shift: Shift,
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) function: &'static Function,
    pub(super) args: Vec<Tree>,
}

#[derive(Clone, Debug)]
pub(super) struct Aggregate {
    pub(super) op: Aggregator,
    pub(super) param: Option<Tree>,
    pub(super) inner: Tree,
    pub(super) grouping: Vec<String>,
    pub(super) without: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Binary {
    pub(super) op: Op,
    pub(super) left: Tree,
    pub(super) right: Tree,
    /// 0 and 1 instead of a filter.
    pub(super) bool: bool,
    pub(super) matching: Matching,
}

/// Which elements of two vectors belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Matching {
    pub(super) on: bool,
    pub(super) labels: Vec<String>,
    /// Many elements of this side may belong to one of the other.
    pub(super) many: Option<Side>,
    /// Labels taken from the other side.
    pub(super) include: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    And,
    Or,
    Unless,
}

impl Op {
    /// Operators, how they are written, and how tightly they bind.
    const ALL: [(Self, &'static str, u8); 16] = [
        (Self::Or, "or", 1),
        (Self::And, "and", 2),
        (Self::Unless, "unless", 2),
        (Self::Equal, "==", 3),
        (Self::NotEqual, "!=", 3),
        (Self::Greater, ">", 3),
        (Self::Less, "<", 3),
        (Self::GreaterEqual, ">=", 3),
        (Self::LessEqual, "<=", 3),
        (Self::Add, "+", 4),
        (Self::Sub, "-", 4),
        (Self::Mul, "*", 5),
        (Self::Div, "/", 5),
        (Self::Mod, "%", 5),
        (Self::Atan2, "atan2", 5),
        (Self::Pow, "^", 6),
    ];
    /// How tightly a sign before an operand binds: as a multiplication.
    pub(super) const SIGN: u8 = 5;

    /// The operator that is written so, whatever the case of its letters.
    pub(super) fn read(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, written, _)| written.eq_ignore_ascii_case(text)).map(|(op, ..)| *op)
    }

    fn row(self) -> (&'static str, u8) {
        Self::ALL.iter().find(|(op, ..)| *op == self).map_or(("", 0), |(_, text, binds)| (text, *binds))
    }

    pub(super) fn text(self) -> &'static str {
        self.row().0
    }

    pub(super) fn binds(self) -> u8 {
        self.row().1
    }

    /// `and`, `or`, `unless`.
    pub(super) fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    pub(super) fn compares(self) -> bool {
        self.binds() == 3
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregator {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
}

impl Aggregator {
    /// Aggregators, their names, and what their parameter is.
    const ALL: [(Self, &'static str, Option<Type>); 12] = [
        (Self::Sum, "sum", None),
        (Self::Avg, "avg", None),
        (Self::Count, "count", None),
        (Self::Min, "min", None),
        (Self::Max, "max", None),
        (Self::Group, "group", None),
        (Self::Stddev, "stddev", None),
        (Self::Stdvar, "stdvar", None),
        (Self::Topk, "topk", Some(Type::Scalar)),
        (Self::Bottomk, "bottomk", Some(Type::Scalar)),
        (Self::CountValues, "count_values", Some(Type::Text)),
        (Self::Quantile, "quantile", Some(Type::Scalar)),
    ];
    /// Those that a Prometheus has only by a flag.
    pub(super) const EXPERIMENTAL: [&'static str; 2] = ["limitk", "limit_ratio"];

    pub(super) fn read(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name, _)| name.eq_ignore_ascii_case(text)).map(|(op, ..)| *op)
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(op, ..)| *op == self).map_or("", |(_, name, _)| name)
    }

    pub(super) fn param(self) -> Option<Type> {
        Self::ALL.iter().find(|(op, ..)| *op == self).and_then(|(.., param)| *param)
    }
}

impl Node {
    /// What is directly below it.
    pub(super) fn below(&self) -> Vec<&Tree> {
        match self {
            Self::Number { .. } | Self::Text(_) | Self::Selector(_) | Self::Range(..) => Vec::new(),
            Self::Subquery(subquery) => vec![&subquery.inner],
            Self::Paren(inner) | Self::Unary { operand: inner, .. } => vec![inner],
            Self::Binary(binary) => vec![&binary.left, &binary.right],
            Self::Call(call) => call.args.iter().collect(),
            Self::Aggregate(aggregate) => aggregate.param.iter().chain([&aggregate.inner]).collect(),
        }
    }

    pub(super) fn yields(&self) -> Type {
        match self {
            Self::Number { .. } => Type::Scalar,
            Self::Text(_) => Type::Text,
            Self::Selector(_) | Self::Aggregate(_) => Type::Vector,
            Self::Range(..) | Self::Subquery(_) => Type::Matrix,
            Self::Paren(inner) | Self::Unary { operand: inner, .. } => inner.yields,
            Self::Binary(binary) if binary.left.yields == Type::Scalar => binary.right.yields,
            Self::Binary(_) => Type::Vector,
            Self::Call(call) => call.function.yields,
        }
    }
}

impl Tree {
    /// Itself without parentheses around it.
    pub(super) fn bare(&self) -> &Self {
        let mut bare = self;
        while let Node::Paren(inner) = &bare.node {
            bare = inner;
        }
        bare
    }
}
