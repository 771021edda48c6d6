"""Holds requests against the description of an HTTP API in Swagger 2: paths, methods, query keys, bodies.

Stricter than such descriptions are meant: a key that is not described is a mistake.
"""
from __future__ import annotations

import json
import os
import re
from pathlib import Path


def description() -> dict | None:
    place = os.environ.get("GRAFANA_OPENAPI")
    if not place:
        return None
    path = Path(place)
    if path.is_dir():
        path = sorted(path.rglob("*swagger2.json"))[0]
    return json.loads(path.read_text())


class Description:
    """Holds requests against the description."""

    def __init__(self, spec: dict):
        self.definitions = spec["definitions"]
        self.paths = []
        for template, operations in spec["paths"].items():
            parts = re.split(r"\{[^}]+\}", template)
            pattern = "[^/]+".join(re.escape(part) for part in parts)
            # Paths without a placeholder win over those with one.
            self.paths.append((template.count("{"), re.compile(f"^/api{pattern}$"), operations))
        self.paths.sort(key=lambda entry: entry[0])

    def check(self, method: str, path: str, query: dict, headers, body) -> list[str]:
        for _, pattern, operations in self.paths:
            if pattern.match(path) and method.lower() in operations:
                return self.check_operation(operations[method.lower()], query, headers, body)
        if any(pattern.match(path) for _, pattern, _ in self.paths):
            return [f"{method} is not described for {path}"]
        return [f"{path} is not described"]

    def check_operation(self, operation: dict, query: dict, headers, body) -> list[str]:
        wrong = []
        named = {p["name"]: p for p in operation.get("parameters", []) if p["in"] == "query"}
        for key, values in query.items():
            if key not in named:
                wrong.append(f"there is no query key {key}")
                continue
            if named[key].get("type") in ("integer", "number") and not values[0].lstrip("-").isdigit():
                wrong.append(f"query key {key} is a number")
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "body":
                if body is None and parameter.get("required"):
                    wrong.append("a body is required")
                elif body is not None:
                    wrong += self.check_value(parameter.get("schema", {}), body, "body")
            elif parameter["in"] == "header" and parameter.get("required") and parameter["name"] not in headers:
                wrong.append(f"the header {parameter['name']} is required")
        return wrong

    def check_value(self, schema: dict, value, path: str) -> list[str]:
        # A span of Prometheus is a number in the program and a text wherever it is written.
        if schema.get("$ref") == "#/definitions/Duration" and isinstance(value, str):
            return []
        if "$ref" in schema:
            return self.check_value(self.definitions[schema["$ref"].rsplit("/", 1)[1]], value, path)
        kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
        kind = schema.get("type")
        if kind in kinds and (not isinstance(value, kinds[kind]) or (kind == "integer" and isinstance(value, bool))):
            return [f"{path} is not of type {kind}: {value!r}"]
        wrong = []
        if "enum" in schema and value not in schema["enum"]:
            wrong.append(f"{path}: {value!r} is not one of {schema['enum']}")
        if isinstance(value, str):
            if "pattern" in schema and not re.search(schema["pattern"], value):
                wrong.append(f"{path}: {value!r} does not match {schema['pattern']}")
            if len(value) > schema.get("maxLength", len(value)) or len(value) < schema.get("minLength", 0):
                wrong.append(f"{path}: {value!r} is too long or too short")
        if isinstance(value, list) and "items" in schema:
            for index, item in enumerate(value):
                wrong += self.check_value(schema["items"], item, f"{path}[{index}]")
        if isinstance(value, dict) and kind == "object":
            wrong += [f"{path}.{key} is missing" for key in schema.get("required", []) if key not in value]
            known = schema.get("properties", {})
            rest = schema.get("additionalProperties")
            for key, item in value.items():
                if key in known:
                    wrong += self.check_value(known[key], item, f"{path}.{key}")
                elif isinstance(rest, dict):
                    wrong += self.check_value(rest, item, f"{path}.{key}")
                elif known and rest is None:
                    wrong.append(f"{path}.{key} is not described")
        return wrong
