"""A ruler as Mimir has it: groups of rules by namespace and tenant, over HTTP. Small, strict and written from its API."""
from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import yaml

RULE = {"alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"}
GROUP = {"name", "interval", "limit", "query_offset", "labels", "rules", "source_tenants"}


class Ruler:
    def __init__(self, prefix: str = "/prometheus/config/v1/rules"):
        self.prefix = prefix
        # The folder of a store that is `local`: one file for each namespace, and nothing over HTTP.
        self.local: str | None = None
        self.tenants: dict[str, dict[str, dict[str, dict]]] = {}
        self.asked: list[tuple[str, str]] = []
        self.busy = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def answer(self):
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.asked.append((self.command, self.path))
                status, text = outer.answer(self.command, self.path, self.headers, raw)
                self.send_response(status)
                self.send_header("Content-Type", "application/yaml")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_DELETE = answer

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, method: str, path: str, headers, raw: bytes) -> tuple[int, str]:
        if self.busy:
            self.busy -= 1
            return 429, "too many requests"
        tenant = headers.get("X-Scope-OrgID")
        if not tenant:
            return 401, "no org id"
        if not path.startswith(self.prefix):
            return 404, "404 page not found"
        parts = [unquote(part) for part in path[len(self.prefix):].strip("/").split("/") if part]
        spaces = self.tenants.setdefault(tenant, {})
        if self.local is not None:
            if method != "GET":
                return 500, "SetRuleGroup unsupported in rule local store"
            file = f"{self.local}/{tenant}/{parts[0]}"
            return 400, f"error parsing {file}: open {file}: no such file or directory"
        if method == "GET":
            wanted = {parts[0]: spaces.get(parts[0], {})} if parts else spaces
            wanted = {space: list(groups.values()) for space, groups in wanted.items() if groups}
            return (200, yaml.safe_dump(wanted)) if wanted else (404, "no rule groups found")
        if method == "DELETE":
            if spaces.get(parts[0], {}).pop(parts[1], None) is None:
                return 404, "group does not exist"
            return 202, '{"status":"success"}'
        if headers.get("Content-Type") != "application/yaml":
            return 400, "unable to decode rule group payload"
        group = yaml.safe_load(raw)
        if not isinstance(group, dict) or set(group) - GROUP or not group.get("name") or not group.get("rules"):
            return 400, "invalid rules configuration"
        for rule in group["rules"]:
            if set(rule) - RULE or ("alert" in rule) == ("record" in rule):
                return 400, f"invalid rules configuration: {rule}"
            for name in rule.get("annotations") or {}:
                if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name):
                    return 400, f"invalid annotation name: {name}"
            if "====" in rule["expr"]:
                return 400, f"could not parse expression: {rule['expr']}"
        spaces.setdefault(parts[0], {})[group["name"]] = group
        return 202, '{"status":"success"}'
