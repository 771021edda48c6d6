"""The agent sends mail by itself, to aiosmtpd, beside Debian's Alertmanager with the same settings."""
from __future__ import annotations

import email
import email.policy
import html
import json
import re
import socket
import subprocess
import time

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from conftest import PROGRAM, free_port, wait_until
from provisioning import Authority
from test_notifications import alertmanager_of, configure, levels, notifying  # noqa: F401: levels is a fixture

USER, PASSWORD = "agent", "a-long-secret"


class MailServer:
    """aiosmtpd. It keeps what it takes, and answers what the test sets."""

    def __init__(self, context=None, implicit: bool = False, exclude=()):
        self.got, self.refused, self.sessions = [], 0, 0
        # Answers to DATA, one for each mail, and answers to addresses.
        self.answers, self.addresses = [], {}
        self.port = free_port()
        known = {"authenticator": self.authenticate, "auth_required": True} if context else {}
        tls = {"ssl_context": context, "auth_require_tls": False} if implicit else {"tls_context": context, "require_starttls": bool(context)}
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, auth_exclude_mechanism=list(exclude), **known, **tls)
        self.controller.start()

    def authenticate(self, server, session, envelope, mechanism, data):
        good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=good, auth_data=mechanism)

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = self.addresses.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):
        if self.answers:
            self.refused += 1
            return self.answers.pop(0)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.got.append((mail, envelope.mail_from, list(envelope.rcpt_tos), session.auth_data))
        return "250 OK"

    def stop(self) -> None:
        self.controller.stop()


@pytest.fixture
def mail_servers():
    made = []

    def make(*arguments, **keywords) -> MailServer:
        made.append(MailServer(*arguments, **keywords))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


def to(server: MailServer, folder, **more) -> dict:
    return {"email": {"to": "Lab <lab@lab.example>, night@lab.example", "from": "Agent <agent@lab.example>",
                      "smarthost": f"127.0.0.1:{server.port}", **more}}


def plain(server: MailServer, folder, **more) -> dict:
    return to(server, folder, require_tls=False, **more)


def secured(server: MailServer, authority: Authority, folder, **more) -> dict:
    password = folder / "password"
    # The Alertmanager of Debian takes a line end for a part of the password.
    password.write_text(PASSWORD)
    return to(server, folder, username=USER, password_file=str(password), ca_file=str(authority.folder / "ca.pem"), **more)


def parts(mail) -> dict:
    """The texts of a mail by their kind, without what names the process and with characters in place of entities."""
    texts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
    return {kind: html.unescape(text).replace("\r\n", "\n").strip() for kind, text in texts.items()}


@pytest.mark.versions
def test_a_mail_server_gets_what_alertmanager_sends_it(agents, levels, mail_servers, authority, tmp_path):
    """STARTTLS and a password; two alerts of a group that fire, and their end: subject, addresses and texts are the same."""
    context = authority.server("IP:127.0.0.1")
    # Alertmanager takes the first way that a server offers, and does not understand how this one asks for LOGIN.
    own, theirs = (mail_servers(context, exclude=["LOGIN"]) for _ in range(2))
    agent, other = agents("agent"), agents("other")
    notifying(agent, levels, tmp_path, [secured(own, authority, tmp_path)])
    configure(other, levels, tmp_path, [secured(theirs, authority, tmp_path)], {})
    server = alertmanager_of(other, tmp_path)
    try:
        configure(other, levels, tmp_path, [secured(theirs, authority, tmp_path)], {"alertmanagers": [{"url": f"http://127.0.0.1:{server.port}"}]})
        agent.start()
        other.start()
        time.sleep(4)
        levels.set(a=9)
        wait_until(lambda: own.got and theirs.got, 30, "the mail that it fires")
        levels.set(a=0)
        wait_until(lambda: len(own.got) > 1 and len(theirs.got) > 1, 90, "the mail that it is over")
    finally:
        server.stop()
    for (ours, sender, recipients, login), (their, *others) in zip(own.got, theirs.got, strict=True):
        assert [sender, recipients, login] == others
        assert (sender, recipients, login) == ("agent@lab.example", ["lab@lab.example", "night@lab.example"], "PLAIN")
        for name in ("From", "To"):
            assert [(one.display_name, one.addr_spec) for one in ours[name].addresses] == [(one.display_name, one.addr_spec) for one in their[name].addresses]
        assert ours["Subject"].strip() == their["Subject"].strip()
        assert parts(ours) == parts(their) and list(parts(ours)) == ["text/plain", "text/html"]
    first, last = (mail for mail, *_ in own.got)
    assert first["Subject"] == "[FIRING:1] NeuralLevel a box neural (device P0 critical)" and last["Subject"].startswith("[RESOLVED] NeuralLevel a ")
    assert "It is <high> & \"loud\"." in parts(first)["text/plain"] and "<high>" not in first.get_body(("html",)).get_content()
    assert first["Message-ID"] != last["Message-ID"] and first["References"] == last["References"] == last["In-Reply-To"]
    assert re.fullmatch(r"<alert-[0-9a-f]{16}-\d{4}-\d\d-\d\d@alertmanager>", first["References"])
    assert PASSWORD not in agent.told()


def test_tls_from_the_first_byte_and_the_old_way_to_log_in(agent, levels, mail_servers, authority, tmp_path):
    own = mail_servers(authority.server("IP:127.0.0.1"), implicit=True, exclude=["PLAIN"])
    notifying(agent, levels, tmp_path, [secured(own, authority, tmp_path, implicit_tls=True, html=False)])
    agent.start()
    time.sleep(4)
    levels.set(a=9)
    mail, *_, login = wait_until(lambda: own.got, 30, "the mail")[0]
    assert login == "LOGIN" and list(parts(mail)) == ["text/plain"]
    # The generated file has a word for it in place of a receiver that an Alertmanager cannot notify.
    into = tmp_path / "generated"
    subprocess.run([str(PROGRAM), "generate", "--config", str(agent.file), "--out", str(into)], check=True, capture_output=True)
    text = (into / "provisioning" / "alertmanager" / "alertmanager.yml").read_text()
    assert text.startswith("# alerts.receivers[0] is the agent's alone (respond.notify): ") and "email_configs" not in text


def test_a_certificate_of_others_is_not_trusted(agent, levels, mail_servers, authority, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    own = mail_servers(Authority(other).server("IP:127.0.0.1"))
    notifying(agent, levels, tmp_path, [secured(own, authority, tmp_path)])
    agent.start()
    time.sleep(4)
    levels.set(a=9)
    agent.says("takes no alerts, they wait: ", "invalid peer certificate", seconds=30)
    assert not own.got
    # Neither is a server that offers no TLS given a mail.
    own.stop()
    own.controller = Controller(own, hostname="127.0.0.1", port=own.port)
    own.controller.start()
    agent.says("it does not offer STARTTLS", seconds=60)
    assert not own.got


def test_what_passes_is_tried_again_and_what_lasts_is_not(agent, levels, mail_servers, tmp_path):
    own = mail_servers()
    own.answers = ["451 4.7.1 greylisted"] * 3
    notifying(agent, levels, tmp_path, [plain(own, tmp_path)])
    agent.start()
    time.sleep(4)
    levels.set(a=9)
    agent.says("takes no alerts, they wait: it answers 451", seconds=30)
    wait_until(lambda: own.got, 30, "the mail that was taken in the end")
    assert own.refused == 3 and len(own.got) == 1
    agent.says("takes alerts again")
    # One of two addresses does not exist: the other has the mail, once.
    own.addresses = {"night@lab.example": "550 5.1.1 no such user"}
    levels.set(b=9)
    wait_until(lambda: len(own.got) == 2, 30, "the mail to the one that exists")
    assert own.got[1][2] == ["lab@lab.example"]
    agent.says("a mail reached 1 of 2 recipients: night@lab.example: it answers 550")
    own.addresses["lab@lab.example"] = "550 5.1.1 no such user"
    levels.set(c=9)
    agent.says("takes no alerts, they wait: lab@lab.example: it answers 550", seconds=30)
    agent.until(lambda seen: seen.value("neural_agent_notification_failures_total", integration="email") == 4)
    time.sleep(5)
    assert agent.scrape().value("neural_agent_notification_failures_total", integration="email") == 4, "it is not tried again at once"
    assert len(own.got) == 2


def test_a_server_that_hangs_holds_nothing_up_and_gets_everything_later(agent, levels, mail_servers, tmp_path):
    own = mail_servers()
    own.stop()
    with socket.create_server(("127.0.0.1", own.port)) as silent:
        notifying(agent, levels, tmp_path, [plain(own, tmp_path)])
        agent.start()
        time.sleep(4)
        levels.set(a=9)
        silent.settimeout(30)
        held, _ = silent.accept()
        agent.says("it does not answer within 30 s", seconds=60)
        assert agent.get("/-/healthy")[0] == 200
        held.close()
    own.controller = Controller(own, hostname="127.0.0.1", port=own.port)
    own.controller.start()
    wait_until(lambda: own.got, 60, "the mail")
    time.sleep(2)
    assert len(own.got) == 1
    # It asserts that the end takes no longer than five seconds.
    agent.stop()


def test_the_report_of_each_day_arrives_as_a_mail(agent, mail_servers, tmp_path):
    """The verdict as its subject, in a text and in a page, and the report as a file that opens offline."""
    own = mail_servers()
    agent.configure([{"host": {"name": "host"}}], history={"interval": "1s"}, reports={"every": "day", "receivers": [plain(own, tmp_path)]})
    # What is wrong for a moment is tried again.
    own.answers.append("451 later")
    agent.start()
    wait_until(lambda: own.got, 60, "the mail")
    mail, sender, recipients, _ = own.got[0]
    assert own.refused == 1 and (sender, recipients) == ("agent@lab.example", ["lab@lab.example", "night@lab.example"])
    assert mail.get_content_type() == "multipart/mixed" and mail["Auto-Submitted"] == "auto-generated"
    [file] = mail.iter_attachments()
    report = file.get_content()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d-\d\d_day\.html", file.get_filename()) and file.get_content_type() == "text/html"
    assert report.startswith("<!doctype html>") and report.rstrip().endswith("</html>") and "neural-exporter report" in report
    usable = re.search(r"<p class=usable>(.*?)\.</p>", report)
    verdict = html.unescape(usable[1])
    assert mail["Subject"] == f"Report of the last day: {verdict}"
    texts = {kind: html.unescape(mail.get_body((kind,)).get_content()) for kind in ("plain", "html")}
    assert all(verdict in text and "/api/v1/report?format=html" in text for text in texts.values()), texts
    assert f"<b>{verdict}</b>" in texts["html"] and "<b>" not in texts["plain"]
    said = json.loads(subprocess.run([PROGRAM, "task", "list", "--output", "json", "--config", agent.file], capture_output=True, text=True, timeout=60).stdout)
    assert "sent to email" in said[0]["outcome"], said


def test_a_wrong_password_is_said_and_shown_nowhere(agent, levels, mail_servers, authority, tmp_path):
    own = mail_servers(authority.server("IP:127.0.0.1"))
    receiver = secured(own, authority, tmp_path)
    (tmp_path / "password").write_text("another-long-secret\n")
    notifying(agent, levels, tmp_path, [receiver])
    agent.start()
    time.sleep(4)
    levels.set(a=9)
    agent.says("takes no alerts, they wait: it answers 535", seconds=30)
    everything = agent.told() + agent.get("/")[2].decode() + agent.scrape().text + (tmp_path / "agent/state/notifications.json").read_text()
    assert "another-long-secret" not in everything and not own.got
    # The file is read for each mail.
    (tmp_path / "password").write_text(PASSWORD)
    wait_until(lambda: own.got, 90, "the mail of the group's next time")


def test_what_an_address_or_a_server_may_be_is_checked(agent, levels, tmp_path):
    for more, why in (({"smarthost": "mail.example.org"}, "smarthost is not a host and a port"),
                      ({"username": "me"}, "username has no password"),
                      ({"username": "me", "password_file": "/p", "smarthost": "mail.example.org:25", "require_tls": False}, "sent without TLS"),
                      ({"to": "a@lab\r\nRCPT TO:<b@lab>"}, "to: "),
                      ({"implicit_tls": True}, None)):
        of = {"to": "a@lab", "from": "b@lab", "smarthost": "127.0.0.1:25", **more}
        for notify in (True, False):
            configure(agent, levels, tmp_path, [{"email": of}], {"notify": notify})
            done = subprocess.run([str(PROGRAM), "check", "--config", str(agent.file)], capture_output=True, text=True)
            said = done.stdout + done.stderr
            if why is not None:
                assert done.returncode != 0 and why in said, said
            else:
                # Alertmanager begins with TLS on its own port alone.
                assert (done.returncode == 0) == notify and ("set respond.notify: true" in said) != notify, said
