#!/usr/bin/env python3
"""Holds requests and replies to an OpenAPI 3.1 file: what is not in it is a violation.

As a module: Contract(FILE).check_request(…), check_response(…), which raise Violation. The part of OpenAPI
that man/mass-api.yaml uses is understood, and anything else in the file is refused.
"""
import json
import re
import urllib.parse

import jsonschema
import yaml

OPERATION_KEYS = {"operationId", "summary", "description", "parameters", "requestBody", "responses"}
METHODS = {"get", "put", "post", "delete"}


class Violation(Exception):
    pass


class Operation:
    """One method of one path, with its references followed."""

    def __init__(self, contract, method, path, parameters, definition):
        unknown = set(definition) - OPERATION_KEYS
        if unknown:
            raise ValueError(f"{method} {path}: not understood here: {unknown}")
        self.id = definition["operationId"]
        self.method = method.upper()
        self.parameters = [contract.follow(p) for p in parameters + definition.get("parameters", [])]
        self.body = definition.get("requestBody")
        self.responses = {status: contract.follow(r) for status, r in definition["responses"].items()}
        names = re.findall(r"\{(\w+)\}", path)
        if sorted(names) != sorted(p["name"] for p in self.parameters if p["in"] == "path"):
            raise ValueError(f"{path}: its parameters are not those that are declared")
        self.pattern = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))


class Contract:
    def __init__(self, file):
        with open(file, encoding="utf-8") as text:
            self.document = yaml.safe_load(text)
        if not self.document["openapi"].startswith("3.1."):
            raise ValueError("not OpenAPI 3.1")
        self.operations = []
        for path, item in self.document["paths"].items():
            for method in item.keys() - {"parameters"}:
                if method not in METHODS:
                    raise ValueError(f"{path}: not understood here: {method}")
                self.operations.append(
                    Operation(self, method, path, item.get("parameters", []), item[method]))
        for name, schema in self.document["components"]["schemas"].items():
            jsonschema.Draft202012Validator.check_schema(schema)
            if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
                raise ValueError(f"{name}: an object that allows any field catches no drift")

    def follow(self, node):
        while "$ref" in node:
            found = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def check(self, what, schema, value):
        rooted = {"allOf": [schema], "components": self.document["components"]}
        problems = list(jsonschema.Draft202012Validator(rooted).iter_errors(value))
        if problems:
            where = "/".join(str(part) for part in problems[0].absolute_path)
            raise Violation(f"{what}: {where or 'as a whole'}: {problems[0].message}")

    def check_request(self, method, path, headers, body):
        """The operation, and the parameters of its path. `path` is below the base; headers: lower case."""
        path, _, query = path.partition("?")
        for operation in self.operations:
            match = operation.pattern.fullmatch(path)
            if match and operation.method == method:
                break
        else:
            raise Violation(f"{method} {path}: there is no such operation")
        if query:
            raise Violation(f"{operation.id}: there are no queries")
        parameters = {name: urllib.parse.unquote(text) for name, text in match.groupdict().items()}
        for parameter in operation.parameters:
            name = parameter["name"]
            value = parameters.get(name) if parameter["in"] == "path" else headers.get(name.lower())
            if value is None:
                raise Violation(f"{operation.id}: {name} is missing")
            self.check(f"{operation.id}: {name}", parameter["schema"], value)
        if not re.fullmatch(r"Bearer [!-~]+", headers.get("authorization", "")):
            raise Violation(f"{operation.id}: there is no bearer of an auth_key")
        if operation.body is None:
            if body:
                raise Violation(f"{operation.id}: a body, where there is none")
        else:
            self.check_content(f"{operation.id}: request", operation.body["content"], headers, body)
        return operation, parameters

    def check_response(self, operation, status, headers, body):
        response = operation.responses.get(str(status))
        if response is None:
            raise Violation(f"{operation.id}: there is no reply with status {status}")
        declared = {name.lower(): self.follow(h) for name, h in response.get("headers", {}).items()}
        if "retry-after" in headers and "retry-after" not in declared:
            raise Violation(f"{operation.id}: status {status} has no Retry-After")
        for name, header in declared.items():
            if name in headers:
                self.check(f"{operation.id}: {name}", header["schema"], headers[name])
        if "content" not in response:
            if body:
                raise Violation(f"{operation.id}: status {status} has no body")
        else:
            self.check_content(f"{operation.id}: reply {status}", response["content"], headers, body)

    def check_content(self, what, content, headers, body):
        kind = headers.get("content-type", "").partition(";")[0].strip()
        if kind not in content:
            raise Violation(f"{what}: it is {kind or 'of no type'}, not {' or '.join(content)}")
        if kind != "application/json":
            if not body:
                raise Violation(f"{what}: there is nothing in it")
            return
        try:
            value = json.loads(body)
        except ValueError as problem:
            raise Violation(f"{what}: it is not JSON: {problem}") from None
        self.check(what, content[kind]["schema"], value)
