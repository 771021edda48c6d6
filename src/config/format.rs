//! The named forms of text that settings have: what each is called, and what is wrong with a text that is none.

use crate::document::{Format, list, suggest};
use crate::listen::{Address, Bytes, Listen, Mode};
use crate::setting::{Invalid, Span};

/// The named forms of text that settings have.
pub const FORMATS: &[Format] = &[
    Format { name: "span", noun: "a span of time such as 5s", check: |text| reads::<Span>(text) },
    Format {
        name: "listen",
        noun: "an address such as udp://127.0.0.1:8125",
        check: |text| reads::<Listen>(text),
    },
    Format {
        name: "address",
        noun: "an address such as 127.0.0.1:9612",
        check: |text| reads::<Address>(text),
    },
    Format { name: "endpoint", noun: "a machine and a port such as 127.0.0.1:5000", check: endpoint },
    Format {
        name: "ipv4",
        noun: "an address such as 192.168.1.7",
        check: |text| {
            text.parse::<std::net::Ipv4Addr>().map(drop).map_err(|why| Invalid::new(why.to_string()))
        },
    },
    Format { name: "serial-port", noun: "the path of a port such as /dev/ttyUSB0", check: serial_port },
    Format { name: "usb-id", noun: "a USB id such as \"0403:6015\"", check: usb_id },
    Format { name: "usb-place", noun: "a place on USB such as 1-1.2", check: usb_place },
    Format { name: "host-name", noun: "the name of a machine such as lab.example.org", check: host_name },
    Format { name: "time-of-day", noun: "a time of day such as \"20:00\"", check: time_of_day },
    Format { name: "mode", noun: "a file mode such as \"0660\"", check: |text| reads::<Mode>(text) },
    Format { name: "bytes", noun: "a size such as 4MiB", check: |text| reads::<Bytes>(text) },
    Format { name: "regex", noun: "a regular expression", check: regex },
    Format {
        name: "log-selector",
        noun: "a selector such as {unit=\"neural-exporter.service\"}",
        check: log_selector,
    },
    Format { name: "log-filter", noun: "a level such as info", check: log_filter },
    Format {
        name: "benchmark-name",
        noun: "a name such as tuesday",
        check: |text| crate::view::benchmark::check_name(text).map_err(Invalid::new),
    },
    Format {
        name: "metric-pattern",
        noun: "the name of a metric such as neural_stage_*",
        check: metric_pattern,
    },
];

fn reads<T: std::str::FromStr<Err = Invalid>>(text: &str) -> Result<(), Invalid> {
    text.parse::<T>().map(drop)
}

/// A machine by name or address, and a port.
fn endpoint(text: &str) -> Result<(), Invalid> {
    let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains(['/', ' ', '@']));
    match parts.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(1..)) => Ok(()),
        _ => Err(Invalid::new(format!("\"{text}\" is not a machine and a port"))
            .hint("write it like 127.0.0.1:5000")),
    }
}

/// Where the node of a serial port is.
fn serial_port(text: &str) -> Result<(), Invalid> {
    if std::path::Path::new(text).is_absolute() {
        return Ok(());
    }
    Err(Invalid::new(format!("\"{text}\" is not the path of a port"))
        .hint("write it like /dev/ttyUSB0, as `neural-exporter devices` prints it"))
}

/// Vendor and product of a USB device.
fn usb_id(text: &str) -> Result<(), Invalid> {
    let hex = |part: &str| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.split_once(':') {
        Some((vendor, product)) if hex(vendor) && hex(product) => Ok(()),
        _ => Err(Invalid::new(format!("\"{text}\" is not a USB id"))
            .hint("write it like \"0403:6015\", as `neural-exporter devices` prints it")),
    }
}

/// The chain of USB ports a device hangs on, and perhaps one of its interfaces.
fn usb_place(text: &str) -> Result<(), Invalid> {
    let numbers = |part: &str, most: usize| {
        part.split('.').count() <= most
            && part.split('.').all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let (chain, interface) = text.split_once(':').map_or((text, None), |(chain, of)| (chain, Some(of)));
    let on_a_bus = chain.split_once('-').is_some_and(|(bus, ports)| numbers(bus, 1) && numbers(ports, 16));
    if on_a_bus && interface.is_none_or(|of| numbers(of, 2) && of.contains('.')) {
        return Ok(());
    }
    Err(Invalid::new(format!("\"{text}\" is not a place on USB"))
        .hint("write it like 1-1.2 or 1-1.2:1.0, as `neural-exporter devices` prints it"))
}

/// Names of metrics, with `*` for any characters.
fn metric_pattern(text: &str) -> Result<(), Invalid> {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_:*".contains(c)) {
        return Ok(());
    }
    Err(Invalid::new(format!("\"{text}\" is not the name of a metric"))
        .hint("write it like neural_stage_duration_seconds, or like neural_stage_* for all that begin so"))
}

/// The name under which a machine is reached, and perhaps a port.
fn host_name(text: &str) -> Result<(), Invalid> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let named = (1..=255).contains(&name.len()) && name.chars().all(plain);
    if named && port.is_none_or(|port| !port.starts_with('+') && port.parse::<u16>().is_ok()) {
        return Ok(());
    }
    Err(Invalid::new(format!("\"{text}\" is not the name of a machine"))
        .hint("write it like lab.example.org or lab.example.org:8443, without http:// and without a path"))
}

/// Hours and minutes.
fn time_of_day(text: &str) -> Result<(), Invalid> {
    let number = |part: &str, below: u8| {
        let two = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        two && part.parse::<u8>().is_ok_and(|number| number < below)
    };
    match text.split_once(':') {
        Some((hours, minutes)) if number(hours, 24) && number(minutes, 60) => Ok(()),
        _ => Err(Invalid::new(format!("\"{text}\" is not a time of day"))
            .hint("write it like \"20:00\", from \"00:00\" to \"23:59\"")),
    }
}

fn regex(text: &str) -> Result<(), Invalid> {
    crate::re2::compile(text)
        .map(drop)
        .map_err(|why| Invalid::new(format!("not a regular expression: {why}")))
}

fn log_selector(text: &str) -> Result<(), Invalid> {
    let inside = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    match inside.filter(|inside| inside.contains('=') && !inside.contains("|=") && !inside.ends_with('}')) {
        Some(_) => Ok(()),
        None => Err(Invalid::new(format!("\"{text}\" is not the selector of a log"))
            .hint("write it like {unit=\"neural-exporter.service\"}")),
    }
}

/// Whether a text is a level of the log, or a filter by part.
pub(crate) fn log_filter(text: &str) -> Result<(), Invalid> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    for part in text.split(',').map(str::trim) {
        let level = part.rsplit('=').next().unwrap_or(part).to_ascii_lowercase();
        let bare = !part.contains(['=', ':', '[']);
        if (bare || part.contains('=')) && !LEVELS.contains(&level.as_str()) {
            let meant = suggest(&level, LEVELS);
            let meant = meant.map(|word| format!(", did you mean \"{word}\"?")).unwrap_or_default();
            return Err(Invalid::new(format!("unknown level \"{level}\"{meant}"))
                .hint(format!("one of {}", list(LEVELS))));
        }
    }
    tracing_subscriber::EnvFilter::try_new(text)
        .map(drop)
        .map_err(|error| Invalid::new(format!("not a filter: {error}")))
}
