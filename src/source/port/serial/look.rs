//! Whether a port is there, can be opened, and can be offered to a program.

use super::Serial;
use crate::quote::plain;
use crate::source::look::{Finding, Verdict, folder, may_write, nearest};
use crate::source::port::tap;
use crate::source::port::usb::{Missing, Roots, holders, is_serial, listed, may_open, not_permitted};

/// The port of a board, and its tap.
pub(super) fn look(path: &str, of: &Serial, running: bool) -> Vec<Finding> {
    let roots = Roots::default();
    let which = of.which();
    let mut found = Vec::new();
    found.push(match which.find(&roots) {
        Err(Missing::Absent(why)) => Finding::new(path, &which, Verdict::Failed, why)
            .hint("plug it in; `neural-exporter devices` lists the ports"),
        Err(Missing::Ambiguous(why)) => {
            Finding::new(path, &which, Verdict::Failed, why).hint("name it by its serial number or place")
        }
        Err(Missing::NotPermitted(why)) => Finding::new(path, &which, Verdict::Failed, why),
        Ok(node) if !is_serial(&roots, &node.path) => {
            Finding::new(path, node.path.display(), Verdict::Failed, "is not a serial port")
                .hint("`neural-exporter devices` lists the ports")
        }
        Ok(node) if !may_open(&node.path) => {
            let advice = not_permitted(&roots, &node.path, node.usb.as_ref());
            let message = format!("may not be opened: it is {}'s", advice.owner);
            Finding::new(path, node.path.display(), Verdict::Failed, message).hint(advice.to_string())
        }
        Ok(node) => {
            let busy = holders(&roots, &node.path);
            match busy.is_empty() {
                true => Finding::new(path, node.path.display(), Verdict::Ok, "may be opened"),
                false if running && busy.iter().all(|holder| holder.command == own_name()) => {
                    Finding::new(path, node.path.display(), Verdict::Ok, "a running neural-exporter has it")
                }
                false => {
                    let message = format!("in use by {}", listed(&busy));
                    let hint = "stop that program, or let it open a `tap` of the agent instead of the port";
                    Finding::new(path, node.path.display(), Verdict::Failed, message).hint(hint)
                }
            }
        }
    });
    if let Some(tap) = &of.tap {
        found.push(match (tap::replaceable(tap), may_write(nearest(folder(tap)))) {
            (Ok(()), Ok(())) => Finding::new(path, tap.display(), Verdict::Ok, "the link can be made"),
            (Err(why), Ok(())) => Finding::new(path, tap.display(), Verdict::Failed, why)
                .hint("remove it, or set tap to another place"),
            (_, Err(why)) => {
                let hint = format!("let the agent's user write in {}", folder(tap).display());
                let message = format!("the link cannot be made: {}", plain(&why));
                Finding::new(path, tap.display(), Verdict::Failed, message).hint(hint)
            }
        });
    }
    found
}

/// The name of this program, as the kernel has it.
fn own_name() -> String {
    std::fs::read_to_string("/proc/self/comm").map(|name| name.trim_end().to_owned()).unwrap_or_default()
}
