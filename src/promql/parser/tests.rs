//! How expressions are read: their form, what binds what, and what is wrong with those that are refused.

use super::*;

fn written(text: &str) -> String {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
}

/// What is wrong with a text, without its place.
fn wrong(text: &str) -> (String, String) {
    let error = parse(text).map(|expr| panic!("{text} is read as {expr}")).unwrap_err();
    let (place, what) = error.text.split_once(": parse error: ").unwrap();
    (place.into(), what.into())
}

#[test]
fn expressions_are_written_in_one_form() {
    for (text, form) in [
        ("SUM BY(a,b)(x)", "sum by (a, b) (x)"),
        ("sum(x) without(a)", "sum without (a) (x)"),
        ("sum by() (x)", "sum(x)"),
        ("x{b='1',a=~`2`}[ 90s ]offset -1d", r#"x{a=~"2",b="1"}[1m30s] offset -1d"#),
        ("{__name__='x'}", r#"{__name__="x"}"#),
        (r#"{"a.b",c!="d"}"#, r#"{__name__="a.b",c!="d"}"#),
        ("x @ 1.5 offset 1w", "x @ 1.500 offset 1w"),
        ("rate(x[5m] @ end())[1h:]", "rate(x[5m] @ end())[1h:]"),
        ("a+on(b)group_left(c)d", "a + on (b) group_left (c) d"),
        ("a>bool-1", "a > bool -1"),
        ("-(1)^2", "-(1) ^ 2"),
        ("topk(3,x)#c", "topk(3, x)"),
        ("0x1F", "31"),
        ("x[5m+step()*2:max_of(1m,1s)]", "x[5m + step() * 2:max_of(1m, 1s)]"),
        ("x offset (1m)", "x offset (1m)"),
        ("sum + by * offset", "sum + by * offset"),
        ("a and on() b or c unless ignoring(d) e", "a and on () b or c unless ignoring (d) e"),
        ("sum by (\"a.b\", on) (x)", "sum by (\"a.b\", on) (x)"),
    ] {
        assert_eq!(written(text), form);
        assert_eq!(written(form), form);
    }
}

#[test]
fn operators_bind_as_in_prometheus() {
    let tree = |text: &str| {
        fn show(tree: &Tree) -> String {
            match &tree.node {
                Node::Binary(b) => format!("({} {} {})", show(&b.left), b.op.text(), show(&b.right)),
                Node::Unary { operand, .. } => format!("(-{})", show(operand)),
                _ => tree.to_string(),
            }
        }
        show(&parse(text).unwrap().tree)
    };
    for (text, shape) in [
        ("a + b * c ^ d ^ e", "(a + (b * (c ^ (d ^ e))))"),
        ("-a ^ b * c", "((-(a ^ b)) * c)"),
        ("a - b - c", "((a - b) - c)"),
        ("a or b and c == d", "(a or (b and (c == d)))"),
        ("a atan2 b % c", "((a atan2 b) % c)"),
        ("-1 ^ a", "(-(1 ^ a))"),
    ] {
        assert_eq!(tree(text), shape, "{text}");
    }
}

#[test]
fn what_is_wrong_has_a_place() {
    for (text, place, what) in [
        ("", "1:1", "no expression found in input"),
        ("a +", "1:4", "unexpected end of input"),
        ("a\n+ )", "2:3", "unexpected \")\""),
        ("rate(x)", "1:6", "expected type range vector in call to function \"rate\", got instant vector"),
        ("x[5m", "1:5", "unexpected end of input in subquery or range, expected \":\" or \"]\""),
        ("(x", "1:1", "unclosed left parenthesis"),
        ("foo(x)", "1:1", "unknown function with name \"foo\""),
        ("1 == 1", "1:3", "comparisons between scalars must use BOOL modifier"),
        ("a + bool b", "1:3", "bool modifier can only be used on comparison operators"),
        ("{}", "1:1", "vector selector must contain at least one non-empty matcher"),
        ("x{a=}", "1:5", "unexpected \"}\" in label matching, expected string"),
        (
            "sum(a, b)",
            "1:1",
            "wrong number of arguments for aggregate expression provided, expected 1, got 2",
        ),
        ("x[0]", "1:3", "duration must be greater than 0"),
        ("x[0.0004]", "1:3", "duration must be at least 1ms"),
        ("x[1m*Inf]", "1:6", "duration out of range"),
        ("x offset NaN", "1:10", "duration out of range"),
        (
            "1 offset 5m",
            "1:1",
            "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        ("a and 1", "1:1", "set operator \"and\" not allowed in binary scalar expression"),
        ("x[5m] + 1", "1:1", "binary expression must contain only scalar and instant vector types"),
        ("a{b=\"\\q\"}", "1:5", "unknown escape sequence \\q"),
        ("round(x, 1, 2)", "1:1", "expected at most 2 argument(s) in call to \"round\", got 3"),
    ] {
        assert_eq!(wrong(text), (place.to_owned(), what.to_owned()), "{text}");
    }
}

#[test]
fn what_needs_a_flag_or_native_histograms_is_named() {
    for (text, name) in [
        ("limitk(1, x)", "limitk()"),
        ("mad_over_time(x[5m])", "mad_over_time()"),
        ("histogram_sum(x)", "native histograms"),
        ("x[5m] anchored", "anchored"),
        ("a + fill(0) b", "fill"),
        ("a </ b", "</"),
        ("start()", "start()"),
    ] {
        let (_, what) = wrong(text);
        assert!(what.contains(name) && what.contains("not supported"), "{text}: {what}");
    }
}

#[test]
fn depth_is_bounded() {
    let many = 100_000;
    for text in [
        "(".repeat(many),
        "-".repeat(many),
        "abs(".repeat(many),
        format!("1{}", "+1".repeat(many)),
        format!("1{}", "^1".repeat(many)),
        format!("x[{}1m", "(".repeat(many)),
        format!("x[1m{}]", "+1m".repeat(many)),
        format!("x{}", "[1m:]".repeat(many)),
    ] {
        assert!(parse(&text).is_err());
    }
    let text = format!("1{}", "+1".repeat(DEPTH - 1));
    assert_eq!(parse(&text).map(|expr| expr.tree.depth), Ok(DEPTH));
}

#[test]
fn selectors_alone_are_read() {
    let read =
        |text: &str| parse_selector(text).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(read("up{a=\"b\"}").unwrap(), [r#"a="b""#, r#"__name__="up""#]);
    assert!(read("up + 1").is_err() && read("{}").is_err() && read("{a=\"\"}").is_err());
}
