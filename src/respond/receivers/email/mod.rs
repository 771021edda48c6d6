//! Mail, by SMTP. Fact: Alertmanager's `notify/email`.
//!
//! A notification is one mail to all recipients. A server that takes it for some of them alone has it for those; the others get it at the
//! next attempt, if the server may take it then.

mod line;
mod mail;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use lettre::message::Mailboxes;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::{Error, extension::ClientId};
use parking_lot::Mutex;
use tokio::net::TcpStream;

use self::line::{Line, encrypted};
use super::post::{READ, secret};
use super::{Deliver, Failure, SendFuture, Target, Trace};
use crate::alert::dispatch::Message;
use crate::client;
use crate::quote::quote;
use crate::render::{Email as Settings, Receiver};
use crate::source::aside::apart;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long everything may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How long the last word may take: the mail is there already.
const QUIT: Duration = Duration::from_secs(2);
/// Characters of an answer that are shown.
const SHOWN: usize = 200;
/// Bytes of a file with certificates.
const CERTIFICATES: u64 = 4 << 20;
/// Notifications of which is known that some recipients have them and others do not.
const PARTIAL: usize = 1_000;

/// A notification: its group, and when it was put together.
type Key = (Arc<str>, i64);

#[derive(Debug)]
struct Email {
    settings: Settings,
    host: String,
    port: u16,
    from: Mailbox,
    to: Vec<Mailbox>,
    /// Recipients that have a notification that others do not have.
    served: Mutex<BTreeMap<Key, BTreeSet<String>>>,
}

impl Deliver for Email {
    fn deliver<'a>(&'a self, message: &'a Message, url: &'a str, _: Trace<'a>) -> SendFuture<'a> {
        Box::pin(async move {
            let mail = mail::write(self, message, url)?;
            let key = (message.group_key.clone(), message.at);
            let late = || Failure::passing(format!("it does not answer within {} s", ANSWER.as_secs()));
            tokio::time::timeout(ANSWER, self.send(key, &mail)).await.unwrap_or_else(|_| Err(late()))
        })
    }
}

impl Email {
    /// Sends a mail to those recipients that do not have it.
    async fn send(&self, key: Key, mail: &[u8]) -> Result<(), Failure> {
        let password = match &self.settings.password_file {
            Some(file) => Some(secret(file.as_ref()).await?),
            None => None,
        };
        let mut session = self.connect().await?;
        if let Some((user, password)) = self.settings.username.clone().zip(password) {
            self.log_in(&mut session, user, password).await?;
        }
        let served = self.served.lock().get(&key).cloned().unwrap_or_default();
        let waiting = self.to.iter().map(|to| &to.email).filter(|to| !served.contains(to.as_ref() as &str));
        let outcome = transact(&mut session, &self.from.email, waiting, mail).await;
        drop(tokio::time::timeout(QUIT, session.quit()).await);
        self.account(key, served, outcome?)
    }

    /// What became of a mail that some recipients have.
    fn account(&self, key: Key, mut served: BTreeSet<String>, outcome: Outcome) -> Result<(), Failure> {
        served.extend(outcome.taken);
        let mut all = self.served.lock();
        if let Some(first) = outcome.later.into_iter().next() {
            if !served.is_empty() && all.len() < PARTIAL {
                all.insert(key, served);
            }
            return Err(first);
        }
        all.remove(&key);
        match outcome.refused.into_iter().next() {
            Some(first) if served.is_empty() => Err(first),
            // It is not sent to the others again for the sake of one that does not exist.
            Some(first) => {
                tracing::warn!(
                    "a mail reached {} of {} recipients: {}",
                    served.len(),
                    self.to.len(),
                    first.why
                );
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Connects, with TLS where that is asked for.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let late = |_| Failure::passing(format!("no connection within {} s", CONNECT.as_secs()));
        let stream = tokio::time::timeout(CONNECT, connecting).await.map_err(late)?;
        let stream = stream.map_err(|why| Failure::passing(format!("no connection: {why}")))?;
        let implicit = self.settings.is_implicit_tls();
        let tls = if implicit || self.settings.require_tls { Some(self.tls().await?) } else { None };
        let hello = ClientId::Domain(mail::host());
        let line: Box<dyn AsyncTokioStream> = match &tls {
            Some(tls) if implicit => {
                Box::new(encrypted(stream, tls.clone()).await.map_err(|why| failure(&why))?)
            }
            _ => Box::new(Line::new(stream)),
        };
        let opened = AsyncSmtpConnection::connect_with_transport(line, &hello).await;
        let mut session = opened.map_err(|why| failure(&why))?;
        if let Some(tls) = tls.filter(|_| !implicit) {
            if !session.can_starttls() {
                return Err(Failure::passing("it does not offer STARTTLS, and require_tls is true"));
            }
            session.starttls(tls, &hello).await.map_err(|why| failure(&why))?;
        }
        Ok(session)
    }

    /// Whom this trusts: read for each mail, as passwords are.
    async fn tls(&self) -> Result<TlsParameters, Failure> {
        let (host, file) = (self.host.clone(), self.settings.ca_file.clone());
        let key = file.clone().unwrap_or_else(|| "the certificates of this machine".into());
        let build = move || -> Result<TlsParameters, Failure> {
            // A provider that is installed already is fine with us.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let mut tls = TlsParameters::builder(host);
            if let Some(file) = file {
                let wrong =
                    |why: String| Failure::lasting(format!("cannot read certificates from {file}: {why}"));
                let pem = crate::sys::file::read(file.as_ref(), CERTIFICATES)
                    .map_err(|why| wrong(why.to_string()))?;
                let read = Certificate::from_pem(&pem).map_err(|why| wrong(why.to_string()))?;
                tls = tls.certificate_store(CertificateStore::None).add_root_certificate(read);
            }
            tls.build().map_err(|why| Failure::lasting(client::causes(&why)))
        };
        apart(&key, READ, build).await.map_err(Failure::passing)?
    }

    async fn log_in(
        &self,
        session: &mut AsyncSmtpConnection,
        user: String,
        password: String,
    ) -> Result<(), Failure> {
        // As Go's `smtp.PlainAuth`, by which Alertmanager logs in.
        if !session.is_encrypted() && !self.settings.is_local() && !self.settings.is_implicit_tls() {
            return Err(Failure::lasting("the password is not sent without TLS to another machine"));
        }
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        let done = session.auth(&mechanisms, &Credentials::new(user, password.clone())).await;
        done.map(drop).map_err(|why| {
            let Failure { why, lasts } = failure(&why);
            let known = [password.clone(), crate::secret::base64(&password)];
            Failure { why: crate::secret::scrub(&why, known.iter().map(String::as_str)), lasts }
        })
    }
}

/// Whom a server took a mail for, whom it may take it for later, and whom never.
#[derive(Debug, Default)]
struct Outcome {
    taken: Vec<String>,
    later: Vec<Failure>,
    refused: Vec<Failure>,
}

/// Gives a server a mail. The mail goes to those that it takes it for.
async fn transact(
    session: &mut AsyncSmtpConnection,
    from: &Address,
    to: impl Iterator<Item = &Address>,
    mail: &[u8],
) -> Result<Outcome, Failure> {
    let wrong = |why: Error| failure(&why);
    session.command(Mail::new(Some(from.clone()), Vec::new())).await.map_err(wrong)?;
    let mut outcome = Outcome::default();
    for to in to {
        let Err(why) = session.command(Rcpt::new(to.clone(), Vec::new())).await else {
            outcome.taken.push(to.to_string());
            continue;
        };
        let Failure { why: text, lasts } = failure(&why);
        let refused = Failure { why: format!("{to}: {text}"), lasts };
        match why.status() {
            // What is no answer is the end of the session.
            None => return Err(refused),
            Some(_) if lasts => outcome.refused.push(refused),
            Some(_) => outcome.later.push(refused),
        }
    }
    if !outcome.taken.is_empty() {
        session.command(Data).await.map_err(wrong)?;
        session.message(mail).await.map_err(wrong)?;
    }
    Ok(outcome)
}

/// Why a mail was not taken. An answer of 500 to 599 is for good.
fn failure(error: &Error) -> Failure {
    let mut why = client::causes(error);
    if let Some(status) = error.status() {
        let said = std::error::Error::source(error).map(|said| said.to_string()).unwrap_or_default();
        let said: String = said.trim().chars().take(SHOWN).collect();
        why = format!("it answers {status}: {}", quote(said));
    }
    Failure { why, lasts: error.is_permanent() }
}

/// From whom, and to whom.
fn addresses(of: &Settings) -> Result<(Mailbox, Vec<Mailbox>), String> {
    let read = |key: &str, text: &str| -> Result<Vec<Mailbox>, String> {
        // A mail cannot say which of two lines is the address.
        let all: Result<Mailboxes, _> = text.parse();
        let all: Vec<Mailbox> = all.map_err(|why| format!("{key}: {why}"))?.into();
        let plain = |one: &&Mailbox| AsRef::<str>::as_ref(&one.email).is_ascii();
        match all.iter().find(|one| !plain(one)) {
            Some(one) => Err(format!("{key}: {} has letters that not every mail server takes", one.email)),
            None => Ok(all),
        }
    };
    let [from] =
        <[Mailbox; 1]>::try_from(read("from", &of.from)?).map_err(|_| "from: it is not one address")?;
    let to = read("to", &of.to)?;
    if to.is_empty() { Err("to: there is no address".into()) } else { Ok((from, to)) }
}

/// What is wrong with the addresses of a receiver, if it has some.
#[must_use]
pub fn wrong_address(receiver: &Receiver) -> Option<String> {
    match receiver {
        Receiver::Email(of) => addresses(of).err(),
        _ => None,
    }
}

pub(super) fn open(of: &Settings) -> Result<Target, String> {
    let (host, port) = of.server().ok_or("smarthost is not a host and a port")?;
    let (from, to) = addresses(of)?;
    let names: Vec<&str> = to.iter().map(|to| to.email.as_ref()).collect();
    let name = names.join(", ");
    let identity = format!("{} {name}", of.smarthost);
    let email = Email {
        settings: of.clone(),
        host: host.to_owned(),
        port,
        from,
        to,
        served: Mutex::new(BTreeMap::new()),
    };
    Ok(Target::new("email", name, &identity, email))
}

#[cfg(test)]
mod tests;
