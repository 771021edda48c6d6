//! What a tree must fulfil beyond its grammar: types of operands and arguments, and modifiers that fit.

use super::lexer::SyntaxError;
use crate::promql::syntax::{Aggregate, At, Binary, Call, Length, Node, Shift, Tree, Type};

type Checked = Result<(), SyntaxError>;

/// Whether all parts of an expression have types that fit.
pub(super) fn check(expr: &Tree) -> Checked {
    match &expr.node {
        Node::Number { .. } | Node::Text(_) | Node::Selector(_) | Node::Range(..) => Ok(()),
        Node::Paren(inner) => check(inner),
        Node::Unary { operand, .. } => {
            check(operand)?;
            let yields = operand.yields;
            if matches!(yields, Type::Scalar | Type::Vector) {
                return Ok(());
            }
            let text = "unary expression only allowed on expressions of type scalar or instant vector";
            Err(SyntaxError::new(expr.at, format!("{text}, got {:?}", yields.name())))
        }
        Node::Subquery(subquery) => {
            check(&subquery.inner)?;
            if subquery.inner.yields == Type::Vector {
                return Ok(());
            }
            let got = subquery.inner.yields.name();
            Err(SyntaxError::new(
                expr.at,
                format!("subquery is only allowed on instant vector, got {got} instead"),
            ))
        }
        Node::Binary(binary) => operands(expr, binary),
        Node::Call(call) => arguments(expr, call),
        Node::Aggregate(aggregate) => aggregation(aggregate),
    }
}

fn expect(expr: &Tree, wanted: Type, place: &str) -> Checked {
    check(expr)?;
    let yields = expr.yields;
    if yields == wanted {
        return Ok(());
    }
    Err(SyntaxError::new(
        expr.at,
        format!("expected type {} in {place}, got {}", wanted.name(), yields.name()),
    ))
}

fn aggregation(aggregate: &Aggregate) -> Checked {
    expect(&aggregate.inner, Type::Vector, "aggregation expression")?;
    match (&aggregate.param, aggregate.op.param()) {
        (Some(param), Some(wanted)) => expect(param, wanted, "aggregation parameter"),
        _ => Ok(()),
    }
}

fn arguments(expr: &Tree, call: &Call) -> Checked {
    let Call { function, args } = call;
    let (least, most) = function.arguments();
    let count = args.len();
    let wrong = |what: String| {
        Err(SyntaxError::new(expr.at, format!("expected {what} in call to {:?}, got {count}", function.name)))
    };
    if least == most && count != most {
        return wrong(format!("{least} argument(s)"));
    }
    if count < least {
        return wrong(format!("at least {least} argument(s)"));
    }
    if count > most {
        return wrong(format!("at most {most} argument(s)"));
    }
    for (i, arg) in args.iter().enumerate() {
        let Some(wanted) = function.takes.get(i).or_else(|| function.takes.last()) else { continue };
        expect(arg, *wanted, &format!("call to function {:?}", function.name))?;
    }
    Ok(())
}

fn operands(expr: &Tree, binary: &Binary) -> Checked {
    let sides = [&binary.left, &binary.right];
    for side in sides {
        check(side)?;
        if !matches!(side.yields, Type::Scalar | Type::Vector) {
            return Err(SyntaxError::new(
                side.at,
                "binary expression must contain only scalar and instant vector types",
            ));
        }
    }
    if sides.iter().any(|side| side.yields == Type::Scalar) {
        if !binary.matching.labels.is_empty() {
            return Err(SyntaxError::new(expr.at, "vector matching only allowed between instant vectors"));
        }
        if binary.op.is_set() {
            let text = format!("set operator {:?} not allowed in binary scalar expression", binary.op.text());
            return Err(SyntaxError::new(expr.at, text));
        }
    }
    if binary.op.is_set() && binary.matching.many.is_some() {
        return Err(SyntaxError::new(
            expr.at,
            format!("no grouping allowed for {:?} operation", binary.op.text()),
        ));
    }
    Ok(())
}

/// The errors whose position is that of the operator.
pub(super) fn matching(binary: &Binary, at: usize) -> Checked {
    let Binary { op, left, right, bool, matching } = binary;
    if *bool && !op.compares() {
        return Err(SyntaxError::new(at, "bool modifier can only be used on comparison operators"));
    }
    let scalars = left.yields == Type::Scalar && right.yields == Type::Scalar;
    if op.compares() && !bool && scalars {
        return Err(SyntaxError::new(at, "comparisons between scalars must use BOOL modifier"));
    }
    match matching.labels.iter().find(|label| matching.on && matching.include.contains(label)) {
        Some(label) => Err(SyntaxError::new(
            at,
            format!("label {label:?} must not occur in ON and GROUP clause at once"),
        )),
        None => Ok(()),
    }
}

/// The modifiers of what may have them.
fn shift(expr: &mut Tree) -> Option<&mut Shift> {
    match &mut expr.node {
        Node::Selector(selector) | Node::Range(selector, _) => Some(&mut selector.shift),
        Node::Subquery(subquery) => Some(&mut subquery.shift),
        _ => None,
    }
}

const SHIFTED: &str = "must be preceded by an instant vector selector or range vector selector or a subquery";

pub(super) fn set_at(expr: &mut Tree, at: At) -> Checked {
    let place = expr.at;
    let Some(shift) = shift(expr) else {
        return Err(SyntaxError::new(place, format!("@ modifier {SHIFTED}")));
    };
    match shift.at.replace(at) {
        Some(_) => Err(SyntaxError::new(place, "@ <timestamp> may not be set multiple times")),
        None => Ok(()),
    }
}

pub(super) fn set_offset(expr: &mut Tree, offset: Length) -> Checked {
    let place = expr.at;
    let Some(shift) = shift(expr) else {
        return Err(SyntaxError::new(place, format!("offset modifier {SHIFTED}")));
    };
    match shift.offset.replace(offset) {
        Some(_) => Err(SyntaxError::new(place, "offset may not be set multiple times")),
        None => Ok(()),
    }
}
