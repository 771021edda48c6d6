"""A Grafana that plays 9.4, 11.6, 12.2 or 13.0, strictly. Written from its public API description, from what its source
refuses in these versions and from what a 9.4 answered, and from nothing of the agent.

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

from grafana_alerting import PROVISIONING, UID, Alerting, Refusal, refuse
from openapi import Description, description


class Grafana(Alerting):
    """The server and its state, for one organisation."""

    def __init__(self, version: str = "12.2", token: str = "glsa_right", org: int = 1, root: str = "", tls=None):
        self.version, self.token, self.org, self.root = version, token, org, root
        self.at = tuple(int(part) for part in version.split("."))
        self.major = self.at[0]
        self.basic: dict[str, str] = {}
        # Further tokens, each with its role: Admin, Editor or Viewer. An editor may see only the folders that it made.
        self.roles: dict[str, str] = {}
        self.made: dict[str, set[str]] = {}
        # [recording_rules] enabled, which is off by default.
        self.recording = False
        self.folders, self.boards, self.sources = {}, {}, {}
        self.start_alerting()
        self.annotations: list[dict] = []
        self.last_annotation = 0
        # Data sources that cannot be asked, and why.
        self.unreachable: dict[str, str] = {}
        # What was asked: (method, path). Retried requests are in it each time.
        self.asked: list[tuple[str, str]] = []
        self.violations: list[str] = []
        self.failures: list[list] = []
        self.between: list[list] = []
        # Every so many writes find the database locked by another request, as with SQLite.
        self.locked, self.written = 0, 0
        # Every so many writes of contact points, timings and policies find that another one was faster (9 to 13): they are one
        # object, which is read and written again with a hash.
        self.crossed, self.notified = 0, 0
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

    def fail(self, pattern: str, status: int, times: int = 1, headers: dict | None = None, message="told to fail") -> None:
        """The next requests whose `METHOD /path` matches are answered with a status."""
        self.failures.append([re.compile(pattern), status, times, headers or {}, message])

    def before(self, pattern: str, change) -> None:
        """Another writer is faster, once: `change` is done before the next request that matches is looked at."""
        self.between.append([re.compile(pattern), change])

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
                raise Refusal(failure[1], {"message": failure[4]}, failure[3])
        if self.locked and method != "GET":
            self.written += 1
            if self.written % self.locked == 0:
                refuse(500, "failed to update alert rules: database is locked")
        if self.crossed and method != "GET" and re.match(NOTIFICATIONS, path):
            self.notified += 1
            if self.notified % self.crossed == 0:
                refuse(500, "could not find object using provided id and hash")
        for entry in [entry for entry in self.between if entry[0].search(f"{method} {path}")][:1]:
            self.between.remove(entry)
            entry[1]()
        if path == "/api/health":
            return 200, {"database": "ok", "version": self.version}, {}
        role, who = self.sign_in(headers)
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
            if self.at < least:
                raise Refusal(404, {"message": "Not found"})
            groups = [unquote(part) for part in found.groups()]
            self.may(role, who, method, path, groups)
            if self.spec:
                wrong = self.spec.check(method, path, query, headers, body)
                for why in wrong:
                    self.violate(method, path, why)
                if wrong:
                    refuse(400, "; ".join(wrong))
            status, said = answer(self, *groups, method=method, query=query, headers=headers, body=body)
            if method == "POST" and path == "/api/folders":
                self.made.setdefault(who, set()).add(body["uid"])
            return status, copy.deepcopy(said), {}
        self.violate(method, path, "there is no such path")
        raise Refusal(404, {"message": "Not found"})

    def violate(self, method: str, path: str, why: str) -> None:
        self.violations.append(f"{method} {path}: {why}")

    def may(self, role: str, who: str, method: str, path: str, groups: list[str]) -> None:
        """Who may do what. What is not there is forbidden to all but admins, because a folder that is not there is in
        nobody's scope."""
        def need(permission: str):
            refuse(403, f"You'll need additional permissions to perform this action. Permissions needed: {permission}",
                   title="Access denied", accessErrorId="ACE0123456789")

        if role == "Admin":
            return
        read = method == "GET"
        if re.fullmatch(f"/api/folders/{PART}(/counts)?", path) and groups[0] not in self.made.get(who, ()):
            need(f"folders:{'read' if read else 'delete'}")
        if path == "/api/folders" and not read and role == "Viewer":
            need("folders:create")
        if path == "/api/dashboards/db" and role == "Viewer":
            need("dashboards:create or dashboards:write")
        # A 9.4 shows data sources to everybody.
        if path.startswith("/api/datasources") and not (read and self.major < 10):
            need("datasources:read" if read else "datasources:create" if method == "POST" else "datasources:write")
        if path.startswith("/api/annotations") and not read and role == "Viewer":
            need("annotations:create" if method == "POST" else "annotations:delete")
        if path.startswith(PROVISIONING) and (role == "Viewer" or self.major < 11):
            need("alert.provisioning:read" if read else "alert.provisioning:write")

    def sign_in(self, headers) -> tuple[str, str]:
        """The role, and who it is."""
        given = headers.get("Authorization", "")
        org = headers.get("X-Grafana-Org-Id")
        if given.startswith("Basic "):
            import base64

            user, _, password = base64.b64decode(given[6:]).decode().partition(":")
            if self.basic.get(user) != password:
                refuse(401, "Invalid username or password")
            if org is not None and int(org) != self.org:
                refuse(403, "You do not belong to this organization")
            return "Admin", user
        token = given.removeprefix("Bearer ")
        if token != self.token and token not in self.roles:
            refuse(401, "Invalid API key")
        if org is not None:
            self.violate("any", "any", "a token knows its organisation; the header belongs to basic auth")
        return self.roles.get(token, "Admin"), token

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
            if self.major < 10:
                refuse(412, "the folder has been changed by someone else", status="version-mismatch")
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
        # A number that is too large is taken.
        if "version" in body and body["version"] < source["version"]:
            refuse(409, "Datasource has already been updated by someone else. Please reload and try again")
        self.sources[uid] = {**source, **body, "version": source["version"] + 1}
        return 200, {"message": "Datasource updated", "datasource": self.sources[uid]}

    def source_health(self, uid, **_):
        if uid not in self.sources:
            refuse(404, "Data source not found")
        if self.major < 10:
            # Some plugins have no health check there, and each says so in its own way.
            refuse(*((503, "Plugin unavailable") if self.sources[uid]["type"] == "jaeger" else (404, "Not found")))
        return 200, {"status": "OK", "message": "Successfully queried the Prometheus API."}

    def query(self, body, **_):
        results = {}
        for query in body["queries"]:
            uid = query["datasource"]["uid"]
            if uid not in self.sources:
                refuse(404, "data source not found")
            failure = self.unreachable.get(uid)
            results[query["refId"]] = {"error": failure, "status": 500} if failure else {"status": 200, "frames": []}
        return 200 if not any("error" in result for result in results.values()) else 207, {"results": results}

    def annotation(self, method, body, query, **_):
        if method == "GET":
            wanted, limit = query.get("tags", []), int(query.get("limit", ["100"])[0])
            of_alerts = query.get("type") == ["alert"]
            any_of = query.get("matchAny") == ["true"]

            def fits(tags: list[str]) -> bool:
                """A tag is a key and a value (9 to 11). One that is asked for without a value fits each of its key, and as many must
                fit as are asked for."""
                asked = [tag.split(":")[:2] for tag in wanted]
                found = sum(any(tag.split(":")[:2][: len(of)] == of for of in asked) for tag in tags)
                return not asked or (found > 0 if any_of else found == len(asked))

            return 200, [a for a in self.annotations if fits(a["tags"]) and not of_alerts][:limit]
        if not body.get("text"):
            refuse(400, "text field should not be empty")
        self.last_annotation += 1
        self.annotations.append({**body, "id": self.last_annotation})
        return 200, {"id": self.last_annotation, "message": "Annotation added"}

    def one_annotation(self, number, **_):
        found = [a for a in self.annotations if str(a["id"]) == number]
        if not found:
            refuse(404, "Annotation not found")
        self.annotations.remove(found[0])
        return 200, {"message": "Annotation deleted"}


PART = "([^/]+)"
NOTIFICATIONS = f"{PROVISIONING}/(contact-points|mute-timings|policies)"
CONVERT = "/api/convert/prometheus/config/v1/rules"
# The oldest version that has it, the path, the methods, the answer.
ROUTES = [
    ((9,), "/api/folders", "GET POST", Grafana.folders_root),
    ((9,), f"/api/folders/{PART}", "GET DELETE", Grafana.folder),
    ((11,), f"/api/folders/{PART}/counts", "GET", Grafana.counts),
    ((9,), "/api/dashboards/db", "POST", Grafana.save),
    ((9,), f"/api/dashboards/uid/{PART}", "GET DELETE", Grafana.board),
    ((9,), f"/api/dashboards/uid/{PART}/versions", "GET", Grafana.history),
    ((9,), "/api/search", "GET", Grafana.search),
    ((9,), "/api/datasources", "POST", Grafana.sources_root),
    ((9,), f"/api/datasources/uid/{PART}", "GET PUT DELETE", Grafana.source),
    ((9,), f"/api/datasources/uid/{PART}/health", "GET", Grafana.source_health),
    ((9,), "/api/ds/query", "POST", Grafana.query),
    ((9,), f"{PROVISIONING}/alert-rules", "GET POST", Grafana.all_rules),
    ((9,), f"{PROVISIONING}/alert-rules/{PART}", "DELETE", Grafana.rule),
    ((9,), f"{PROVISIONING}/folder/{PART}/rule-groups/{PART}", "GET PUT", Grafana.group),
    ((11,), f"{PROVISIONING}/folder/{PART}/rule-groups/{PART}", "DELETE", Grafana.group),
    ((9,), "/api/alertmanager/grafana/config/api/v1/alerts", "GET", Grafana.alertmanager),
    ((11, 6), CONVERT, "GET", Grafana.imported_all),
    ((11, 6), f"{CONVERT}/{PART}", "GET POST", Grafana.imported_folder),
    ((11, 6), f"{CONVERT}/{PART}/{PART}", "DELETE", Grafana.imported_group),
    ((9,), f"{PROVISIONING}/contact-points", "GET POST", Grafana.points_root),
    ((9,), f"{PROVISIONING}/contact-points/{PART}", "DELETE", Grafana.point),
    ((9,), f"{PROVISIONING}/mute-timings", "GET POST", Grafana.timings_root),
    ((9,), f"{PROVISIONING}/mute-timings/{PART}", "GET PUT DELETE", Grafana.timing),
    ((9,), f"{PROVISIONING}/policies", "GET PUT DELETE", Grafana.tree),
    ((9,), "/api/annotations", "GET POST", Grafana.annotation),
    ((9,), f"/api/annotations/{PART}", "DELETE", Grafana.one_annotation),
]
