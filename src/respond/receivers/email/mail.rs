//! What a mail says: subject, the identity by which mails of a group are one conversation, text and page.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Message as Mail;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue, To};
use lettre::message::{Attachment, Mailboxes, MultiPart, SinglePart};

use super::super::text::{cut, lines, sha256};
use super::Email;
use crate::alert::dispatch::{Message, Status};
use crate::promql::Labels;
use crate::render::message;
use crate::respond::receivers::Failure;

/// Characters of a subject.
const SUBJECT: usize = 900;
/// Characters of the key of a group that name it in mails. Fact: `threading` in Alertmanager's `notify/email`.
const GROUP: usize = 16;

/// Says which program wrote it, so that no holiday notice answers. Fact: RFC 3834, section 5.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// A mail as it is sent.
pub(super) fn write(of: &Email, message: &Message, url: &str) -> Result<Vec<u8>, Failure> {
    let wrong = |why: lettre::error::Error| Failure::lasting(format!("the mail cannot be written: {why}"));
    let at = UNIX_EPOCH + Duration::from_millis(message.at.max(0).cast_unsigned());
    let thread = thread(message);
    let to: Mailboxes = of.to.iter().cloned().collect();
    let mail = Mail::builder()
        .from(of.from.clone())
        .header(To::from(to))
        .subject(subject(message))
        .date(at)
        .message_id(Some(identity(of, message)))
        .references(thread.clone())
        .in_reply_to(thread)
        .header(AutoSubmitted);
    let text = SinglePart::plain(lines(message::LINES, message, url)?);
    let page = if of.settings.html { Some(lines(message::HTML, message, url)?) } else { None };
    let both = |text, page| MultiPart::alternative().singlepart(text).singlepart(SinglePart::html(page));
    let mail = match (page, message.sheet.as_deref()) {
        (Some(page), None) => mail.multipart(both(text, page)),
        (None, None) => mail.singlepart(text),
        (page, Some(sheet)) => {
            let whole = MultiPart::mixed();
            let whole = match page {
                Some(page) => whole.multipart(both(text, page)),
                None => whole.singlepart(text),
            };
            let file = Attachment::new(sheet.file.clone()).body(sheet.html.clone(), ContentType::TEXT_HTML);
            mail.multipart(whole.singlepart(file))
        }
    };
    mail.map(|mail| mail.formatted()).map_err(wrong)
}

/// The name of this machine, for those that a mail passes through.
pub(super) fn host() -> String {
    let good = |name: &String| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
    };
    sysinfo::System::host_name().ok().filter(good).unwrap_or_else(|| "localhost".into())
}

/// The same for each attempt to deliver a notification: who gets it twice can tell.
fn identity(of: &Email, message: &Message) -> String {
    let to: Vec<&str> = of.to.iter().map(|to| to.email.as_ref()).collect();
    let key = sha256(&format!("{} {}", message.group_key, to.join(" ")));
    format!("<{}.{}@{}>", message.at, cut_key(&key, 2 * GROUP), host())
}

/// A mail that was never sent, which all mails of a group and a day answer. Fact: `threadRootID` in Alertmanager's `notify/email`.
fn thread(message: &Message) -> String {
    let day = crate::promql::moment(message.at);
    let day = day.split('T').next().unwrap_or_default();
    format!("<alert-{}-{day}@alertmanager>", cut_key(&sha256(&message.group_key), GROUP))
}

fn cut_key(key: &str, most: usize) -> &str {
    key.get(..most).unwrap_or(key)
}

/// Fact: `__subject` of Alertmanager's `default.tmpl`.
fn subject(message: &Message) -> String {
    let count = match message.status() {
        Status::Firing => format!(":{}", message.with_status(Status::Firing).count()),
        Status::Resolved => String::new(),
    };
    if let Some(sheet) = &message.sheet {
        let title = sheet.title.chars().map(|c| if c.is_control() { ' ' } else { c });
        return cut(title.collect::<String>().trim_end(), SUBJECT);
    }
    let (group, common) = (&message.group_labels, message.common_labels());
    let status = message.status().as_str().to_uppercase();
    let mut text = format!("[{status}{count}] {}", values(group, &Labels::empty()));
    if common.iter().count() > group.iter().count() {
        text.push_str(" (");
        text.push_str(&values(&common, group));
        text.push(')');
    }
    // A label comes from outside; a header is one line.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(text.trim_end(), SUBJECT)
}

/// The values of labels that others do not have, that of the alert's name first.
fn values(labels: &Labels, but: &Labels) -> String {
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for (name, value) in labels.iter().filter(|(name, _)| but.get(name).is_empty()) {
        if name == "alertname" { first.push(value) } else { rest.push(value) }
    }
    first.extend(rest);
    first.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::email;
    use super::*;
    use crate::respond::receivers::text::testing::message;

    #[test]
    fn subjects_are_those_of_alertmanager() {
        let labels = [("alertname", "X"), ("device", "a")];
        let mut two = message(2, "P0", "critical", Status::Firing);
        two.group_labels = Labels::from_pairs(labels.into_iter().take(1));
        assert_eq!(subject(&two), "[FIRING:2] X (P0 critical)");
        let mut over = message(1, "P0", "critical", Status::Resolved);
        over.group_labels = Labels::from_pairs([("device", "d0"), ("alertname", "X")]);
        assert_eq!(subject(&over), "[RESOLVED] X d0 (P0 critical)");
        over.group_labels = over.common_labels();
        assert_eq!(subject(&over), "[RESOLVED] X d0 P0 critical");
        over.group_labels = Labels::empty();
        assert_eq!(subject(&over), "[RESOLVED]  (X d0 P0 critical)");
    }

    #[test]
    fn what_is_in_a_label_is_in_no_header() {
        let mut evil = message(1, "P0\r\nBcc: all@example.org\r\n\r\nHello", "critical\u{0}", Status::Firing);
        evil.group_key = "{}:{a=\"\r\nBcc: x\"}".into();
        let mail =
            String::from_utf8(write(&email("a@lab, b@lab"), &evil, "http://lab\r\nBcc: y").unwrap()).unwrap();
        let (head, _) = mail.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_lowercase().contains("\nbcc:"), "{head}");
        assert!(head.lines().all(|line| line.len() <= 998), "{head}");
        assert!(head.contains("Subject: [FIRING:1] "), "{head}");
        // Lines may end in \r\n alone, or a server takes what follows for a mail of its own.
        assert!(mail.replace("\r\n", "").chars().all(|c| c != '\r' && c != '\n'));
        assert!(mail.is_ascii());
    }

    #[test]
    fn a_page_goes_beside_the_text_and_says_what_the_mail_is_called() {
        let mut with = message(1, "P0", "info", Status::Firing);
        let (title, file) = ("Report of the last day: Usable\r\nBcc: x", "2026-11-29T00-00_day.html");
        let html = "<p>\u{e4}</p>".to_owned();
        with.sheet = Some(std::sync::Arc::new(crate::alert::dispatch::Sheet {
            title: title.into(),
            file: file.into(),
            html,
        }));
        let mail = String::from_utf8(write(&email("a@lab"), &with, "http://lab").unwrap()).unwrap();
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains("Subject: Report of the last day: Usable") && !head.contains("\nBcc"),
            "{head}"
        );
        assert!(head.contains("multipart/mixed"), "{head}");
        assert!(
            body.contains("filename=\"2026-11-29T00-00_day.html\"") && body.contains("text/html"),
            "{body}"
        );
    }

    #[test]
    fn mails_of_a_group_are_one_conversation_and_an_attempt_has_one_identity() {
        let of = email("a@lab");
        let header = |message: &Message, name: &str| {
            let mail = String::from_utf8(write(&of, message, "http://lab").unwrap()).unwrap();
            let (head, _) = mail.split_once("\r\n\r\n").unwrap().to_owned();
            let head = head.replace("\r\n ", " ");
            head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap().to_owned()
        };
        let first = message(1, "P0", "critical", Status::Firing);
        let over = Message { at: 60_000, ..message(1, "P0", "critical", Status::Resolved) };
        assert_eq!(header(&first, "Message-ID"), header(&first, "Message-ID"));
        assert_ne!(header(&first, "Message-ID"), header(&over, "Message-ID"));
        assert_eq!(header(&first, "References"), header(&over, "References"));
        // Fact: SHA-256 of `{}`.
        assert_eq!(header(&first, "In-Reply-To"), "<alert-44136fa355b3678a-1970-01-01@alertmanager>");
        assert_eq!(header(&over, "Auto-Submitted"), "auto-generated");
        assert_eq!(header(&over, "Date"), "Thu, 01 Jan 1970 00:01:00 +0000");
    }

    #[test]
    fn text_from_outside_is_escaped_in_the_page() {
        let mut of = email("a@lab");
        let text = |of: &Email| {
            String::from_utf8(write(of, &message(60, "<b>", "high", Status::Firing), "http://lab").unwrap())
                .unwrap()
        };
        let both = text(&of);
        assert!(both.contains("multipart/alternative") && both.contains("text/html"), "{both}");
        let page = lines(message::HTML, &message(60, "<b>", "high", Status::Firing), "http://lab").unwrap();
        assert!(page.contains("&lt;loud&gt;") && !page.contains("<loud>"), "{page}");
        assert!(page.contains("d49") && !page.contains("d50") && page.contains("and 10 more"), "{page}");
        of.settings.html = false;
        let plain = text(&of);
        assert!(!plain.contains("multipart") && plain.contains("text/plain"), "{plain}");
    }
}
