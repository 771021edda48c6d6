//! What a panel asks besides, so that it says something where its own queries have no answer.

use std::fmt::Write as _;

use super::spec::Target;
use crate::catalog::draw::Panel;

/// The value of the series that a panel of states has where it has no other: Grafana 9 to 13 writes "No data in response"
/// there, and nothing else.
pub(super) const ABSENT: f64 = -1.0;

/// The same where nothing is because nobody looks, so that it does not look well.
pub(super) const UNKNOWN: f64 = -2.0;

/// The targets of a panel, with what says that there is nothing where nothing is; where `judged` has no answer, nobody knows.
pub(super) fn whole(panel: Panel, mut targets: Vec<Target>, judged: Option<&str>) -> Vec<Target> {
    match panel {
        Panel::States | Panel::Cells => {
            let all: Vec<String> = targets.iter().map(|target| format!("({})", target.expr)).collect();
            let nothing = match judged {
                Some(judged) => format!("(vector({ABSENT}) and on () ({judged}) or vector({UNKNOWN}))"),
                None => format!("vector({ABSENT})"),
            };
            let expr = format!("{nothing} unless on () ({})", all.join(" or "));
            let nothing = Target { expr, legend: "–".to_owned(), ..Target::default() };
            targets.push(nothing);
        }
        // A query that answers alone gives a column without a name.
        Panel::Table if targets.len() == 2 && targets.iter().all(|target| !target.legend.is_empty()) => {
            let exprs = [0, 1].map(|at| targets.get(at).map(|of| of.expr.clone()).unwrap_or_default());
            for (target, other) in targets.iter_mut().zip(exprs.iter().rev()) {
                let (own, theirs) = (grouped(&target.expr), grouped(other));
                if !own.is_empty() && own == theirs {
                    // Writing to a string cannot fail.
                    let _ = write!(target.expr, " or NaN * ({other})");
                }
            }
        }
        _ => {}
    }
    targets
}

/// The labels by which a query tells its series apart: of its lists the longest, of those the first. Bounds of buckets do not come
/// out of a query.
pub(super) fn grouped(expr: &str) -> Vec<&str> {
    let lists = expr.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    let lists = lists.map(|list| list.split(", ").filter(|label| *label != "le").collect::<Vec<_>>());
    lists.reduce(|most, of| if of.len() > most.len() { of } else { most }).unwrap_or_default()
}
