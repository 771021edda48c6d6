"""A Grafana that plays 9.4, 12.2 or 13.0, strictly. Written from its public API description and from what is known of
its answers, and from nothing of the agent.

A request that a real server would not understand is refused and remembered in `violations`, which a test expects to
be empty. With GRAFANA_OPENAPI set to the description of the HTTP API (Swagger 2, or the folder with it), every request
is held against it: path, method, names of query keys, and the body with its nested types. Without it the checks that
are written here remain.
"""
from __future__ import annotations

import copy
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from openapi import Description, description

UID = re.compile(r"^[a-zA-Z0-9_-]{1,40}$")


class Refusal(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, body=None, headers: dict | None = None):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


def refuse(code: int, message: str, /, **more):
    raise Refusal(code, {"message": message, **more})


class Grafana:
    """The server and its state, for one organisation."""

    def __init__(self, version: str = "12.2", token: str = "glsa_right", org: int = 1, root: str = "", tls=None):
        self.version, self.token, self.org, self.root = version, token, org, root
        self.major = int(version.split(".")[0])
        self.basic: dict[str, str] = {}
        self.folders, self.boards, self.sources = {}, {}, {}
        self.groups, self.imported = {}, {}
        self.points: list[dict] = []
        self.timings: dict[str, dict] = {}
        self.policies = {"receiver": "grafana-default-email", "group_by": ["grafana_folder", "alertname"]}
        self.annotations: list[dict] = []
        # What was asked: (method, path). Retried requests are in it each time.
        self.asked: list[tuple[str, str]] = []
        self.violations: list[str] = []
        self.failures: list[tuple[re.Pattern, int, int, dict]] = []
        self.pending = False
        self.spec = description()
        self.spec = Description(self.spec) if self.spec else None
        print("requests are held against", "the API description" if self.spec else "the checks of this file alone")
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.scheme = "https" if tls else "http"
        if tls:
            # The handshake is done by the thread of the connection: one that is broken off keeps nobody waiting.
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
            # Handshakes that a client breaks off are its own affair.
            self.server.handle_error = lambda *_: None
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server.server_port}{self.root}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def fail(self, pattern: str, status: int, times: int = 1, headers: dict | None = None) -> None:
        """The next requests whose `METHOD /path` matches are answered with a status."""
        self.failures.append([re.compile(pattern), status, times, headers or {}])

    def writes(self) -> list[tuple[str, str]]:
        """The requests that may have changed something."""
        return [(method, path) for method, path in self.asked if method != "GET"]

    # dispatch

    def handler(fake):  # noqa: N805 - the handler's own self is another one
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(length)
                with fake.lock:
                    try:
                        status, body, headers = fake.dispatch(self.command, self.path, self.headers, raw)
                    except Refusal as refusal:
                        status, body, headers = refusal.status, refusal.body, refusal.headers
                if isinstance(body, (dict, list)):
                    body, kind = json.dumps(body).encode(), "application/json"
                else:
                    body, kind = (body or "").encode(), "application/yaml"
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

        return Handler

    def dispatch(self, method: str, target: str, headers, raw: bytes):
        split = urlsplit(target)
        if not split.path.startswith(self.root + "/"):
            raise Refusal(404, "<html>not Grafana</html>")
        path = split.path[len(self.root):]
        query = parse_qs(split.query, keep_blank_values=True)
        self.asked.append((method, path))
        for failure in self.failures:
            if failure[2] > 0 and failure[0].search(f"{method} {path}"):
                failure[2] -= 1
                raise Refusal(failure[1], {"message": "told to fail"}, failure[3])
        if path == "/api/health":
            return 200, {"database": "ok", "version": self.version}, {}
        self.sign_in(headers)
        body = None
        if raw:
            kind = headers.get("Content-Type", "")
            try:
                body = yaml.safe_load(raw) if "yaml" in kind else json.loads(raw)
            except ValueError:
                self.violate(method, path, "the body is not what its type says")
                refuse(400, "bad request data")
            if "json" not in kind and "yaml" not in kind:
                self.violate(method, path, f"content type {kind!r}")
        # A version that has no such path says 404, which is no violation.
        for least, pattern, allowed, answer in ROUTES:
            found = re.fullmatch(pattern, path)
            if not found or method not in allowed.split():
                continue
            if self.major < least:
                raise Refusal(404, {"message": "Not found"})
            if self.spec:
                wrong = self.spec.check(method, path, query, headers, body)
                for why in wrong:
                    self.violate(method, path, why)
                if wrong:
                    refuse(400, "; ".join(wrong))
            groups = [unquote(part) for part in found.groups()]
            status, said = answer(self, *groups, method=method, query=query, headers=headers, body=body)
            return status, copy.deepcopy(said), {}
        self.violate(method, path, "there is no such path")
        raise Refusal(404, {"message": "Not found"})

    def violate(self, method: str, path: str, why: str) -> None:
        self.violations.append(f"{method} {path}: {why}")

    def sign_in(self, headers) -> None:
        given = headers.get("Authorization", "")
        org = headers.get("X-Grafana-Org-Id")
        if given.startswith("Basic "):
            import base64

            user, _, password = base64.b64decode(given[6:]).decode().partition(":")
            if self.basic.get(user) != password:
                refuse(401, "Invalid username or password")
            if org is not None and int(org) != self.org:
                refuse(403, "You do not belong to this organization")
        elif given != f"Bearer {self.token}":
            refuse(401, "Invalid API key")
        elif org is not None:
            self.violate("any", "any", "a token knows its organisation; the header belongs to basic auth")

    # folders

    def folder(self, uid, method, body, query, **_):
        if uid not in self.folders:
            refuse(404, "folder not found", status="not-found")
        if method == "GET":
            return 200, self.folders[uid]
        if any(folder == uid for folder, _ in self.groups) and query.get("forceDeleteRules") != ["true"]:
            refuse(400, "folder contains alert rules")
        for board in [b for b, at in self.boards.items() if at["folderUid"] == uid]:
            del self.boards[board]
        folder = self.folders.pop(uid)
        return 200, {"id": 1, "title": folder["title"], "message": f"Folder {folder['title']} deleted"}

    def folders_root(self, method, body, query, **_):
        if method == "GET":
            return 200, list(self.folders.values())
        uid, title = body.get("uid"), body.get("title")
        if not title or (uid and not UID.match(uid)):
            refuse(400, "folder title cannot be empty")
        if uid in self.folders:
            refuse(409, "a folder with the same uid already exists in the current location")
        if self.major < 11 and any(f["title"] == title for f in self.folders.values()):
            refuse(409, "a folder with the same name already exists in the current location")
        self.folders[uid] = {"uid": uid, "title": title, "version": 1, "url": f"/dashboards/f/{uid}/x"}
        return 200, self.folders[uid]

    def counts(self, uid, **_):
        if uid not in self.folders:
            refuse(404, "folder not found")
        title = self.folders[uid]["title"]
        alerts = sum(len(g["rules"]) for (folder, _), g in self.groups.items() if folder == uid)
        alerts += sum(len(g.get("rules", [])) for g in self.imported.get(title, {}).values())
        boards = sum(1 for b in self.boards.values() if b["folderUid"] == uid)
        return 200, {"alertrule": alerts, "dashboard": boards, "folder": 0, "librarypanel": 0}

    # dashboards

    def save(self, body, **_):
        model, folder = body.get("dashboard"), body.get("folderUid", "")
        if not isinstance(model, dict) or not model.get("title"):
            refuse(400, "Dashboard title cannot be empty", status="empty-name")
        if "folderId" in body:
            self.violate("POST", "/api/dashboards/db", "folderId is not honoured any more")
        if len(body.get("message", "")) > 500:
            refuse(400, "message too long")
        uid = model.get("uid")
        if not uid:
            self.violate("POST", "/api/dashboards/db", "without a uid each push makes another dashboard")
        if not UID.match(uid or ""):
            refuse(400, "uid contains illegal characters")
        if model.get("id") is not None:
            refuse(404, "Dashboard not found", status="not-found")
        if folder and folder not in self.folders:
            refuse(400, "folder not found")
        there = self.boards.get(uid)
        if there and there["provisioned"]:
            refuse(400, "Cannot save provisioned dashboard")
        for other, at in self.boards.items():
            same = other != uid and at["folderUid"] == folder and at["model"]["title"] == model["title"]
            if self.major < 11 and same and not body.get("overwrite"):
                refuse(412, "A dashboard with the same name in the folder already exists", status="name-exists")
        if there and not body.get("overwrite") and model.get("version") != there["model"]["version"]:
            refuse(412, "The dashboard has been changed by someone else", status="version-mismatch")
        if self.pending:
            return 202, {"status": "pending"}
        version = there["model"]["version"] + 1 if there else 1
        stored = {**model, "id": there["model"]["id"] if there else len(self.boards) + 1, "version": version}
        if self.major >= 13:
            # Migrated on the way in, with defaults written out.
            stored = {**stored, "schemaVersion": 42, "preload": False, "weekStart": ""}
        history = there["history"] if there else []
        history.append({"version": version, "message": body.get("message", ""), "createdBy": "api"})
        self.boards[uid] = {"model": stored, "folderUid": folder, "provisioned": False, "history": history}
        url = f"{self.root}/d/{uid}/x"
        return 200, {"id": stored["id"], "uid": uid, "url": url, "status": "success", "version": version,
                     "slug": "x", "folderUid": folder}

    def edit(self, uid: str, change) -> None:
        """Somebody changes a dashboard in the browser."""
        board = self.boards[uid]
        change(board["model"])
        board["model"]["version"] += 1
        board["history"].append({"version": board["model"]["version"], "message": "", "createdBy": "somebody"})

    def add(self, uid: str, title: str, folder: str = "", tags=(), provisioned: bool = False) -> None:
        """Somebody else's dashboard."""
        model = {"uid": uid, "title": title, "tags": list(tags), "id": len(self.boards) + 1, "version": 1, "panels": []}
        history = [{"version": 1, "message": "", "createdBy": "somebody"}]
        self.boards[uid] = {"model": model, "folderUid": folder, "provisioned": provisioned, "history": history}

    def board(self, uid, method, **_):
        if uid not in self.boards:
            refuse(404, "Dashboard not found")
        board = self.boards[uid]
        if method == "GET":
            meta = {"folderUid": board["folderUid"], "version": board["model"]["version"], "slug": "x",
                    "provisioned": board["provisioned"], "type": "db"}
            return 200, {"dashboard": board["model"], "meta": meta}
        if board["provisioned"]:
            refuse(400, "provisioned dashboard cannot be deleted")
        del self.boards[uid]
        return 200, {"title": board["model"]["title"], "message": "Dashboard deleted", "uid": uid}

    def history(self, uid, query, **_):
        if uid not in self.boards:
            refuse(404, "Dashboard not found")
        newest = list(reversed(self.boards[uid]["history"]))[: int(query.get("limit", ["50"])[0])]
        return 200, newest if self.major < 11 else {"continueToken": "", "versions": newest}

    def search(self, query, **_):
        if int(query.get("limit", ["1000"])[0]) > 5000:
            refuse(422, "Limit is above maximum allowed (5000), use page parameter to access hits beyond limit")
        found = []
        for uid, board in self.boards.items():
            tags = board["model"].get("tags") or []
            # Old servers do not know folderUIDs and ignore it.
            elsewhere = self.major >= 10 and "folderUIDs" in query and board["folderUid"] not in query["folderUIDs"]
            if elsewhere or not all(tag in tags for tag in query.get("tag", [])):
                continue
            found.append({"uid": uid, "title": board["model"]["title"], "type": "dash-db", "tags": tags,
                          "folderUid": board["folderUid"] or None})
        return 200, found

    # data sources

    def sources_root(self, body, **_):
        if any(s["uid"] == body.get("uid") or s["name"] == body["name"] for s in self.sources.values()):
            refuse(409, "data source with the same name already exists")
        source = {**body, "id": len(self.sources) + 1, "version": 1, "readOnly": False}
        self.sources[body["uid"]] = source
        return 200, {"datasource": source, "id": source["id"], "name": body["name"], "message": "Datasource added"}

    def source(self, uid, method, body, **_):
        if uid not in self.sources:
            refuse(404, "Data source not found")
        source = self.sources[uid]
        if method == "GET":
            return 200, source
        if source["readOnly"]:
            refuse(403, "Cannot update read-only data source")
        if method == "DELETE":
            del self.sources[uid]
            return 200, {"message": "Data source deleted", "id": source["id"]}
        if "version" in body and body["version"] != source["version"]:
            refuse(409, "Datasource has already been updated by someone else. Please reload and try again")
        self.sources[uid] = {**source, **body, "version": source["version"] + 1}
        return 200, {"message": "Datasource updated", "datasource": self.sources[uid]}

    def source_health(self, uid, **_):
        if uid not in self.sources:
            refuse(404, "Data source not found")
        return 200, {"status": "OK", "message": "Successfully queried the Prometheus API."}

    # rules

    def all_rules(self, **_):
        return 200, [rule for group in self.groups.values() for rule in group["rules"]]

    def group(self, folder, name, method, body, headers, **_):
        if method == "GET":
            if (folder, name) not in self.groups:
                raise Refusal(404)
            return 200, self.groups[folder, name]
        if method == "DELETE":
            if self.groups.pop((folder, name), None) is None:
                raise Refusal(404)
            return 204, None
        if folder not in self.folders:
            refuse(404, "folder not found")
        titles = {r["title"]: r["uid"] for (f, g), group in self.groups.items() if (f, g) != (folder, name)
                  for r in group["rules"]}
        stored = []
        for rule in body["rules"]:
            if not UID.match(rule.get("uid", "")):
                self.violate("PUT", name, "rules without a uid are made anew each time")
            missing = [key for key in ("title", "condition", "data", "noDataState", "execErrState", "for") if key not in rule]
            if missing or not rule["title"]:
                refuse(400, f"invalid alert rule: {missing} missing")
            if rule["condition"] not in [query["refId"] for query in rule["data"]]:
                refuse(400, "invalid alert rule: condition is not one of the queries")
            if rule["title"] in titles:
                refuse(400, "a rule with this title exists in the folder already")
            titles[rule["title"]] = rule["uid"]
            if "T" in rule["for"] or not re.fullmatch(r"(\d+(ms|s|m|h|d|w|y))+", rule["for"]):
                refuse(400, f"not a valid duration string: {rule['for']}")
            # Spans are rewritten, and 9.4 does not know keep_firing_for.
            seconds = int(float(rule["for"].rstrip("s")))
            rewritten = f"{seconds // 60}m" if seconds % 60 == 0 and seconds else f"{seconds}s"
            rule = {**rule, "for": rewritten, "folderUID": folder, "ruleGroup": name, "id": 7, "orgID": self.org,
                    "provenance": "api", "updated": "2026-11-21T12:00:00Z"}
            stored.append(rule)
        self.groups[folder, name] = {"title": name, "folderUid": folder, "interval": body["interval"], "rules": stored}
        return 200, self.groups[folder, name]

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
        if body.get("uid") in [point["uid"] for point in self.points]:
            refuse(500 if self.major < 10 else 400, "a contact point with this uid exists")
        self.points.append({**body, "provenance": "api"})
        return 202, body

    def point(self, uid, **_):
        point = next((point for point in self.points if point["uid"] == uid), None)
        if point is None:
            raise Refusal(404)
        last = [p["name"] for p in self.points].count(point["name"]) == 1
        if last and point["name"] in json.dumps(self.policies):
            refuse(409, "contact point is used by a notification policy")
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

    def timings_root(self, method, body, **_):
        if method == "GET":
            return 200, list(self.timings.values())
        if not body.get("name"):
            refuse(400, "mute timing needs a name")
        if body["name"] in self.timings:
            refuse(400, "a mute timing with the same name already exists")
        self.timings[body["name"]] = self.checked_timing(body)
        return 201, self.timings[body["name"]]

    def timing(self, name, method, body, **_):
        if name not in self.timings:
            raise Refusal(404)
        if method == "GET":
            return 200, self.timings[name]
        if method == "DELETE":
            if name in json.dumps(self.policies):
                refuse(409, f"mute timing {name} is in use by a notification policy")
            del self.timings[name]
            return 204, None
        self.timings[name] = self.checked_timing({**body, "name": name})
        return 202, self.timings[name]

    def tree(self, method, body, headers, **_):
        if method == "GET":
            return 200, self.policies
        if method == "DELETE":
            self.policies = {"receiver": "grafana-default-email"}
            return 202, {"message": "policies deleted"}
        if body["receiver"] not in [point["name"] for point in self.points]:
            refuse(400, f"receiver {body['receiver']} does not exist")
        for route in body.get("routes", []):
            for name in route.get("mute_time_intervals", []):
                if name not in self.timings:
                    refuse(400, f"mute time interval {name} does not exist")
        self.policies = {**body, "provenance": "api"}
        return 202, {"message": "policies updated"}

    def annotation(self, method, body, query, **_):
        if method == "GET":
            wanted = query.get("tags", [])
            return 200, [a for a in self.annotations if all(tag in a["tags"] for tag in wanted)]
        self.annotations.append({**body, "id": len(self.annotations) + 1})
        return 200, {"id": len(self.annotations), "message": "Annotation added"}


PART = "([^/]+)"
CONVERT = "/api/convert/prometheus/config/v1/rules"
# The oldest version that has it, the path, the methods, the answer.
ROUTES = [
    (9, "/api/folders", "GET POST", Grafana.folders_root),
    (9, f"/api/folders/{PART}", "GET DELETE", Grafana.folder),
    (11, f"/api/folders/{PART}/counts", "GET", Grafana.counts),
    (9, "/api/dashboards/db", "POST", Grafana.save),
    (9, f"/api/dashboards/uid/{PART}", "GET DELETE", Grafana.board),
    (9, f"/api/dashboards/uid/{PART}/versions", "GET", Grafana.history),
    (9, "/api/search", "GET", Grafana.search),
    (9, "/api/datasources", "POST", Grafana.sources_root),
    (9, f"/api/datasources/uid/{PART}", "GET PUT DELETE", Grafana.source),
    (9, f"/api/datasources/uid/{PART}/health", "GET", Grafana.source_health),
    (9, "/api/v1/provisioning/alert-rules", "GET", Grafana.all_rules),
    (9, f"/api/v1/provisioning/folder/{PART}/rule-groups/{PART}", "GET PUT DELETE", Grafana.group),
    (12, CONVERT, "GET", Grafana.imported_all),
    (12, f"{CONVERT}/{PART}", "GET POST", Grafana.imported_folder),
    (12, f"{CONVERT}/{PART}/{PART}", "DELETE", Grafana.imported_group),
    (9, "/api/v1/provisioning/contact-points", "GET POST", Grafana.points_root),
    (9, f"/api/v1/provisioning/contact-points/{PART}", "DELETE", Grafana.point),
    (9, "/api/v1/provisioning/mute-timings", "GET POST", Grafana.timings_root),
    (9, f"/api/v1/provisioning/mute-timings/{PART}", "GET PUT DELETE", Grafana.timing),
    (9, "/api/v1/provisioning/policies", "GET PUT DELETE", Grafana.tree),
    (9, "/api/annotations", "GET POST", Grafana.annotation),
]
