"""The alerting of the played Grafana: rules, contact points, mute timings and policies.

Each refusal says for which versions the source has it. One that is not told holds for all that are played.
"""
from __future__ import annotations

import json
import re

import yaml

UID = re.compile(r"^[a-zA-Z0-9_-]{1,40}$")
PROVISIONING = "/api/v1/provisioning"
# The tick of the scheduler, in seconds (9 to 13).
TICK = 10
# Kinds of contact points; there are more.
POINTS = {"alertmanager", "discord", "email", "opsgenie", "pagerduty", "slack", "sns", "teams", "telegram", "webhook"}
# What older versions drop of a rule, and since when it is kept.
KEPT = {"isPaused": (9, 5), "keep_firing_for": (12,), "missingSeriesEvalsToResolve": (12,)}


class Refusal(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, body=None, headers: dict | None = None):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


def refuse(code: int, message: str, /, **more):
    raise Refusal(code, {"message": message, **more})


def seconds(span) -> int:
    """A span of Prometheus, or a number of seconds."""
    if isinstance(span, int):
        return span
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
    parts = re.findall(r"(\d+)(ms|[smhdwy])", span)
    if "".join(number + unit for number, unit in parts) != span:
        refuse(400, f"not a valid duration string: {span}")
    return int(sum(int(number) * units[unit] for number, unit in parts))


class Alerting:
    """The part of the server that alerts. `self.at` is the version, as a tuple."""

    def start_alerting(self) -> None:
        # Groups by folder and name: the interval, and the rules in their order.
        self.groups: dict[tuple[str, str], dict] = {}
        self.imported: dict[str, dict[str, dict]] = {}
        self.points: list[dict] = []
        self.timings: dict[str, dict] = {}
        self.policies = self.fresh_policies()

    def fresh_policies(self) -> dict:
        return {"receiver": "grafana-default-email", "group_by": ["grafana_folder", "alertname"]}

    def check_interval(self, interval: int) -> None:
        """`ValidateRuleGroupInterval`, which every version has."""
        if interval <= 0 or interval % TICK:
            refuse(400, f"invalid alert rule: interval ({interval}s) should be non-zero and divided exactly by scheduler "
                        f"interval: {TICK}")

    def rules(self):
        """Every rule that there is, by its id: the rule, and the key of its group."""
        return {rule["uid"]: (rule, key) for key, group in self.groups.items() for rule in group["rules"]}

    def all_rules(self, method, body, **_):
        if method == "GET":
            return 200, [rule for group in self.groups.values() for rule in group["rules"]]
        key = (body.get("folderUID"), body.get("ruleGroup"))
        # The interval of a new rule is that of its group, or the default one.
        group = self.groups.get(key, {"title": key[1], "folderUid": key[0], "interval": 60, "rules": []})
        rule = self.checked_rule(body, key)
        if rule["uid"] in self.rules():
            self.not_unique()
        group["rules"].append(rule)
        self.groups[key] = group
        return 201, rule

    def rule(self, uid, **_):
        there = self.rules().get(uid)
        if there:
            rule, key = there
            self.groups[key]["rules"].remove(rule)
            if not self.groups[key]["rules"]:
                del self.groups[key]
        return 204, None

    def not_unique(self):
        # 9.x has no status for it.
        refuse(500 if self.major < 10 else 409 if self.major < 12 else 400,
               "a conflicting alert rule is found: rule title under the same organisation and folder should be unique")

    def group(self, folder, name, method, body, **_):
        key = (folder, name)
        if method == "GET":
            if key not in self.groups:
                refuse(404, "rule group not found")
            return 200, self.groups[key]
        if method == "DELETE":
            if self.groups.pop(key, None) is None:
                refuse(404, "rule group not found")
            return 204, None
        self.check_interval(body["interval"])
        known = self.rules()
        stored = []
        for rule in body["rules"]:
            there = known.get(rule.get("uid", ""))
            if there is None and self.major < 11:
                # A rule with an id is an update there, and an update of nothing fails.
                refuse(500, f"failed to calculate diff for alert rules: failed to update rule with UID {rule.get('uid')} "
                            "because could not find alert rule")
            stored.append(self.checked_rule(rule, key, beside=stored))
        taken = {rule["uid"] for rule in stored}
        for other in list(self.groups):
            self.groups[other]["rules"] = [r for r in self.groups[other]["rules"] if r["uid"] not in taken]
            if not self.groups[other]["rules"]:
                del self.groups[other]
        self.groups[key] = {"title": name, "folderUid": folder, "interval": body["interval"], "rules": stored}
        return 200, self.groups[key]

    def checked_rule(self, rule: dict, key: tuple[str, str], beside=()) -> dict:
        """A rule as the server keeps it, in its group and beside those that come with it."""
        folder, group = key
        if folder not in self.folders:
            refuse(400 if self.major >= 11 else 500, "folder not found")
        if not UID.match(rule.get("uid", "")):
            self.violate("PUT", group, "rules without a uid are made again each time")
        missing = [key for key in ("title", "condition", "data", "noDataState", "execErrState", "for") if key not in rule]
        if missing or not rule["title"]:
            refuse(400, f"invalid alert rule: {missing} missing")
        if len(rule["title"]) > 190 or len(group) > 190:
            refuse(400, "invalid alert rule: name length should not be greater than 190")
        if rule["condition"] not in [query["refId"] for query in rule["data"]]:
            refuse(400, "invalid alert rule: condition is not one of the queries")
        if rule["noDataState"] not in ("Alerting", "NoData", "OK") or rule["execErrState"] not in ("Alerting", "Error", "OK"):
            refuse(400, "unknown state")
        titles = {other["title"]: other["uid"] for other, at in self.rules().values() if at[0] == folder}
        titles |= {other["title"]: other["uid"] for other in beside}
        if titles.get(rule["title"], rule["uid"]) != rule["uid"]:
            self.not_unique()
        for key, text in {**(rule.get("annotations") or {}), **(rule.get("labels") or {})}.items():
            # `$value` is a sentence about every node; what takes a number of it leaves the template as it stands.
            if re.search(r"\$value\b(?!s)", text):
                self.violate("PUT", group, f"{key} takes $value for a number: {text}")
        kept = {**rule, "folderUID": folder, "ruleGroup": group, "id": 7, "orgID": self.org, "provenance": "api",
                "updated": "2026-11-21T12:00:00Z"}
        # Spans are rewritten.
        span = seconds(rule["for"])
        kept["for"] = f"{span // 60}m" if span % 60 == 0 and span else f"{span}s"
        for key, since in KEPT.items():
            if self.at < since:
                kept.pop(key, None)
        if not kept.get("labels"):
            kept.pop("labels", None)
        return kept

    def imported_all(self, headers, **_):
        groups = {title: list(groups.values()) for title, groups in self.imported.items() if groups}
        return 200, groups if "json" in headers.get("Accept", "") else yaml.safe_dump(groups)

    def imported_folder(self, title, method, body, headers, **_):
        if method == "GET":
            if not self.imported.get(title):
                refuse(404, "folder not found")
            groups = {title: list(self.imported[title].values())}
            return 200, groups if "json" in headers.get("Accept", "") else yaml.safe_dump(groups)
        uid = headers.get("X-Grafana-Alerting-Datasource-UID")
        if not uid:
            refuse(400, "Missing required header: X-Grafana-Alerting-Datasource-UID")
        if uid not in self.sources:
            refuse(400, "data source not found")
        unknown = set(body) - {"name", "interval", "rules", "limit", "labels", "query_offset"}
        if unknown or not body.get("name"):
            refuse(400, f"invalid rule group: {unknown}")
        if "interval" in body:
            self.check_interval(seconds(body["interval"]))
        if not self.recording and any("record" in rule for rule in body.get("rules", [])):
            refuse(400, "Cannot import recording rules: Feature not enabled.")
        for rule in body.get("rules", []):
            unknown = set(rule) - {"alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"}
            if unknown or ("alert" in rule) == ("record" in rule) or not rule.get("expr"):
                refuse(400, f"invalid rule: {rule}")
            for key in rule.get("annotations", {}):
                if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", key):
                    refuse(400, f"invalid annotation name: {key}")
        self.imported.setdefault(title, {})[body["name"]] = body
        return 202, {"status": "success"}

    def imported_group(self, title, name, method, **_):
        if self.imported.get(title, {}).pop(name, None) is None:
            refuse(404, "rule group not found")
        return 202, {"status": "success"}

    # notifications

    def points_root(self, method, body, headers, **_):
        if method == "GET":
            def concealed(point):
                settings = {key: "[REDACTED]" if key in ("url", "token", "password") else value
                            for key, value in point["settings"].items()}
                return {**point, "settings": settings}

            return 200, [concealed(point) for point in self.points]
        if body.get("type") not in POINTS:
            refuse(400, f"invalid object specification: unknown type '{body.get('type')}'")
        if body.get("uid") in [point["uid"] for point in self.points]:
            refuse(500 if self.major < 10 else 400,
                   f"receiver configuration with UID '{body['uid']}' already exist in contact point '{body['name']}'")
        self.points.append({**body, "provenance": "api"})
        return 202, body

    def point(self, uid, **_):
        point = next((point for point in self.points if point["uid"] == uid), None)
        if point is None:
            # 9.x removes what is not there.
            if self.major < 10:
                return 202, {"message": "contactpoint deleted"}
            raise Refusal(404)
        last = [p["name"] for p in self.points].count(point["name"]) == 1
        if last and point["name"] in json.dumps(self.policies):
            refuse(500 if self.major < 10 else 409,
                   f"contact point '{point['name']}' is currently used by a notification policy")
        self.points.remove(point)
        return 202, {"message": "contactpoint deleted"}

    def checked_timing(self, body) -> dict:
        """As Alertmanager reads it: hours within a day, days by their names."""
        days = "sunday monday tuesday wednesday thursday friday saturday".split()
        for interval in body.get("time_intervals") or []:
            for time in interval.get("times") or []:
                start, end = time["start_time"], time["end_time"]
                if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", start) or not (end == "24:00" or end > start):
                    refuse(400, f"invalid time range {start} to {end}")
            for day in interval.get("weekdays") or []:
                if any(part not in days for part in day.split(":")):
                    refuse(400, f"{day} is not a valid weekday")
        # What was left out comes back as nothing.
        empty = {"times": None, "weekdays": None, "days_of_month": None, "months": None, "years": None, "location": ""}
        intervals = [{**empty, **interval} for interval in body.get("time_intervals") or []]
        return {"name": body["name"], "time_intervals": intervals, "provenance": "api", "version": "f00d"}

    def shown_timing(self, timing: dict) -> dict:
        """9.x does not say where a timing comes from; the others leave it out where a person made it."""
        hidden = {"provenance", "version"} if self.major < 10 else {"provenance"} if not timing["provenance"] else set()
        return {key: value for key, value in timing.items() if key not in hidden}

    def alertmanager(self, **_):
        """The whole configuration; of it what says where timings come from."""
        provenances = {name: timing["provenance"] for name, timing in self.timings.items() if timing["provenance"]}
        return 200, {"template_files": {}, "alertmanager_config": {"muteTimeProvenances": provenances}}

    def timings_root(self, method, body, **_):
        if method == "GET":
            return 200, [self.shown_timing(timing) for timing in self.timings.values()]
        if not body.get("name"):
            refuse(400, "mute timing needs a name")
        if body["name"] in self.timings:
            refuse(400, "a mute timing with the same name already exists")
        self.timings[body["name"]] = self.checked_timing(body)
        return 201, self.shown_timing(self.timings[body["name"]])

    def timing(self, name, method, body, **_):
        if name not in self.timings:
            if method == "DELETE":
                return 204, None
            raise Refusal(404)
        if method == "GET":
            return 200, self.shown_timing(self.timings[name])
        if method == "DELETE":
            if name in json.dumps(self.policies):
                refuse(500 if self.major < 10 else 409, f"mute time '{name}' is currently used by a notification policy")
            del self.timings[name]
            return 204, None
        self.timings[name] = self.checked_timing({**body, "name": name})
        return 202, self.shown_timing(self.timings[name])

    def tree(self, method, body, headers, **_):
        if method == "GET":
            return 200, self.policies
        if method == "DELETE":
            self.policies = self.fresh_policies()
            return 202, {"message": "policies deleted"}
        if body["receiver"] not in [point["name"] for point in self.points]:
            refuse(400, f"receiver {body['receiver']} does not exist")
        for route in body.get("routes", []):
            for name in route.get("mute_time_intervals", []):
                if name not in self.timings:
                    refuse(400, f"mute time interval {name} does not exist")
        self.policies = {**body, "provenance": "api"}
        return 202, {"message": "policies updated"}
