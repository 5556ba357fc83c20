"""The HTTP contract: the OpenAPI document, what every GET answers, the shape
of errors in each dialect, and Prometheus' text format."""
import http.client
import json
import math
import re

import pytest

from conftest import Server, Shops

METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """Read only: one server with a model deployed."""
    with Shops(tmp_path_factory.mktemp("contract")) as s:
        s.train().deploy(1)
        s.done(s.post("/api/v1/features/materialize"))
        s.infer("next-amount", "shop", "A")
        yield s


@pytest.fixture(scope="module")
def document(one):
    return one.get("/openapi.json")


def operations(document):
    for path, item in document["paths"].items():
        for method, op in item.items():
            assert method in METHODS, (path, method)
            yield path, method, op


# ---- the document ----

def refs(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for v in node.values():
            yield from refs(v)
    elif isinstance(node, list):
        for v in node:
            yield from refs(v)


def test_the_document_is_openapi_3_1(document):
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"] and document["info"]["version"]
    seen = set()
    for path, method, op in operations(document):
        where = f"{method} {path}"
        assert path.startswith("/"), where
        assert op["operationId"] not in seen, where
        seen.add(op["operationId"])
        assert op["summary"] and op["responses"], where
        for status, answer in op["responses"].items():
            assert re.fullmatch(r"[1-5][0-9][0-9]", status), where
            assert answer["description"], where
            for kind in answer.get("content", {}):
                assert "/" in kind, where
        params = op.get("parameters", [])
        for p in params:
            assert p["in"] in ("path", "query", "header"), where
            assert p["schema"]["type"] in ("string", "integer", "number",
                                           "boolean", "array"), where
            assert p["in"] != "path" or p["required"] is True, where
        assert len({(p["in"], p["name"]) for p in params}) == len(params)
        assert set(re.findall(r"\{([^}]+)\}", path)) == {
            p["name"] for p in params if p["in"] == "path"}, where
    for ref in refs(document):
        node = document
        for part in ref.removeprefix("#/").split("/"):
            node = node[part]


def test_the_document_lists_what_the_house_speaks(document):
    for path in ("/api/v1/datasets", "/v2/models/{model}/infer",
                 "/invocations", "/get-online-features", "/metrics",
                 "/api/2.0/mlflow/runs/create", "/health"):
        assert path in document["paths"], path


# ---- GETs ----

def test_every_get_without_variables_answers_as_declared(one, document):
    asked = 0
    for path, method, op in operations(document):
        needs = [p for p in op.get("parameters", []) if p.get("required")]
        if method != "get" or "{" in path or needs:
            continue
        if "text/event-stream" in op["responses"].get("200", {}).get("content", ()):
            continue  # does not end: test_page_server.py
        answer = one.call("GET", path)
        if answer.status == 400 and "run_uuid" in str(op.get("parameters")):
            check_error(op["x-dialect"], answer, path)
            continue  # wants one of two parameters, neither alone required
        if answer.status == 501 and set(op["responses"]) == {"501"}:
            check_error(op["x-dialect"], answer, path)
            continue  # declared as not implemented
        assert answer.status == 200, (path, answer.status, answer.text)
        kinds = op["responses"]["200"].get("content", {
            "application/json": {}})
        kind = answer.headers["Content-Type"].split(";")[0]
        assert kind in {k.split(";")[0] for k in kinds} or \
            (path, kind) in {("/version", "text/plain")}, (path, kind, kinds)
        if kind == "application/json" and answer.body.strip():
            json.loads(answer.body)
        asked += 1
    assert asked >= 20


def test_every_get_with_variables_answers_404_for_what_is_not_there(
        one, document):
    """…in words, and never 500."""
    for path, method, op in operations(document):
        if method != "get" or "{" not in path:
            continue
        url = re.sub(r"\{[^}]+\}", "no-such-thing", path)
        needs = [p["name"] for p in op.get("parameters", [])
                 if p.get("required") and p["in"] == "query"]
        answer = one.call("GET", url + "".join(
            ("&" if i else "?") + n + "=none" for i, n in enumerate(needs)))
        assert answer.status in (400, 404) or \
            str(answer.status) in op["responses"] and answer.status == 501, \
            (path, answer.status, answer.text)
        check_error(op["x-dialect"], answer, path)


# ---- errors ----

def check_error(dialect, answer, where):
    assert answer.headers["Content-Type"].startswith("application/json"), where
    body = answer.json
    if dialect == "mlflow":
        assert re.fullmatch(r"[A-Z_]+", body["error_code"]), (where, body)
        assert body["message"], where
    elif dialect == "v2":
        assert set(body) == {"error"} and body["error"], (where, body)
    else:
        assert body["error"] and re.fullmatch(r"[a-z_]+", body["code"]), \
            (where, body)


def test_every_post_answers_a_broken_body_in_its_dialect(one, document):
    for path, method, op in operations(document):
        kinds = op.get("requestBody", {}).get("content", {})
        if method not in ("post", "put", "patch") or \
                "application/json" not in kinds:
            continue
        url = re.sub(r"\{[^}]+\}", "no-such-thing", path)
        for body in (b'{"a": ', b"\xff\xfe", b"[1, 2", b'{"a": 1} x'):
            answer = one.call(method.upper(), url, body,
                              {"Content-Type": "application/json"})
            if op["x-dialect"] == "mlflow" and answer.status < 300:
                continue  # as MLflow's server: what is no JSON is no argument
            assert answer.status in (400, 404, 409, 415, 501), \
                (path, body, answer.status, answer.text)
            check_error(op["x-dialect"], answer, path)
    assert one.call("GET", "/health").status == 200


def test_json_of_the_wrong_shape_is_never_an_internal_error(one, document):
    odd = [{}, {"name": 3}, {"name": []}, {"uploads": {}}, {"inputs": 1},
           {"inputs": [{}]}, {"inputs": [{"name": "shop", "shape": [-1],
                                          "datatype": "BYTES", "data": []}]},
           {"views": 1, "rows": 1}, {"version": "x"}, {"version": -1},
           {"weight": 9, "version": 1}, {"labels": [{}]}, {"now": []},
           {"from": 1, "to": 0}, {"model": ""}, {"model": "x" * 5000}]
    for path, method, op in operations(document):
        kinds = op.get("requestBody", {}).get("content", {})
        if method not in ("post", "put", "patch") or \
                "application/json" not in kinds or "/clock" in path:
            continue
        url = re.sub(r"\{action\}", "deploy", path)
        url = re.sub(r"\{[^}]+\}", "next-amount", url)
        if url.endswith("/train") or "tokens" in url or "flows" in url:
            continue
        for body in odd:
            answer = one.call(method.upper(), url, body)
            assert answer.status < 500, (url, body, answer.status, answer.text)
    assert one.call("GET", "/health").status == 200


def raw(server, text):
    host, port = server.url.removeprefix("http://").split(":")
    c = http.client.HTTPConnection(host, int(port), timeout=30)
    c.connect()
    c.sock.sendall(text)
    answer = http.client.HTTPResponse(c.sock)
    answer.begin()
    body = answer.read()
    c.close()
    return answer.status, body


def test_unknown_paths_and_methods_are_said_so(one):
    answer = one.call("GET", "/api/v1/nothing")
    assert answer.status == 404 and answer.json["error"]
    answer = one.call("DELETE", "/api/v1/datasets")
    assert answer.status == 405
    assert "GET" in answer.headers["Allow"] and answer.json["error"]


@pytest.mark.parametrize("head", [
    b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST /api/v1/clock HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n{}",
    b"GET /api/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_ambiguous_requests_are_refused(one, head):
    status, body = raw(one, head)
    assert status == 400 and b"root:" not in body


def test_a_head_that_is_too_long_is_refused(one):
    status, _ = raw(one, b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"".join(
        b"X-%d: y\r\n" % i for i in range(500)) + b"\r\n")
    assert status == 431


def test_a_limit_out_of_bounds_is_refused(one):
    for path in ("/api/v1/jobs?limit=0", "/api/v1/jobs?limit=x",
                 "/api/v1/events?limit=99999999", "/api/v1/events?after=x"):
        answer = one.call("GET", path)
        assert answer.status == 400, path
        check_error("native", answer, path)


# ---- /metrics ----

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*,?)\}})? "
                    r"([^ ]+)(?: (-?[0-9]+))?")
KINDS = {"counter", "gauge", "histogram", "summary", "untyped"}


def parse_metrics(text):
    """Families of a strict reading of text format 0.0.4."""
    assert text.endswith("\n")
    families, current = {}, None
    for line in text.split("\n")[:-1]:
        if line.startswith("# "):
            word, name, rest = line[2:].split(" ", 2)
            assert word in ("HELP", "TYPE") and re.fullmatch(NAME, name), line
            f = families.setdefault(name, {"samples": {}})
            assert word not in f, "twice: " + line
            assert not f["samples"], "after its samples: " + line
            assert word != "TYPE" or rest in KINDS, line
            f[word], current = rest, name
            continue
        found = SAMPLE.fullmatch(line)
        assert found, "no sample: " + repr(line)
        name, labels = found.group(1), found.group(2) or ""
        family = name
        if families[current].get("TYPE") in ("histogram", "summary"):
            family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert family == current, f"{line} stands under {current}"
        pairs = re.findall(LABEL, labels)
        assert len({k for k, _ in pairs}) == len(pairs), line
        key = (name, tuple(sorted(pairs)))
        assert key not in families[family]["samples"], "twice: " + line
        value = float(found.groups()[-2].replace("Inf", "inf"))
        families[family]["samples"][key] = value
    for name, f in families.items():
        assert "HELP" in f and "TYPE" in f, name
        if f["TYPE"] == "counter":
            assert name.endswith("_total"), name
            assert all(v >= 0 for v in f["samples"].values()), name
        if f["TYPE"] == "histogram":
            check_histogram(name, f["samples"])
    return families


def check_histogram(name, samples):
    series = {}
    for (n, labels), value in samples.items():
        rest = tuple(kv for kv in labels if kv[0] != "le")
        s = series.setdefault(rest, {"le": []})
        if n.endswith("_bucket"):
            s["le"].append((float(dict(labels)["le"].replace("Inf", "inf")),
                            value))
        else:
            s[n.rsplit("_", 1)[1]] = value
    for s in series.values():
        bounds = [b for b, _ in s["le"]]
        counts = [c for _, c in s["le"]]
        assert bounds == sorted(bounds) and bounds[-1] == math.inf, name
        assert counts == sorted(counts), f"{name}: buckets not cumulative"
        assert counts[-1] == s["count"] and "sum" in s, name


def test_metrics_are_strict_prometheus_text(one):
    answer = one.call("GET", "/metrics")
    assert answer.headers["Content-Type"].startswith(
        "text/plain; version=0.0.4")
    families = parse_metrics(answer.text)
    assert len(families) >= 10
    assert families["slipway_build_info"]["samples"]
    assert families["process_resident_memory_bytes"]["TYPE"] == "gauge"


def test_metrics_count_what_happens(one):
    def count():
        f = parse_metrics(one.call("GET", "/metrics").text)
        http = f["slipway_http_requests_total"]["samples"]
        predictions = [v for name, fam in f.items() if "predict" in name
                       and fam["TYPE"] == "counter"
                       for v in fam["samples"].values()]
        return (http["slipway_http_requests_total", (("code", "2xx"),)],
                http["slipway_http_requests_total", (("code", "4xx"),)],
                sum(predictions))
    before = count()
    one.call("GET", "/api/v1/nothing")
    one.infer("next-amount", "shop", "A", "B")
    after = count()
    assert after[0] >= before[0] + 2
    assert after[1] == before[1] + 1
    assert after[2] > before[2]


def test_the_parser_of_this_test_refuses_what_is_wrong():
    good = ("# HELP a_total x\n# TYPE a_total counter\na_total 1\n")
    parse_metrics(good)
    for bad in (good + "a_total 2\n", good[:-1], good + "b 1\n",
                "# TYPE a_total counter\na_total 1\n",
                good.replace("a_total 1", 'a_total{x="1",x="2"} 1'),
                "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\n"
                "h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"):
        with pytest.raises((AssertionError, KeyError, ValueError)):
            parse_metrics(bad)
