#!/usr/bin/env python3
"""Make the dispatch table and the OpenAPI document from the list of routes.

  gen_routes.py --out-c routes.c --out-h routes.h --out-openapi openapi.json
                [--version 0.1.0] FILE...
  gen_routes.py --check FILE...

Each FILE is a JSON array of endpoints:

  name       unique, lower case: metrics, logs, operationId
  method     GET POST PUT PATCH DELETE
  path       "/api/v1/jobs/{id}"; a variable is a whole segment
  also       more paths with the same variables (MLflow's /ajax-api twins)
  handler    C function: enum slw_rc f(struct slw_http_req *,
             struct slw_http_res *, struct slw_err *)
  dialect    native mlflow v2 plain: how failures look
  flags      hot: runs on the event loop and must not wait
             upload: the body goes to a temporary file
             tail: the last variable takes the rest of the path
             local: exempt from the check of Host
             public: needs no token
             dry: takes ?dry_run=true (src/api/effects.c)
  body_max   bytes; 0 or absent: the server's default
  summary    one line
  params     [{in: path|query, name, type, required, description}]
  request    {schema: JSON Schema} or {content_type: "..."}
  responses  {"200": {description, schema?, content_type?}}
  errors     [400, 404]: further statuses, with the dialect's error body
  since      version

A route that is wrong stops the build with file, place and reason.  The same
input gives the same bytes.
"""
import argparse
import json
import pathlib
import re
import sys

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
DIALECTS = {"native": "SLW_NATIVE", "mlflow": "SLW_MLFLOW", "v2": "SLW_V2",
            "plain": "SLW_PLAIN"}
FLAGS = {"hot": "SLW_ROUTE_HOT", "upload": "SLW_ROUTE_UPLOAD",
         "tail": "SLW_ROUTE_TAIL", "local": "SLW_ROUTE_LOCAL",
         "public": "SLW_ROUTE_PUBLIC", "dry": "SLW_ROUTE_DRY"}
TYPES = ("string", "integer", "number", "boolean", "array")
KEYS = {"name", "method", "path", "also", "handler", "dialect", "flags",
        "body_max", "summary", "params", "request", "responses", "errors",
        "since"}
REQUIRED = {"name", "method", "path", "handler", "dialect", "summary",
            "responses", "since"}
VAR_MAX = 8
DRY_PARAM = {"in": "query", "name": "dry_run", "type": "boolean",
             "description": "true: change nothing and answer {effects: "
             "[{sentence, before, after}], refused: null or why}"}
REASONS = {400: "The request is wrong", 401: "No valid token",
           403: "Not permitted", 404: "No such thing",
           405: "Not with this method", 408: "Too slow",
           409: "The state does not allow it", 410: "Gone",
           412: "The precondition does not hold", 413: "Too large",
           415: "Wrong kind of body", 416: "No such range",
           422: "Understood, but not possible", 429: "Too many requests",
           500: "Our own fault", 501: "Not offered here",
           502: "A server behind this one failed",
           503: "Try again later", 504: "Took too long",
           507: "The disk is full"}
ERROR_SCHEMAS = {"native": "Error", "mlflow": "MlflowError", "v2": "V2Error"}
SCHEMAS = {
    "Error": {
        "type": "object", "required": ["error"],
        "properties": {"error": {
            "type": "object", "required": ["code", "message"],
            "properties": {"code": {"type": "string"},
                           "message": {"type": "string"}}}}},
    "MlflowError": {
        "type": "object", "required": ["error_code", "message"],
        "properties": {"error_code": {"type": "string"},
                       "message": {"type": "string"}}},
    "V2Error": {
        "type": "object", "required": ["error"],
        "properties": {"error": {"type": "string"}}},
}


class Wrong(Exception):
    """A route that is not as it must be."""


def need(condition, sentence):
    if not condition:
        raise Wrong(sentence)


def variables(path):
    return [s[1:-1] for s in path.split("/") if s.startswith("{")]


def check_path(path, flags):
    need(isinstance(path, str) and path.startswith("/"),
         f"path {path!r} must begin with '/'")
    need(path == "/" or not path.endswith("/"),
         f"path {path} must not end in '/': the server accepts both")
    segments = path[1:].split("/")
    for segment in segments if path != "/" else []:
        need(re.fullmatch(r"\{[a-z][a-z0-9_]*\}|[A-Za-z0-9_.~:@-]+", segment),
             f"segment {segment!r} of {path} must be a word or one {{variable}}")
        need(segment not in (".", ".."), f"{path} has a '.' segment")
    names = variables(path)
    need(len(names) == len(set(names)), f"{path} names a variable twice")
    need(len(names) <= VAR_MAX, f"{path} has more than {VAR_MAX} variables")
    need("tail" not in flags or segments[-1].startswith("{"),
         f"{path} is a tail route and must end in a variable")


def check_param(p, names, path):
    need(isinstance(p, dict) and set(p) <= {"in", "name", "type", "required",
                                            "description", "repeated"},
         f"a parameter of {path} has an unknown key")
    need(p.get("in") in ("path", "query"),
         f"parameter {p.get('name')!r} must be in path or query")
    need(p.get("type") in TYPES,
         f"parameter {p.get('name')!r} needs a type of {', '.join(TYPES)}")
    need(isinstance(p.get("description"), str) and p["description"],
         f"parameter {p.get('name')!r} needs a description")
    if p["in"] == "path":
        need(p["name"] in names, f"{path} has no variable {{{p['name']}}}")


def check_params(e):
    names = variables(e["path"])
    seen = set()
    for p in e.get("params", []):
        check_param(p, names, e["path"])
        key = (p["in"], p["name"])
        need(key not in seen, f"parameter {p['name']!r} is described twice")
        seen.add(key)
    for name in names:
        need(("path", name) in seen, f"variable {{{name}}} is not described")
    for other in e.get("also", []):
        need(variables(other) == names,
             f"{other} must have the variables of {e['path']}")


def check_answers(e):
    request = e.get("request", {})
    need(isinstance(request, dict) and
         set(request) <= {"schema", "content_type", "description"},
         "request may hold schema, content_type and description")
    need(isinstance(e["responses"], dict) and
         (e["responses"] or e.get("errors")),
         "responses must name at least one status")
    for status, answer in e["responses"].items():
        need(re.fullmatch(r"[1-5][0-9][0-9]", status),
             f"response {status!r} is not a status")
        need(isinstance(answer, dict) and answer.get("description"),
             f"response {status} needs a description")
    for status in e.get("errors", []):
        need(status in REASONS, f"error {status!r} is not a known status")
        need(str(status) not in e["responses"],
             f"{status} is both a response and an error")


def check(e):
    need(isinstance(e, dict), "an endpoint must be an object")
    unknown, missing = set(e) - KEYS, REQUIRED - set(e)
    need(not unknown, f"unknown key {', '.join(sorted(unknown))}")
    need(not missing, f"missing key {', '.join(sorted(missing))}")
    need(re.fullmatch(r"[a-z][a-z0-9_]*", e["name"]), "name must be a_name")
    need(re.fullmatch(r"[a-z][a-z0-9_]*", e["handler"]),
         "handler must be the name of a C function")
    need(e["method"] in METHODS, f"method must be one of {METHODS}")
    need(e["dialect"] in DIALECTS, f"dialect must be of {', '.join(DIALECTS)}")
    flags = e.get("flags", [])
    need(set(flags) <= set(FLAGS), f"flags must be of {', '.join(FLAGS)}")
    need(len(flags) == len(set(flags)), "a flag is given twice")
    need(not {"hot", "upload"} <= set(flags), "hot and upload exclude another")
    body_max = e.get("body_max", 0)
    need(isinstance(body_max, int) and body_max >= 0,
         "body_max must be a number of bytes")
    need(isinstance(e["summary"], str) and 0 < len(e["summary"]) <= 200 and
         "\n" not in e["summary"], "summary must be one line")
    if "dry" in flags:
        need(e["method"] != "GET", "a GET changes nothing, so it cannot be dry")
        e.setdefault("params", []).append(DRY_PARAM)
    for path in [e["path"], *e.get("also", [])]:
        check_path(path, flags)
    check_params(e)
    check_answers(e)


def no_duplicates(pairs):
    keys = [k for k, _ in pairs]
    need(len(keys) == len(set(keys)), f"a key is given twice in {keys}")
    return dict(pairs)


def load(files):
    """All endpoints, checked and in order of path and method."""
    endpoints, names, places, shapes = [], {}, {}, {}
    for file in files:
        try:
            text = pathlib.Path(file).read_text(encoding="utf-8")
            entries = json.loads(text, object_pairs_hook=no_duplicates)
            need(isinstance(entries, list), "the file must be an array")
        except (OSError, ValueError, Wrong) as why:
            raise Wrong(f"{file}: {why}") from why
        for index, e in enumerate(entries):
            name = e.get("name", "?") if isinstance(e, dict) else "?"
            where = f"{file}[{index}] ({name})"
            try:
                check(e)
                need(name not in names, f"name is taken by {names.get(name)}")
                names[name] = where
                for path in [e["path"], *e.get("also", [])]:
                    # two routes that differ only in variables' names collide
                    key = (e["method"], re.sub(r"\{[^}]*\}", "{}", path),
                           "tail" in e.get("flags", []))
                    need(key not in places,
                         f"{e['method']} {path} is taken by {places.get(key)}")
                    places[key] = where
                    # OpenAPI knows no two paths that differ only so
                    same = shapes.setdefault(key[1], path)
                    need(same == path, f"{path} must name its variables as "
                         f"{same} does")
            except Wrong as why:
                raise Wrong(f"{where}: {why}") from why
            endpoints.append(e)
    return sorted(endpoints, key=lambda e: (e["path"], e["method"]))


# ---- C ----

def c_string(text):
    out = []
    for byte in text.encode():
        c = chr(byte)
        if c in '"\\':
            out.append("\\" + c)
        elif c == "?":
            out.append("\\?")
        elif 32 <= byte < 127:
            out.append(c)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def c_route(e, path):
    flags = " | ".join(FLAGS[f] for f in sorted(e.get("flags", []))) or "0"
    wrapped = "dry_" if "dry" in e.get("flags", []) else ""
    return (f"    {{.method = {c_string(e['method'])}, "
            f".path = {c_string(path)},\n"
            f"     .fn = {wrapped}{e['handler']}, .flags = {flags},\n"
            f"     .dialect = {DIALECTS[e['dialect']]}, "
            f".body_max = {e.get('body_max', 0)}u,\n"
            f"     .name = {c_string(e['name'])}}},\n")


def make_header(endpoints):
    handlers = sorted({e["handler"] for e in endpoints})
    return ("/* Generated by tools/gen_routes.py: do not edit. */\n"
            "#ifndef SLW_API_ROUTES_H\n#define SLW_API_ROUTES_H\n\n"
            '#include "net/http.h"\n\n'
            "/* In order of path and method. */\n"
            "extern const struct slw_route slw_api_routes[];\n"
            "extern const size_t slw_api_route_count;\n\n"
            "/* The OpenAPI 3.1 document made from the same table. */\n"
            "struct slw_str slw_http_openapi(void);\n\n"
            "/* Handlers with the flag dry are called through this. */\n"
            "enum slw_rc api_dry_run(slw_http_fn fn, struct slw_http_req *req,\n"
            "    struct slw_http_res *res, struct slw_err *err);\n\n" +
            "".join(f"enum slw_rc {h}(struct slw_http_req *req,\n"
                    f"    struct slw_http_res *res, struct slw_err *err);\n"
                    for h in handlers) + "\n#endif\n")


def c_dry(handler):
    return (f"static enum slw_rc\ndry_{handler}(struct slw_http_req *req, "
            "struct slw_http_res *res,\n    struct slw_err *err)\n{\n"
            f"    return api_dry_run({handler}, req, res, err);\n}}\n\n")


def make_c(endpoints, header_name, document):
    dry = sorted({e["handler"] for e in endpoints
                  if "dry" in e.get("flags", [])})
    rows = sorted((path, e["method"], c_route(e, path)) for e in endpoints
                  for path in [e["path"], *e.get("also", [])])
    lines = document.splitlines(keepends=True)
    return ("/* Generated by tools/gen_routes.py: do not edit. */\n"
            f'#include "api/{header_name}"\n\n'
            + "".join(c_dry(h) for h in dry) +
            "const struct slw_route slw_api_routes[] = {\n" +
            "".join(row for _, _, row in rows) + "};\n"
            f"const size_t slw_api_route_count = {len(rows)};\n\n"
            "static const char openapi[] =\n" +
            "\n".join("    " + c_string(line).replace("\\012", "\\n")
                      for line in lines) + ";\n\n"
            "struct slw_str\nslw_http_openapi(void)\n{\n"
            "    return (struct slw_str){openapi, sizeof openapi - 1};\n}\n")


# ---- OpenAPI ----

def content(content_type, schema):
    return {content_type: {"schema": schema} if schema else {}}


def openapi_param(p):
    schema = {"type": p["type"]}
    if p["type"] == "array":
        schema["items"] = {"type": "string"}
    return {"in": p["in"], "name": p["name"], "schema": schema,
            "required": p["in"] == "path" or bool(p.get("required")),
            "description": p["description"]}


def openapi_responses(e):
    out = {}
    for status, answer in e["responses"].items():
        out[status] = {"description": answer["description"]}
        if status not in ("204", "304") and "HEAD" != e["method"]:
            out[status]["content"] = content(
                answer.get("content_type", "application/json"),
                answer.get("schema"))
    for status in e.get("errors", []):
        out[str(status)] = {"description": REASONS[status]}
        if e["dialect"] in ERROR_SCHEMAS:
            ref = "#/components/schemas/" + ERROR_SCHEMAS[e["dialect"]]
            out[str(status)]["content"] = content("application/json",
                                                  {"$ref": ref})
    return out


def openapi_operation(e, path, index):
    tag = next((s for s in e["path"].split("/")[1:]
                if s and not re.fullmatch(r"api|ajax-api|v[0-9]+|[0-9.]+", s)),
               "server")
    op = {"operationId": e["name"] + (f".{index}" if index else ""),
          "summary": e["summary"], "tags": [tag.strip("{}")],
          "responses": openapi_responses(e), "x-since": e["since"],
          "x-dialect": e["dialect"]}
    if e.get("params"):
        op["parameters"] = sorted(
            (openapi_param(p) for p in e["params"]),
            key=lambda p: (p["in"], p["name"]))
    request = e.get("request")
    if request:
        kind = request.get("content_type", "application/json")
        schema = request.get("schema")
        op["requestBody"] = {"required": True,
                             "content": content(kind, schema)}
        if request.get("description"):
            op["requestBody"]["description"] = request["description"]
    if "tail" in e.get("flags", []):
        op["x-tail"] = variables(path)[-1]
    return op


def make_openapi(endpoints, version):
    paths = {}
    for e in endpoints:
        for index, path in enumerate([e["path"], *e.get("also", [])]):
            paths.setdefault(path, {})[e["method"].lower()] = \
                openapi_operation(e, path, index)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Slipway", "version": version,
                 "license": {"name": "Apache-2.0",
                             "identifier": "Apache-2.0"}},
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http",
                                          "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
        "paths": paths,
    }
    # One line a path: small, and still readable in a diff.
    head = {k: v for k, v in document.items() if k != "paths"}
    dump = lambda v: json.dumps(v, sort_keys=True, ensure_ascii=True,
                                separators=(",", ":"))
    parts = [f"{dump(k)}:{dump(head[k])}" for k in sorted(head)]
    body = ",\n".join(f"{dump(p)}:{dump(paths[p])}" for p in sorted(paths))
    return "{" + ",\n".join(parts) + ',\n"paths":{\n' + body + "\n}}\n"


def write(path, text):
    if path:
        pathlib.Path(path).write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out-c")
    parser.add_argument("--out-h")
    parser.add_argument("--out-openapi")
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--check", action="store_true",
                        help="only say whether the files are right")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    try:
        endpoints = load(args.files)
    except Wrong as why:
        sys.exit(f"gen_routes: {why}")
    document = make_openapi(endpoints, args.version)
    json.loads(document)
    if args.check:
        print(f"{len(endpoints)} endpoints")
        return
    header = pathlib.Path(args.out_h).name if args.out_h else "routes.h"
    write(args.out_h, make_header(endpoints))
    write(args.out_c, make_c(endpoints, header, document))
    write(args.out_openapi, document)


if __name__ == "__main__":
    main()
