//! Who is notified by the agent itself. A receiver is one file here and one row of [`open`].
//!
//! Each takes a notification that was put together and says what became of it; when the next attempt is, is not decided here.

mod body;
mod discord;
mod email;
mod exec;
mod pagerduty;
mod post;
mod slack;
mod teams;
mod text;
mod webhook;

use std::pin::Pin;
use std::sync::Arc;

use crate::alert::dispatch::Message;
use crate::render::Receiver;
use crate::trace::TraceContext;

pub use email::wrong_address;
pub(super) use webhook::watchdog;

/// Why a notification was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What happened. No secret is in it.
    pub(super) why: String,
    /// Whether the same would happen again.
    pub(super) lasts: bool,
}

impl Failure {
    /// It will not be taken later either.
    pub(super) fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), lasts: true }
    }

    /// It may be taken later.
    pub(super) fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), lasts: false }
    }
}

/// What becomes of a notification.
pub(super) type SendFuture<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// What a notification belongs to, if it belongs to a trace.
pub(super) type Trace<'a> = Option<&'a TraceContext>;

/// A way to notify.
pub(super) trait Deliver: Send + Sync + std::fmt::Debug {
    /// Sends a notification, which belongs to a trace if there is one. `url` is where people see the alerts.
    fn deliver<'a>(&'a self, message: &'a Message, url: &'a str, trace: Trace<'a>) -> SendFuture<'a>;
}

/// A receiver that can be notified.
#[derive(Debug)]
pub(super) struct Target {
    /// What it is: `slack`.
    pub(super) kind: &'static str,
    /// Which one, as it may be shown.
    pub(super) name: String,
    /// What it is called in the notification log: the same for the same settings.
    pub(super) id: Arc<str>,
    pub(super) how: Box<dyn Deliver>,
}

impl Target {
    /// A target. `identity` tells it from others of its kind; it may be a secret.
    fn new(kind: &'static str, name: impl Into<String>, identity: &str, how: impl Deliver + 'static) -> Self {
        let id = format!("{kind}:{:016x}", hash(identity)).into();
        Self { kind, name: name.into(), id, how: Box::new(how) }
    }
}

/// 64 bits of FNV-1a: the same in each process, as names in files must be.
fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Opens a receiver. Sends nothing.
///
/// # Errors
/// What is wrong with its settings.
pub(super) fn open(receiver: &Receiver) -> Result<Target, String> {
    match receiver {
        Receiver::Webhook(of) => webhook::open(of),
        Receiver::Slack(of) => slack::open(of),
        Receiver::Pagerduty(of) => pagerduty::open(of),
        Receiver::Teams(of) => teams::open(of),
        Receiver::Discord(of) => discord::open(of),
        Receiver::Email(of) => email::open(of),
        Receiver::Program(of) => exec::open(of),
    }
}
