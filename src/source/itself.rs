//! What the agent itself costs, as the kernel accounts it. Linux alone; zeros elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::metrics::Vitals;
use crate::sys;

/// Clock ticks a second in `/proc`: fixed by the kernel's interface on every Linux platform.
const TICKS: f64 = 100.0;
/// Bytes of a page as `/proc/self/statm` counts them on the platforms we build for.
const PAGE: i64 = 4096;

/// Reads `/proc/self`.
#[must_use]
pub fn vitals() -> Vitals {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let (stat, boot, limits) = (read("/proc/self/stat"), read("/proc/stat"), read("/proc/self/limits"));
    let open_files = std::fs::read_dir("/proc/self/fd").map_or(0, |d| d.count().saturating_sub(1));
    parse(&stat, &boot, &limits, i64::try_from(open_files).unwrap_or(i64::MAX))
}

/// Bytes in RAM that nobody uses and that are worth giving back.
const IDLE: usize = 4 << 20;

/// Gives memory that was freed back to the system, if much of it is in RAM. What could not be given back the last time is
/// not tried again at once: it lies among pieces that are used, until those are freed as well.
pub fn give_memory_back() {
    static LEFT: AtomicUsize = AtomicUsize::new(0);
    let idle = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        Some(anonymous(&statm).saturating_sub(sys::memory_in_use()?))
    };
    let Some(now) = idle() else { return };
    let left = LEFT.load(Ordering::Relaxed);
    if now > left.saturating_add(IDLE) {
        sys::give_memory_back();
        LEFT.store(idle().unwrap_or_default(), Ordering::Relaxed);
    } else {
        LEFT.store(left.min(now) / 2, Ordering::Relaxed);
    }
}

/// Bytes in RAM that are of no file, of `/proc/self/statm` (proc(5)).
fn anonymous(statm: &str) -> usize {
    let mut pages = statm.split(' ').skip(1).map(|pages| pages.trim().parse::<usize>().unwrap_or_default());
    let (resident, shared) = (pages.next().unwrap_or_default(), pages.next().unwrap_or_default());
    resident.saturating_sub(shared) * usize::try_from(PAGE).unwrap_or_default()
}

/// `stat` is `/proc/self/stat`, `boot` is `/proc/stat`, `limits` is `/proc/self/limits` (proc(5)).
fn parse(stat: &str, boot: &str, limits: &str, open_files: i64) -> Vitals {
    // The name stands in brackets and may hold anything; what follows the last one is numbers.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    // The first field after the name is number 3 in the manual.
    let number = |n: usize| fields.get(n - 3).and_then(|f| f.parse::<i64>().ok()).unwrap_or_default();
    let booted =
        boot.lines().find_map(|l| l.strip_prefix("btime ")?.trim().parse::<f64>().ok()).unwrap_or_default();
    let max_files = limits.lines().find(|l| l.starts_with("Max open files"));
    Vitals {
        cpu_seconds: (number(14) + number(15)) as f64 / TICKS,
        threads: number(20),
        started: booted + number(22) as f64 / TICKS,
        virtual_memory: number(23),
        resident: number(24) * PAGE,
        open_files,
        max_files: max_files.and_then(|l| l.split_whitespace().nth(3)?.parse().ok()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_no_file_is_counted_in_bytes() {
        assert_eq!(anonymous("9000 700 300 5 0 400 0\n"), 400 * 4096);
        assert_eq!(anonymous(""), 0);
    }

    #[test]
    fn a_captured_process() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 5 0 5000 10485760 2560 1 1 1";
        let limits = "Limit  Soft  Hard  Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(
            parse(stat, "cpu 1 2\nbtime 1000\n", limits, 9),
            Vitals {
                cpu_seconds: 4.0,
                resident: 10_485_760,
                virtual_memory: 10_485_760,
                open_files: 9,
                max_files: 1024,
                threads: 5,
                started: 1050.0,
            }
        );
        assert_eq!(parse("", "", "", 0), Vitals::default());
    }
}
