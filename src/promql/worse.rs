//! Which values of a condition are worse: those beyond its limit.

use super::syntax::{Binary, Expr, Node, Op, Tree, Type};

/// The direction in which the values of a condition are worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worse {
    /// `> 5`
    Higher,
    /// `< 5`
    Lower,
}

impl Worse {
    /// Whether `value` is worse than `other`. Any number is worse than none.
    #[must_use]
    pub fn is(self, value: f64, other: f64) -> bool {
        match self {
            _ if value.is_nan() || other.is_nan() => other.is_nan() && !value.is_nan(),
            Self::Higher => value > other,
            Self::Lower => value < other,
        }
    }
}

impl Expr {
    /// Where its values are worse, if it says so: by the comparison whose left side its values are of.
    #[must_use]
    pub fn worse(&self) -> Option<Worse> {
        of(&self.tree)
    }
}

// The parser bounds the depth.
fn of(tree: &Tree) -> Option<Worse> {
    match &tree.node {
        Node::Paren(inner) => of(inner),
        Node::Binary(binary) => of_binary(binary),
        _ => None,
    }
}

fn of_binary(binary: &Binary) -> Option<Worse> {
    let Binary { op, left, right, bool, .. } = binary;
    // The values are those of the vector, wherever it stands.
    let flipped = left.yields == Type::Scalar;
    match op {
        Op::And | Op::Unless => of(left),
        Op::Or => of(left).filter(|worse| of(right) == Some(*worse)),
        _ if *bool => None,
        Op::Greater | Op::GreaterEqual => Some(if flipped { Worse::Lower } else { Worse::Higher }),
        Op::Less | Op::LessEqual => Some(if flipped { Worse::Higher } else { Worse::Lower }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direction_is_that_of_the_comparison() {
        for (text, worse) in [
            ("a > 5", Some(Worse::Higher)),
            ("5 < a", Some(Worse::Higher)),
            ("(rate(a[5m]) <= 0.5) and on () b > 3", Some(Worse::Lower)),
            ("a >= 5 unless b < 1", Some(Worse::Higher)),
            ("a > 5 or b > 7", Some(Worse::Higher)),
            ("a > 5 or b < 7", None),
            ("a == 0", None),
            ("a > bool 5", None),
            ("a", None),
            ("sum(a > 5)", None),
        ] {
            assert_eq!(super::super::parse(text).unwrap().worse(), worse, "{text}");
        }
        assert!(Worse::Higher.is(2.0, 1.0) && !Worse::Higher.is(1.0, 2.0) && Worse::Lower.is(1.0, 2.0));
        assert!(Worse::Lower.is(1.0, f64::NAN) && !Worse::Lower.is(f64::NAN, 1.0));
    }
}
