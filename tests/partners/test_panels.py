"""What panels say of series that are written down here, by their own queries.

Independent: promtool, which evaluates the query of a panel as Prometheus does, at a time that the test chooses.
"""
from __future__ import annotations

import json
import math
import re
import subprocess

import pytest

from conftest import program
from test_broken import colour, panel
from test_dashboards import BOARDS, filled

RIG = 'job="neural",instance="rig:9612"'


class Lab:
    """Series, each as promtool writes them: `5x30` for half an hour of fives, one a minute."""

    def __init__(self, folder, series: dict[str, str]):
        self.folder = folder
        self.series = [{"series": name, "values": values} for name, values in series.items()]

    def asked(self, board: str, title: str, minute: int, reach: str = "30m", rate: str = "2m") -> list[dict]:
        """Labels and value of each series that the panel has at a minute."""
        found: list[dict] = []
        for target in panel(board, title)["targets"]:
            more = {"legend": target["legendFormat"], "column": f"Value #{target['refId']}"}
            found += [{**sample, **more} for sample in self.answer(board, target["expr"], minute, reach, rate)]
        return found

    def answer(self, board: str, expr: str, minute: int, reach: str = "30m", rate: str = "2m") -> list[dict]:
        """What a query of a board answers."""
        # It says what it got where it expected something else.
        test = {"expr": filled(BOARDS[board], expr, rate, reach), "eval_time": f"{minute}m", "exp_samples": [{"labels": "none{}", "value": 0}]}
        case = {"tests": [{"interval": "1m", "input_series": self.series, "promql_expr_test": [test]}]}
        file = self.folder / "case.json"
        file.write_text(json.dumps(case))
        said = subprocess.run([program("promtool"), "test", "rules", str(file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        return got(said)

    def rows(self, board: str, title: str, minute: int, key: str, reach: str = "30m") -> dict[str, dict]:
        """The rows of a table by one of their labels, each a value by the title of its column."""
        renamed = panel(board, title)["transformations"][-1]["options"]["renameByName"]
        rows: dict[str, dict] = {}
        for one in self.asked(board, title, minute, reach):
            rows.setdefault(one[key], {})[renamed[one["column"]]] = one["value"]
        return rows

    def marked(self, board: str, name: str, minute: int) -> list[dict]:
        """What an annotation of a board marks at a minute."""
        (mark,) = [of for of in BOARDS[board]["annotations"]["list"] if of["name"] == name]
        return self.answer(board, mark["expr"], minute)


WORD = r'"(?:[^"\\]|\\.)*"'
SAMPLE = re.compile(r'\{((?:[^"}]|WORD)*)\} ([^\s,]+)'.replace("WORD", WORD))
PAIR = re.compile(r"(\w+)=(WORD)".replace("WORD", WORD))


def got(said: str) -> list[dict]:
    """The samples after `got:` in what promtool writes: `{a="b"} 1E+00, {a="c"} 2E+00`."""
    assert "got:" in said, said
    samples = SAMPLE.findall(said.split("got:")[1])
    return [{**{key: json.loads(word) for key, word in PAIR.findall(labels)}, "value": float(value)} for labels, value in samples]


def numbers(found: list[dict], *labels: str) -> dict:
    return {tuple(one.get(label) for label in labels): one["value"] for one in found}


def test_when_it_was_recorded_can_be_seen(tmp_path):
    lab = Lab(tmp_path, {
        f'neural_program_expected_state{{{RIG},source="intan"}}': "1x10 0x10 1x10",
        f'neural_tap_open{{{RIG},device="daisy"}}': "0x5 1x25",
        f'neural_stream_present{{{RIG},source="lsl",stream="eeg"}}': "1x30",
    })
    title = "Recording over time"
    said = lambda minute: numbers(lab.asked("overview", title, minute), "source", "device", "stream")
    intan, tap, stream = ("intan", None, None), (None, "daisy", None), ("lsl", None, "eeg")
    assert said(3) == {intan: 1, tap: 0, stream: 1}
    assert said(15) == {intan: 0, tap: 1, stream: 1}
    assert said(28) == {intan: 1, tap: 1, stream: 1}
    words = panel("overview", title)["fieldConfig"]["defaults"]["mappings"][0]["options"]
    assert {state: word["text"] for state, word in words.items()} == {"1": "yes", "0": "no", "-1": "nothing is expected"}
    assert (words["1"]["color"], words["0"]["color"]) == ("green", "red")


CHANNEL = f'{RIG},device="cyton",channel="1"'
WATCHDOG = 'ALERTS{alertname="NeuralWatchdog",alertstate="firing",severity="info",priority="P3",component="agent"}'


@pytest.mark.parametrize(("board", "title", "words", "looks"), [
    ("overview", "Recording over time", "nothing is expected", "up"),
    ("overview", "Sources that were down", "none was down", "up"),
    ("channels", "Why channels are bad", "no channel is bad", f"neural_channel_quality_ratio{{{CHANNEL}}}"),
    ("channels", "Quality of channels", "no signal", "up"),
    ("devices", "Streaming", "no device", "up"),
    ("alerts", "Alerts over time", "no alert fired", WATCHDOG),
    ("gpu", "Throttled, by reason", "none throttled", f'neural_gpu_throttled{{{RIG},gpu="0",reason="power_cap"}}'),
    ("agent", "Sources whose polls failed", "none failed", f'neural_source_poll_success{{{RIG},source="a"}}'),
])
def test_where_there_is_nothing_that_is_said(tmp_path, board, title, words, looks):
    lab = Lab(tmp_path, {
        f'up{{{RIG}}}': "1x30", f'neural_source_up{{{RIG},source="a"}}': "1x30", looks: "0x30" if "throttled" in looks else "1x30",
    })
    (nothing,) = lab.asked(board, title, 20)
    assert nothing["value"] == -1, nothing
    assert panel(board, title)["fieldConfig"]["defaults"]["mappings"][0]["options"]["-1"]["text"] == words


@pytest.mark.parametrize(("board", "title", "words"), [
    ("overview", "Sources that were down", "no agent"),
    ("agent", "Inputs that were down", "no agent"),
    ("channels", "Why channels are bad", "no signal"),
    ("gpu", "Throttled, by reason", "no GPU"),
    ("agent", "Sources whose polls failed", "none is polled"),
    ("alerts", "Alerts over time", "not evaluated"),
])
def test_where_nobody_looks_it_is_not_said_that_all_is_well(tmp_path, board, title, words):
    (nothing,) = Lab(tmp_path, {f'up{{{RIG}}}': "1x30"}).asked(board, title, 20)
    assert nothing["value"] == -2, nothing
    said = panel(board, title)["fieldConfig"]["defaults"]["mappings"][0]["options"]
    assert said["-2"]["text"] == words and said["-2"]["color"] not in ("green", said["-1"]["color"]), said


def test_a_device_that_went_has_no_signal_from_then_on(tmp_path):
    lab = Lab(tmp_path, {
        f"neural_channel_info{{{CHANNEL}}}": "1x20 stale", f"neural_channel_quality_ratio{{{CHANNEL}}}": "1x20 stale",
        f'neural_channel_bad{{{CHANNEL},reason="flat"}}': "0x10 1x10 stale",
    })
    assert [lab.asked("channels", "Why channels are bad", minute)[0]["value"] for minute in (5, 15, 25)] == [-1, 1, -2]


@pytest.mark.parametrize(("board", "title", "series", "well", "wrong"), [
    ("agent", "Inputs that were down", f'neural_source_up{{{RIG},source="a"}}', 1, 0),
    ("overview", "Sources that were down", f'neural_source_up{{{RIG},source="a"}}', 1, 0),
    ("gpu", "Throttled, by reason", f'neural_gpu_throttled{{{RIG},gpu="0",reason="power_cap"}}', 0, 1),
    ("streams", "Expected streams", f'neural_stream_present{{{RIG},source="lsl",stream="eeg"}}', 1, 0),
    ("devices", "Streaming", f'neural_device_streaming{{{RIG},device="cyton"}}', 1, 0),
    ("services", "Service health over time", f'neural_check_status{{{RIG},check="disk"}}', 0, 2),
])
def test_what_lasted_a_moment_is_seen_over_a_day(tmp_path, board, title, series, well, wrong):
    """Over a day two points of a row are minutes apart."""
    lab = Lab(tmp_path, {f'up{{{RIG}}}': "1x60", series: f"{well}x40 {wrong}x1 {well}x18"})
    said = lambda minute, step: [one["value"] for one in lab.asked(board, title, minute, "60m", step)]
    assert said(50, "15m") == [wrong]
    assert said(30, "15m") in ([well], [-1]) and said(50, "1m") == [well]


def test_a_port_is_as_bad_as_at_its_worst(tmp_path):
    port = lambda state, values: {f'neural_port_state{{{RIG},device="daisy",state="{state}"}}': values}
    lab = Lab(tmp_path, {**port("open", "1x40 0x1 1x18"), **port("absent", "0x40 1x1 0x18"), **port("busy", "0x60")})
    said = lambda minute, step: numbers(lab.asked("devices", "Port", minute, "60m", step), "device")
    assert said(50, "15m") == {("daisy",): 4} and said(30, "15m") == said(50, "1m") == {("daisy",): 1}


def test_programs_that_do_not_run_are_seen(tmp_path):
    group = lambda name: f'neural_process_instances{{{RIG},group="{name}"}}'
    lab = Lab(tmp_path, {group("recorder"): "3x30", group("decoder"): "1x10 0x20"})
    assert [lab.asked("system", "Programs running", minute)[0]["said"] for minute in (5, 20)] == ["2 of 2", "1 of 2"]
    assert [lab.asked("system", "Programs running", minute)[0]["value"] > 0 for minute in (5, 20)] == [False, True]


def test_alerts_over_time_are_the_worst_of_each_component(tmp_path):
    firing = 'alertstate="firing",severity="x"'
    lab = Lab(tmp_path, {
        f'ALERTS{{{firing},alertname="A",component="device",priority="P2",{RIG}}}': "1x30",
        f'ALERTS{{{firing},alertname="B",component="device",priority="P0",{RIG}}}': "_x10 1x5 stale",
        f'ALERTS{{{firing},alertname="C",component="host",priority="P3"}}': "1x30",
    })
    said = lambda minute: numbers(lab.asked("alerts", "Alerts over time", minute), "component")
    assert said(5) == {("device",): 2, ("host",): 1} and said(12) == {("device",): 4, ("host",): 1}
    assert said(25) == {("device",): 2, ("host",): 1}


def test_a_device_that_streams_takes_the_place_of_the_words(tmp_path):
    lab = Lab(tmp_path, {f'neural_device_streaming{{{RIG},device="cyton"}}': "_x10 1x20"})
    assert numbers(lab.asked("devices", "Streaming", 5), "device") == {(None,): -1}
    assert numbers(lab.asked("devices", "Streaming", 20), "device") == {("cyton",): 1}


def test_a_device_that_was_unplugged_before_is_neither_forgotten_nor_recorded(tmp_path):
    """After it left, gauges of a device and of its tap are gone, and counters and the state of its port stay."""
    port = lambda device, state, values: {f'neural_port_state{{{RIG},device="{device}",state="{state}"}}': values}
    lab = Lab(tmp_path, {
        f'up{{{RIG}}}': "1x120",
        f'neural_device_streaming{{{RIG},device="cyton"}}': "1x120", f'neural_device_frames_total{{{RIG},device="cyton"}}': "0+1x120",
        **port("cyton", "open", "1x120"), **port("daisy", "open", "1x20 0x100"), **port("daisy", "absent", "0x20 1x100"),
        f'neural_device_frames_total{{{RIG},device="daisy"}}': "0+1x20 20x100", f'neural_device_streaming{{{RIG},device="daisy"}}': "1x20 stale",
        f'neural_device_info{{{RIG},device="daisy"}}': "1x20 stale", f'neural_device_frames_total{{{RIG},device="lsl/eeg"}}': "5x120",
        # A stream that ended long ago, and one of markers, which streams only now and then.
        f'neural_source_up{{{RIG},source="lsl/eeg"}}': "0x120", f'neural_source_up{{{RIG},source="lsl/marks"}}': "1x120",
        f'neural_device_frames_total{{{RIG},device="lsl/marks"}}': "5x120",
        f'neural_tap_open{{{RIG},device="daisy"}}': "1x20 stale", f'neural_tap_opens_total{{{RIG},device="daisy"}}': "1x120",
    })
    streams = lambda minute: {of: row["Streams"] for of, row in lab.rows("devices", "Devices", minute, "device").items() if "Streams" in row}
    assert streams(10) == {"cyton": 1, "daisy": 1, "lsl/eeg": -1}
    # Within the half hour that is looked at it was there; later only its port tells of it.
    assert streams(40)["daisy"] == -1 and streams(100) == {"cyton": 1, "daisy": -2, "lsl/eeg": -1}
    words = next(of for of in panel("devices", "Devices")["fieldConfig"]["overrides"] if of["matcher"]["options"] == "Streams")
    assert '"no"' in json.dumps(words)
    over_time = lambda minute: numbers(lab.asked("devices", "Streaming", minute), "device")
    assert over_time(10)[("daisy",)] == 1 and over_time(100)[("daisy",)] == over_time(100)[("lsl/eeg",)] == -3
    for board, title in (("devices", "Recorded"), ("overview", "Recording over time")):
        recorded = lambda minute: numbers(lab.asked(board, title, minute), "device")[("daisy",)]
        assert (recorded(10), recorded(100)) == (1, 0), title
    assert [lab.asked("overview", "Recording", minute)[0]["said"] for minute in (10, 100)] == ["1 of 1", "0 of 1"]
    # A device that is gone is none that is connected, however long ago that was.
    said = lambda title: [lab.asked("devices", title, minute)[0]["said"] for minute in (10, 40, 100)]
    assert said("Connected devices") == said("Streaming now") == ["2 of 3", "1 of 3", "1 of 3"]


@pytest.mark.parametrize(("board", "title"), [("overview", "Alerts that fire"), ("alerts", "Active alerts"), ("alerts", "Alert history")])
def test_where_an_alert_is_begins_with_the_thing(tmp_path, board, title):
    one = lambda name, labels: f'alertname="{name}",severity="high",priority="P1",component="device",{RIG},{labels}'
    alerts = {"A": 'device="daisy",source="daisy"', "B": 'device="daisy",source="daisy",channel="3"', "C": 'source="lsl",stream="eeg"'}
    lab = Lab(tmp_path, {f'{metric}{{{one(name, labels)}{more}}}': values for name, labels in alerts.items()
                         for metric, more, values in (("ALERTS", ',alertstate="firing"', "1x30"), ("ALERTS_FOR_STATE", "", "0x30"))})
    # A browser writes several blanks as one.
    said = {found["alertname"]: " ".join(found["where"].split()) for found in lab.asked(board, title, 20)}
    assert said == {"A": "daisy rig", "B": "daisy 3 rig", "C": "lsl eeg rig"}


def test_time_that_is_unknown_is_no_time_that_is_down(tmp_path):
    state = lambda name, of: f'neural_probe_state_seconds_total{{{RIG},source="{name}",state="{of}"}}'
    lab = Lab(tmp_path, {
        state("a", "healthy"): "0+45x60", state("a", "unhealthy"): "0+15x60", state("a", "unknown"): "0x60", state("a", "degraded"): "0x60",
        state("b", "healthy"): "0+15x60", state("b", "unhealthy"): "0x60", state("b", "unknown"): "0+45x60", state("b", "degraded"): "0x60",
        state("c", "healthy"): "0x60", state("c", "unhealthy"): "0x60", state("c", "unknown"): "0+60x60", state("c", "degraded"): "0x60",
    })
    of = {name: row["Availability"] for name, row in lab.rows("services", "Targets", 60, "source").items()}
    assert of == pytest.approx({"a": 0.75, "b": 1})


def test_the_budget_of_a_probe_is_what_is_left_of_what_may_fail(tmp_path):
    of = lambda name, window: f'source:neural_probe_unhealthy:ratio_rate{window}{{{RIG},source="{name}"}}'
    # 99 % are wanted: one minute in a hundred may be missed.
    lab = Lab(tmp_path, {of("half", "5m"): "0x99 0.5 0x100", of("half", "1h"): "0.005x200", of("gone", "5m"): "0.1x200", of("gone", "1h"): "0.144x200",
                         of("fine", "5m"): "0x200", of("fine", "1h"): "0x200"})
    rows = lab.rows("services", "Error budget left of probes, 30 days", 199, "source")
    assert rows["fine"] == {"Availability": 1, "Budget left": 1}
    assert rows["half"] == {"Availability": pytest.approx(0.9975), "Budget left": pytest.approx(0.75)}
    assert rows["gone"] == {"Availability": pytest.approx(0.9), "Budget left": pytest.approx(-9)}
    burns = numbers(lab.asked("services", "Burn rate of probes", 199), "source")
    assert burns == pytest.approx({("half",): 0.5, ("gone",): 14.4, ("fine",): 0})


def test_losses_are_counted_by_the_minute(tmp_path):
    lab = Lab(tmp_path, {
        f'neural_device_lost_packets_total{{{RIG},device="cyton"}}': "0+5x10 50+0x20",
        f'neural_device_lost_packets_total{{{RIG},device="daisy"}}': "0x30",
    })
    of = lambda minute: numbers(lab.asked("devices", "Packets lost per minute", minute), "device")
    assert of(8) == pytest.approx({("cyton",): 5, ("daisy",): 0})
    assert of(25) == pytest.approx({("cyton",): 0, ("daisy",): 0})
    one = panel("devices", "Packets lost per minute")
    assert one["interval"] == "1m", "no bar is shorter"
    assert one["fieldConfig"]["defaults"]["custom"]["drawStyle"] == "bars"


def test_bad_minutes_are_those_of_the_chosen_time(tmp_path):
    series = {}
    for channel, called, bad in (("1", "1 Fp1", "0x60"), ("2", "2 Fp2", "0+30x60"), ("3", "3 C3", "0+60x60")):
        series[f'neural_channel_bad_seconds_total{{{RIG},device="cyton",channel="{channel}"}}'] = bad
        series[f'neural_channel_info{{{RIG},device="cyton",channel="{channel}",channel_name="{called}"}}'] = "1x60"
    series[f'neural_device_assessed_seconds_total{{{RIG},device="cyton"}}'] = "0+60x60"
    lab = Lab(tmp_path, series)
    bad = lambda reach: numbers(lab.asked("channels", "Bad minutes", 60, reach), "channel_name")
    assert bad("30m") == pytest.approx({("1 Fp1",): 0, ("2 Fp2",): 900, ("3 C3",): 1800})
    assert bad("10m") == pytest.approx({("1 Fp1",): 0, ("2 Fp2",): 300, ("3 C3",): 600})
    assert panel("channels", "Bad minutes")["fieldConfig"]["defaults"]["unit"] == "s"
    share = numbers(lab.asked("channels", "Bad for longest", 60), "channel_name")
    assert share == pytest.approx({("1 Fp1",): 0, ("2 Fp2",): 0.5, ("3 C3",): 1})
    steps = panel("channels", "Bad for longest")["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [colour(steps, of) for of in (0.05, 0.4, 0.6)] == ["green", "orange", "red"], "as a report says it"


def test_a_stream_that_ended_is_missed_although_nobody_expected_it(tmp_path):
    lab = Lab(tmp_path, {
        f'neural_device_info{{{RIG},device="cyton",protocol="cyton"}}': "1x30",
        f'neural_device_streaming{{{RIG},device="cyton"}}': "1x30",
        # It leaves without a trace, as a stream of LSL does.
        f'neural_device_info{{{RIG},device="lsl/eeg",protocol="lsl"}}': "1x10 stale",
        f'neural_device_streaming{{{RIG},device="lsl/eeg"}}': "1x10 stale",
    })
    for board, title in (("overview", "Devices streaming"), ("devices", "Streaming now")):
        said = lambda minute: [(one["said"], one["value"]) for one in lab.asked(board, title, minute) if one["value"] == one["value"]]
        assert said(5) == [("2 of 2", 0)]
        assert said(20) == [("1 of 2", 1)], "red, for one is not there"
        rows = [one for one in lab.asked(board, "Devices", 20) if one["value"] == -1]
        assert [one["device"] for one in rows] == ["lsl/eeg"]
    # What was not there within the chosen time is not missed.
    assert [one["said"] for one in lab.asked("overview", "Devices streaming", 30, "5m") if one["value"] == 0] == ["1 of 1"]


def test_the_channels_of_a_device_that_is_gone_have_no_signal(tmp_path):
    channel = lambda device, number: f'{RIG},device="{device}",channel="{number}"'
    lab = Lab(tmp_path, {
        f'neural_channel_info{{{channel("cyton", 1)},channel_name="1 Fp1"}}': "1x30",
        f'neural_channel_quality_ratio{{{channel("cyton", 1)}}}': "0.9x30",
        # Unplugged after ten minutes: what its channels are called, and how they were, goes with it.
        f'neural_channel_info{{{channel("daisy", 1)},channel_name="01 Fz"}}': "1x10 stale",
        f'neural_channel_quality_ratio{{{channel("daisy", 1)}}}': "0.9x10 stale",
        f'neural_channel_bad_seconds_total{{{channel("daisy", 1)}}}': "0+1x10 stale",
        f'neural_device_electrode_impedance_ohms{{{channel("cyton", 1)}}}': "7000x30",
    })
    title = "Channels"
    table = panel("channels", title)
    of = lambda minute, reach: lab.rows("channels", title, minute, "channel_name", reach)
    named = {one["channel_name"] for one in lab.asked("channels", title, 20) if "channel_name" in one}
    assert named == {"1 Fp1", "01 Fz"}
    why = [one for one in lab.asked("channels", title, 20) if table["transformations"][-1]["options"]["renameByName"][one["column"]] == "Why"]
    assert [(one["device"], one["value"]) for one in why] == [("daisy", 9)]
    own = next(rule for rule in table["fieldConfig"]["overrides"] if rule["matcher"]["options"] == "Why")
    words = next(of["value"][0]["options"] for of in own["properties"] if of["id"] == "mappings")
    assert words["9"] == {"text": "no signal", "color": "red", "index": 0}
    # It was not there within the chosen time, and while it streams it has a signal.
    assert {one["device"] for one in lab.asked("channels", title, 25, "5m")} == {"cyton"}
    assert not [one for one in lab.asked("channels", title, 5) if one["value"] == 9]
    ohms = [one for one in lab.asked("channels", title, 20) if one["value"] == 7000]
    assert [table["transformations"][-1]["options"]["renameByName"][one["column"]] for one in ohms] == ["Impedance"]
    steps = next(rule for rule in table["fieldConfig"]["overrides"] if rule["matcher"]["options"] == "Impedance")
    steps = next(of["value"]["steps"] for of in steps["properties"] if of["id"] == "thresholds")
    assert [(step["value"], step["color"]) for step in steps] == [(None, "green"), (5e3, "yellow"), (2e4, "orange"), (1e5, "red")]


def test_sessions_and_recordings_are_marked_where_they_begin(tmp_path):
    lab = Lab(tmp_path, {
        f'neural_sessions_started_total{{{RIG},pipeline="p300"}}': "3x10 4x3 5+1x3 8x10",
        f'neural_program_state{{{RIG},source="intan",state="recording"}}': "0x10 1x10 0x5",
        f'neural_program_state{{{RIG},source="intan",state="idle"}}': "1x10 0x10 1x5",
    })
    when = lambda board, name: [minute for minute in (10, 11, 12, 15, 16, 17) if lab.marked(board, name, minute)]
    # Several minutes in a row are one mark: Grafana paints what lasts.
    assert when("processing", "Sessions") == [11, 15] and when("processing", "Recordings") == [11]
    for board in ("overview", "devices", "channels", "streams", "program"):
        assert lab.marked(board, "Sessions", 11) and lab.marked(board, "Recordings", 11), board
    (mark,) = lab.marked("processing", "Sessions", 11)
    assert mark["pipeline"] == "p300"


def test_the_stages_of_a_pipeline_add_up_to_its_end_to_end_time(tmp_path):
    stage = lambda name: f'{{{RIG},pipeline="p300",stage="{name}"}}'
    lab = Lab(tmp_path, {
        f"neural_stage_duration_seconds_sum{stage('filter')}": "0+0.6x30", f"neural_stage_duration_seconds_count{stage('filter')}": "0+60x30",
        f"neural_stage_duration_seconds_sum{stage('classify')}": "0+2.4x30", f"neural_stage_duration_seconds_count{stage('classify')}": "0+60x30",
    })
    assert numbers(lab.asked("processing", "End to end, mean", 20), "pipeline") == pytest.approx({("p300",): 0.05})


def test_a_session_has_its_account(tmp_path):
    of = f'{RIG},device="cyton"'
    lab = Lab(tmp_path, {
        f"neural_device_lost_packets_total{{{of}}}": "0x10 0+5x10 50x10", f"neural_device_frames_total{{{of}}}": "0+95x30",
        f"neural_device_longest_gap_seconds{{{of}}}": "0.1x12 3x2 0.1x16",
        f"neural_port_reconnects_total{{{of}}}": "1x15 2x15", f'neural_port_state{{{of},state="open"}}': "1x30",
    })
    row = lab.rows("devices", "Devices over the selected time", 30, "device", "30m")["cyton"]
    assert row["Packets lost"] == pytest.approx(50, abs=2) and row["Lost"] == pytest.approx(50 / 2900, abs=0.001)
    assert (row["Longest gap"], row["Reconnects"], row["Port open"]) == (3, 1, 1)
    # Before it nothing was lost.
    early = lab.rows("devices", "Devices over the selected time", 10, "device", "10m")["cyton"]
    assert (early["Packets lost"], early["Longest gap"], early["Reconnects"]) == (0, 0.1, 0)


def test_what_hooks_did_can_be_seen(tmp_path):
    hook = lambda name, step: f'neural_actions_total{{{RIG},hook="{name}",step="{step}"}}'
    lab = Lab(tmp_path, {
        hook("shed", "started"): "0+1x30", hook("shed", "failed"): "0+1x30", hook("shed", "cooling_down"): "0x30", hook("shed", "no_room"): "0+2x30",
        hook("lower", "started"): "0+1x30", hook("lower", "succeeded"): "0+1x30",
        f'neural_action_breaker_open{{{RIG},hook="shed"}}': "0x10 1x20", f'neural_action_breaker_open{{{RIG},hook="lower"}}': "0x30",
    })
    rows = lab.rows("alerts", "Hooks", 30, "hook")
    assert rows["shed"] == {"State": 1, "Failed": 30, "Succeeded": 0, "Not run": 60}
    assert rows["lower"] == {"State": 0, "Failed": 0, "Succeeded": 30}
    # Where one query alone has an answer, Grafana shows no column of it.
    idle = Lab(tmp_path, {f'neural_action_breaker_open{{{RIG},hook="idle"}}': "0x30"}).rows("alerts", "Hooks", 30, "hook")
    assert idle == {"idle": {"State": 0, "Failed": 0, "Succeeded": 0}}
    assert numbers(lab.asked("alerts", "Hooks over time", 5), "hook") == {("shed",): 0, ("lower",): 0}
    assert numbers(lab.asked("alerts", "Actions that failed", 20), "hook") == pytest.approx({("shed",): 1})


def test_electrodes_are_called_by_their_names(tmp_path):
    lab = Lab(tmp_path, {
        f'neural_device_electrode_impedance_ohms{{{RIG},device="cyton",channel="1"}}': "7000x30",
        f'neural_channel_info{{{RIG},device="cyton",channel="1",channel_name="1 Fp1"}}': "1x30",
        # Measured before it streamed: its channels are not judged yet.
        f'neural_device_electrode_impedance_ohms{{{RIG},device="ganglion",channel="2"}}': "9000x30",
        f'neural_channel_artefacts_total{{{RIG},device="cyton",channel="1"}}': "0x30",
        f'neural_channel_band_rms_counts{{{RIG},device="cyton",channel="1"}}': "4x30",
    })
    bars = numbers(lab.asked("channels", "Impedance now", 20), "device", "channel_name")
    assert bars == {("cyton", "1 Fp1"): 7000, ("ganglion", "2"): 9000}
    assert panel("channels", "Impedance now")["targets"][0]["legendFormat"].startswith("{{device}} {{channel_name}}")
    for title in ("Spectrum and spikes", "In counts"):
        assert {one["channel_name"] for one in lab.asked("channels", title, 20) if "channel_name" in one} == {"1 Fp1"}, title


def test_a_clock_that_was_set_back_makes_no_age_below_zero(tmp_path):
    # promtool's time begins at the epoch, and minute 10 is second 600.
    lab = Lab(tmp_path, {f'neural_textfile_mtime_seconds{{{RIG},source="files",file="a.prom"}}': "300x5 900x20"})
    of = lambda minute: [one["value"] for one in lab.asked("agent", "Age of text files", minute)]
    assert of(5) == [0] and of(20) == [300], "seconds since it was written"
    assert of(10) == [0], "it was written by a clock that was ahead"


def test_where_one_of_two_columns_has_no_answer_the_other_is_there(tmp_path):
    lab = Lab(tmp_path, {f'neural_port_baud{{{RIG},device="cyton"}}': "115200x30"})
    baud, timer = (lab.asked("devices", "Lines", 20))
    assert baud["value"] == 115200 and timer["value"] != timer["value"] and timer["device"] == "cyton"


def test_what_is_gone_streamed_only_while_it_was_there(tmp_path):
    """An LSL stream has no port that would say it is gone: the agent was there, and it was not."""
    lab = Lab(tmp_path, {
        f'up{{{RIG}}}': "1x30",
        f'neural_device_streaming{{{RIG},device="lsl/scene"}}': "1x6 stale",
        f'neural_device_streaming{{{RIG},device="cyton"}}': "1x30",
        f'neural_device_streaming{{{RIG},device="silent"}}': "1x15 0x15",
    })
    title = "Devices over the selected time"
    renamed = panel("devices", title)["transformations"][-1]["options"]["renameByName"]
    (column,) = [key for key, name in renamed.items() if name == "Streamed"]
    found = lab.asked("devices", title, 30, reach="30m")
    streamed = {one["device"]: one["value"] for one in found if one["column"] == column}
    assert streamed["cyton"] == 1 and 0.15 < streamed["lsl/scene"] < 0.25 and 0.45 < streamed["silent"] < 0.55, streamed


@pytest.mark.parametrize(("board", "title"), [
    ("overview", "Firing alerts"), ("alerts", "Firing"), ("alerts", "Critical"), ("alerts", "Pending"), ("alerts", "Longest firing"),
])
def test_no_alert_is_counted_where_no_rule_is_evaluated(tmp_path, board, title):
    rig = f'up{{{RIG}}}'
    (nothing,) = Lab(tmp_path, {rig: "1x30"}).asked(board, title, 20)
    assert math.isnan(nothing["value"])
    assert panel(board, title)["fieldConfig"]["defaults"]["noValue"] == "not evaluated"
    watchdog = 'ALERTS{alertname="NeuralWatchdog",alertstate="firing",severity="info"}'
    (none,) = Lab(tmp_path, {rig: "1x30", watchdog: "1x30"}).asked(board, title, 20)
    assert none["value"] == 0
    alert = f'alertname="A",severity="critical",priority="P0",component="device",{RIG}'
    fires = Lab(tmp_path, {
        rig: "1x30", f'ALERTS{{alertstate="firing",{alert}}}': "1x30", f'ALERTS{{alertstate="pending",{alert}}}': "1x30",
        f'ALERTS_FOR_STATE{{{alert}}}': "60x30",
    })
    (some,) = fires.asked(board, title, 20)
    assert some["value"] == (1140 if title == "Longest firing" else 1)


def test_inputs_that_were_up_take_no_line(tmp_path):
    lab = Lab(tmp_path, {
        f'neural_source_up{{{RIG},source="a"}}': "1x30", f'neural_source_up{{{RIG},source="b"}}': "1x10 0x2 1x18",
    })
    assert numbers(lab.asked("agent", "Inputs that were down", 20), "source") == {("b",): 1}
