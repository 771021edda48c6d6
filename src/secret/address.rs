//! Which parts of a URL are secret: who asks, what follows as a secret's name, and whatever looks like a key.

use super::name::{is_key, is_word, names_a_secret};
use super::{Address, Hook, Part, Redact};

/// Services whose paths are keys.
const SERVICES: &[&str] = &[
    "hooks.",
    "discord.com",
    "discordapp.com",
    "api.telegram.org",
    "webhook.office.com",
    "logic.azure.com",
    "api.powerplatform.com",
    "hc-ping.com",
    "healthchecks.io",
    "nosnch.in",
    "ntfy.sh",
    "chat.googleapis.com",
    "open.feishu.cn",
    "oapi.dingtalk.com",
    "qyapi.weixin.qq.com",
    "pushover.net",
    "cronitor.link",
    "uptime.betterstack.com",
];
/// Parts of a path after which a key comes.
const MARKERS: &[&str] = &["hooks", "webhook", "webhooks", "webhookb2", "services"];

/// The parts of a URL; of one that is none, nothing is shown that could be a password.
pub(super) fn address<'a>(url: &'a str, hook: bool, out: &mut Vec<Part<'a>>) {
    let begin = url.find("://").map_or(0, |place| place + 3);
    let (scheme, rest) = url.split_at(begin);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may have a slash or a question mark in it; then what stands before is no host with a port.
    let port =
        |host: &str| host.rsplit(':').next().is_some_and(|port| port.chars().all(|c| c.is_ascii_digit()));
    let (authority, _) = rest.split_at(end);
    let host = authority.starts_with('[') || !authority.contains(':') || port(authority);
    let user = match (authority.rfind('@'), rest.rfind('@')) {
        (Some(at), _) => Some(at),
        (None, Some(at)) if !host => Some(at),
        _ => None,
    };
    out.push(Part::Plain(scheme));
    let rest = match user {
        Some(at) => {
            let (user, rest) = rest.split_at(at);
            match user.split_once(':') {
                Some((user, password)) => {
                    out.extend([Part::Plain(user), Part::Plain(":"), Part::Hidden(password)]);
                }
                None => out.push(Part::Hidden(user)),
            }
            rest
        }
        None => rest,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    match authority.split_once(':').filter(|_| !host && user.is_none()) {
        Some((name, secret)) => out.extend([Part::Plain(name), Part::Plain(":"), Part::Hidden(secret)]),
        None => out.push(Part::Plain(authority)),
    }
    let (rest, fragment) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let name = authority.trim_start_matches('@').to_ascii_lowercase();
    let service = SERVICES.iter().any(|of| {
        if of.ends_with('.') {
            name.starts_with(of)
        } else {
            name.split(':').next().unwrap_or_default().ends_with(of)
        }
    });
    segments(path, service, hook, out);
    for (place, pair) in query.split_inclusive('&').enumerate() {
        let pair = if place == 0 { pair.strip_prefix('?').unwrap_or(pair) } else { pair };
        if place == 0 {
            out.push(Part::Plain("?"));
        }
        let (pair, and) = pair.split_at(pair.len() - usize::from(pair.ends_with('&')));
        match pair.split_once('=') {
            Some((name, value)) if hook || names_a_secret(name) || is_key(value) => {
                out.extend([Part::Plain(name), Part::Plain("=")]);
                if !value.is_empty() {
                    out.push(Part::Hidden(value));
                }
            }
            None if !pair.is_empty() && (hook || is_key(pair)) => out.push(Part::Hidden(pair)),
            _ => out.push(Part::Plain(pair)),
        }
        out.push(Part::Plain(and));
    }
    if let Some(inside) = fragment.strip_prefix('#').filter(|inside| !inside.is_empty()) {
        out.extend([Part::Plain("#"), Part::Hidden(inside)]);
    } else {
        out.push(Part::Plain(fragment));
    }
}

/// The parts of a path.
fn segments<'a>(path: &'a str, service: bool, hook: bool, out: &mut Vec<Part<'a>>) {
    let mut marked = service;
    for segment in path.split_inclusive('/') {
        let (name, slash) = segment.split_at(segment.len() - usize::from(segment.ends_with('/')));
        let secret =
            marked || is_key(name) || name.starts_with("bot") && name.contains(':') || hook && !is_word(name);
        out.push(if secret && !name.is_empty() { Part::Hidden(name) } else { Part::Plain(name) });
        out.push(Part::Plain(slash));
        marked |= MARKERS.contains(&name);
    }
}

impl Redact for Address {
    fn parts(text: &str) -> Vec<Part<'_>> {
        let mut out = Vec::new();
        address(text, false, &mut out);
        out
    }
}

impl Redact for Hook {
    fn parts(text: &str) -> Vec<Part<'_>> {
        let mut out = Vec::new();
        address(text, true, &mut out);
        out
    }
}
