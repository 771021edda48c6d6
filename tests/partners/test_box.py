"""A box with nothing but the agent: a plug is pulled, and who has to know knows.

Independent: aiosmtpd, a webhook server, a program of the system, and a simulated board.
"""
from __future__ import annotations

import json

from conftest import wait_until
from test_incidents import cli, incidents, one
from test_mail import mail_servers, plain  # noqa: F401 - a fixture
from test_notifications import played  # noqa: F401 - a fixture
from test_simulate import simulate  # noqa: F401 - a fixture


def test_a_pulled_plug_reaches_a_webhook_a_mailbox_and_a_hook(agent, simulate, played, mail_servers, tmp_path):  # noqa: F811
    """By the alert that is shipped, evaluated by the agent itself."""
    mail, told = mail_servers(), tmp_path / "told"
    board = simulate("cyton", name="board")
    agent.configure(
        [{"serial": {"name": "board", "port": board.port, "protocol": "cyton"}}],
        history={"interval": "1s"},
        alerts={"receivers": [{"webhook": {"url": played[0].url}}, plain(mail, tmp_path)]},
        respond={"notify": True, "actions": {"dry_run": False},
                 "hooks": [{"name": "note", "match": {"alerts": ["NeuralDeviceUnplugged"]}, "verify": "5m",
                            "exec": {"command": ["sh", "-c", f"cat > {told}.new; mv {told}.new {told}"]}}]},
    )
    agent.start()
    agent.until(lambda seen: seen.value("neural_device_streaming", device="board") == 1)
    board.process.terminate()
    board.process.wait(20)

    opened = wait_until(lambda: incidents(agent, alert="NeuralDeviceUnplugged"), 120, "the incident")[0]
    assert opened["labels"]["source"] == "board"
    note = json.loads(wait_until(lambda: told.exists() and told.read_text(), 30, "the hook"))
    assert "NeuralDeviceUnplugged" in json.dumps(note)

    def posted(status: str) -> list[dict]:
        alerts = [alert for _, _, body in played[0].got for alert in body["alerts"]]
        return [alert for alert in alerts if alert["labels"]["alertname"] == "NeuralDeviceUnplugged" and alert["status"] == status]

    def mailed(word: str) -> list:
        return [mail for mail, *_ in mail.got if word in mail["Subject"] and "NeuralDeviceUnplugged" in mail["Subject"]]

    wait_until(lambda: posted("firing") and mailed("FIRING"), 120, "the notifications")
    assert posted("firing")[0]["labels"] == opened["labels"]

    assert "acknowledged" in cli(agent, "ack", opened["id"][:8], "--by", "ada", "--why", "I plug it in")
    simulate("cyton", name="board")
    wait_until(lambda: incidents(agent, alert="NeuralDeviceUnplugged", state="resolved"), 180, "the end of the incident")
    # That the hook helped is known a moment later, and then nothing changes any more.
    wait_until(lambda: incidents(agent, alert="NeuralDeviceUnplugged")[0]["actions"] == {"note": "succeeded"}, 20, "the record of the hook")
    over = one(agent, alert="NeuralDeviceUnplugged")
    assert [entry["what"] for entry in over["history"] if entry["what"] != "action"] == ["opened", "acknowledged", "resolved"]
    assert over in json.loads(cli(agent, "export"))["incidents"]
    wait_until(lambda: posted("resolved") and mailed("RESOLVED"), 400, "the notices that it is over")
    agent.until(lambda seen: seen.value("neural_actions_total", hook="note", step="succeeded") == 1)
    # Each once.
    assert (len(posted("firing")), len(posted("resolved")), len(mailed("FIRING")), len(mailed("RESOLVED"))) == (1, 1, 1, 1)
