"""A client of any HTTP API, made of its OpenAPI 3.1 document and nothing else: a method per operation id,
which takes the parameters and the body that the document names, and refuses others."""
import json
import re
import urllib.error
import urllib.parse
import urllib.request


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(f"{status} {text[:200]}")
        self.status = status


class Client:
    def __init__(self, url):
        self.url, self.credentials = url, {}
        with urllib.request.urlopen(url + "/api/openapi.json") as r:
            self.document = json.load(r)
        self.operations = {op["operationId"]: (method.upper(), path, op)
                           for path, item in self.document["paths"].items() for method, op in item.items()}

    def __getattr__(self, name):
        if name not in self.operations:
            raise AttributeError(name)
        return lambda body=None, **given: self.call(name, given, body)

    def resolve(self, schema):
        while "$ref" in schema:
            at = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                at = at[part]
            schema = at
        return schema

    def check(self, schema, value, where):
        schema = self.resolve(schema)
        kind = schema.get("type")
        good = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}.get(kind)
        if good and not isinstance(value, good):
            raise TypeError(f"{where} must be {kind}")
        for name in schema.get("required", []):
            if name not in value:
                raise TypeError(f"{where} needs {name}")
        if kind == "object":
            for name, member in value.items():
                if "properties" in schema and name not in schema["properties"]:
                    raise TypeError(f"{where} has no {name}")
                self.check(schema.get("properties", {}).get(name, {}), member, f"{where}.{name}")
        for i, item in enumerate(value if kind == "array" else []):
            self.check(schema.get("items", {}), item, f"{where}[{i}]")

    def authorize(self, headers, op):
        """By the first of the operation's security schemes that we have a credential for."""
        schemes = self.document["components"]["securitySchemes"]
        for requirement in op.get("security", []):
            name = next(iter(requirement), None)
            if name not in self.credentials:
                continue
            scheme = schemes[name]
            if scheme["type"] == "http" and scheme["scheme"] == "bearer":
                headers["Authorization"] = f"Bearer {self.credentials[name]}"
            elif scheme["type"] == "apiKey" and scheme["in"] == "cookie":
                headers["Cookie"] = f"{scheme['name']}={self.credentials[name]}"
            return

    def request(self, name, given, body):
        method, path, op = self.operations[name]
        query, headers = {}, {}
        known = {p["name"]: p for p in op.get("parameters", [])}
        for key, value in given.items():
            if key not in known:
                raise TypeError(f"{name} has no parameter {key}")
            if known[key]["in"] == "path":
                path = path.replace("{%s}" % key, urllib.parse.quote(str(value), safe=""))
            else:
                query[key] = value
        if re.search(r"[{}]", path):
            raise TypeError(f"{name} needs more parameters: {path}")
        data = None
        if "requestBody" in op:
            media, content = next(iter(op["requestBody"]["content"].items()))
            if body is not None or op["requestBody"].get("required"):
                self.check(content["schema"], {} if body is None else body, name)
                data, headers["Content-Type"] = json.dumps(body or {}).encode(), media
        elif body is not None:
            raise TypeError(f"{name} takes no body")
        self.authorize(headers, op)
        url = self.url + self.document["servers"][0]["url"].rstrip("/") + path
        url += "?" + urllib.parse.urlencode(query) if query else ""
        return urllib.request.Request(url, data, headers, method=method), op

    def call(self, name, given, body):
        request, op = self.request(name, given, body)
        try:
            with urllib.request.urlopen(request, timeout=30) as r:
                return self.take(name, op["responses"][str(r.status)], r)
        except urllib.error.HTTPError as e:
            if str(e.code) not in op["responses"]:
                raise TypeError(f"{name} answered {e.code}, which the document does not have") from e
            raise Refused(e.code, e.read().decode()) from e

    def take(self, name, response, r):
        if "content" not in response:
            return None
        media = r.headers["Content-Type"].split(";")[0]
        schema = response["content"][media]["schema"]
        if media == "text/event-stream":
            return self.first_event(r)
        value = json.load(r)
        self.check(schema, value, f"the answer of {name}")
        return value

    @staticmethod
    def first_event(r):
        for line in r:
            if line.startswith(b"data: "):
                return json.loads(line[6:])
        raise TypeError("the stream ended before its first event")
