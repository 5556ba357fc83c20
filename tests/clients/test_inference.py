"""The serving dialects with somebody else's client (tritonclient) and raw HTTP,
on a small deployment with a champion; columns are sent along or looked up."""
import http.client
import json
import urllib.parse

import pytest

from conftest import Shops

np = pytest.importorskip("numpy")
tritonhttp = pytest.importorskip("tritonclient.http")
from tritonclient.utils import InferenceServerException


class Target:
    """A server with a deployment: its name and its columns in order."""

    def __init__(self, url, name):
        self.url, self.name = url, name
        self.address = url.removeprefix("http://")
        self.meta = self.get(f"/v2/models/{name}")[1]
        self.columns = self.meta["parameters"]["columns"]

    def raw(self, method, path, body=None, headers=()):
        host = urllib.parse.urlsplit(self.url)
        c = http.client.HTTPConnection(host.hostname, host.port, timeout=60)
        try:
            c.putrequest(method, path)
            if body is not None:
                c.putheader("Content-Length", str(len(body)))
            for key, value in dict(headers).items():
                c.putheader(key, value)
            c.endheaders(body)
            r = c.getresponse()
            return r.status, r.headers, r.read()
        finally:
            c.close()

    def get(self, path):
        status, _, body = self.raw("GET", path)
        return status, json.loads(body)

    def post(self, path, body, headers=()):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        status, _, text = self.raw("POST", path, body, headers)
        return status, json.loads(text)

    def infer(self, body, headers=()):
        return self.post(f"/v2/models/{self.name}/infer", body, headers)

    def rows(self, n):
        rng = np.random.default_rng(7)
        return 1.0 + rng.random((n, len(self.columns)))


def features(x, datatype="FP64"):
    return {"inputs": [{"name": "features", "shape": list(x.shape),
                        "datatype": datatype, "data": x.tolist()}]}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    with Shops(tmp_path_factory.mktemp("inference")) as s:
        s.train()
        s.done(s.post("/api/v1/features/materialize"))
        s.deploy(1)
        yield s.url, "next-amount"


@pytest.fixture(scope="module")
def target(deployed):
    return Target(*deployed)


@pytest.fixture
def triton(target):
    with tritonhttp.InferenceServerClient(target.address) as client:
        yield client


# ---- tritonclient ----

def test_triton_sees_server_and_model(triton, target):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready(target.name)
    assert not triton.is_model_ready("nobody")
    meta = triton.get_server_metadata()
    assert meta["name"] == "slipway"
    assert "binary_tensor_data" in meta["extensions"]
    meta = triton.get_model_metadata(target.name)
    assert meta["inputs"][0]["shape"] == [-1, len(target.columns)]
    assert meta["outputs"] == [
        {"name": "prediction", "datatype": "FP64", "shape": [-1]}]
    version = meta["versions"][0]
    assert triton.is_model_ready(target.name, version)
    assert triton.get_model_metadata(target.name, version) == meta


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True, None])
@pytest.mark.parametrize("kind", ["FP64", "FP32"])
def test_triton_infers_in_json_and_binary(triton, target, binary_in,
                                          binary_out, kind):
    x = target.rows(3).astype("float64" if kind == "FP64" else "float32")
    tensor = tritonhttp.InferInput("features", list(x.shape), kind)
    tensor.set_data_from_numpy(x, binary_data=binary_in)
    outputs = None if binary_out is None else [
        tritonhttp.InferRequestedOutput("prediction", binary_data=binary_out)]
    got = triton.infer(target.name, [tensor], outputs=outputs,
                       request_id="r 1", parameters={"key": "k"})
    y = got.as_numpy("prediction")
    assert y.shape == (3,) and y.dtype == np.float64
    assert np.isfinite(y).all()
    answer = got.get_response()
    assert answer["model_name"] == target.name
    assert answer["id"] == "r 1"
    assert answer["parameters"]["served_by"] in ("champion", "canary",
                                                 "fallback")
    status, same = target.infer({**features(x.astype("float64")),
                                 "parameters": {"key": "k"}})
    assert status == 200
    assert same["outputs"][0]["data"] == y.tolist()


def test_triton_sends_no_rows_and_gets_none(triton, target):
    x = np.zeros((0, len(target.columns)))
    tensor = tritonhttp.InferInput("features", list(x.shape), "FP64")
    tensor.set_data_from_numpy(x)
    got = triton.infer(target.name, [tensor])
    assert got.as_numpy("prediction").shape == (0,)


def test_triton_shows_our_sentence(triton, target):
    tensor = tritonhttp.InferInput("features", [1, 1], "FP64")
    tensor.set_data_from_numpy(np.zeros((1, 1)))
    with pytest.raises(InferenceServerException, match="must have the shape"):
        triton.infer(target.name, [tensor])
    with pytest.raises(InferenceServerException, match="'nobody'"):
        triton.infer("nobody", [tensor])


def test_one_tensor_a_column_equals_the_matrix(triton, target):
    x = target.rows(2)
    tensors = []
    for i in reversed(range(len(target.columns))):
        t = tritonhttp.InferInput(target.columns[i], [2, 1], "FP64")
        t.set_data_from_numpy(x[:, i:i + 1])
        tensors.append(t)
    got = triton.infer(target.name, tensors, parameters={"key": "k"})
    _, want = target.infer({**features(x), "parameters": {"key": "k"}})
    assert got.as_numpy("prediction").tolist() == want["outputs"][0]["data"]


# ---- features looked up by the entity ----

def test_entities_are_looked_up_in_json_and_binary(triton, target):
    entity = target.meta["parameters"]["entity"]
    known = {"shop": ["A", "B"], "symbol": ["AAPL", "AAPL"]}[entity]
    tensor = tritonhttp.InferInput(entity, [2, 1], "BYTES")
    values = np.array(known, dtype=object).reshape(2, 1)
    for binary in (True, False):
        tensor.set_data_from_numpy(values, binary_data=binary)
        got = triton.infer(target.name, [tensor], parameters={"key": "k"})
        assert np.isfinite(got.as_numpy("prediction")).all()
        assert got.get_response()["parameters"]["event_time"] < "2024"
    status, answer = target.infer({"inputs": [
        {"name": entity, "shape": [2], "datatype": "BYTES",
         "data": [known[0], "nobody"]}]})
    assert status == 404
    assert "row 1" in answer["error"] and "'nobody'" in answer["error"]
    scored = target.post(f"/deployments/{target.name}/invocations",
                         {"dataframe_records": [{entity: known[0]}],
                          "params": {"key": "k"}})
    assert scored[1]["predictions"] == [got.as_numpy("prediction")[0]]


# ---- raw HTTP ----

def test_content_type_is_ignored_and_head_and_slash_are_taken(target):
    body = json.dumps(features(target.rows(1))).encode()
    path = f"/v2/models/{target.name}/infer"
    for headers in ({}, {"Content-Type": "text/plain"},
                    {"Content-Type": "application/octet-stream"}):
        assert target.raw("POST", path, body, headers)[0] == 200
    assert target.raw("POST", path + "/", body)[0] == 200
    assert target.raw("HEAD", "/v2/health/live")[::2] == (200, b"")
    assert target.get("/v2/")[1]["name"] == "slipway"
    assert target.get("/v2/health/live") == (200, {"live": True})
    assert target.get("/v2/health/ready") == (200, {"live": True,
                                                    "ready": True})
    assert target.name in target.get("/v2/models")[1]["models"]


def test_all_json_answers_have_no_binary_header(target):
    body = json.dumps(features(target.rows(1))).encode()
    _, headers, text = target.raw("POST", f"/v2/models/{target.name}/infer",
                                  body)
    assert headers["Content-Type"] == "application/json"
    assert headers["Inference-Header-Content-Length"] is None
    answer = json.loads(text)
    assert answer["outputs"][0]["shape"] == [1]
    assert len(answer["parameters"]["release"]) == 64
    assert answer["model_version"] in target.meta["versions"]


def test_event_time_comes_back(target):
    for sent in ("2023-08-31", "2023-08-31T00:00:00Z", 1693440000000):
        status, answer = target.infer({**features(target.rows(1)),
                                       "parameters": {"event_time": sent}})
        assert status == 200
        assert answer["parameters"]["event_time"] == "2023-08-31T00:00:00Z"


def test_faults_of_the_caller_are_400_with_a_sentence(target):
    one = features(target.rows(1))
    bad = [b"", b"{", b"[]", b"null", b"{} {}", b"{\"inputs\": []}",
           json.dumps(one).encode() + b"x",
           {"inputs": [{**one["inputs"][0], "datatype": "FP16"}]},
           {"inputs": [{**one["inputs"][0], "datatype": "nonsense"}]},
           {"inputs": [{**one["inputs"][0], "shape": [2, 2]}]},
           {"inputs": [{**one["inputs"][0], "shape": [-1, 1]}]},
           {"inputs": [{**one["inputs"][0], "data": ["x"]}]},
           {"inputs": [{**one["inputs"][0], "data": None}]},
           {"inputs": [one["inputs"][0]] * 2},
           {"inputs": [{**one["inputs"][0], "name": "nonsense"}]},
           {**one, "id": 7},
           {**one, "outputs": [{"name": "nonsense"}]},
           {**one, "outputs": [{"name": "prediction"}] * 2},
           {**one, "parameters": {"event_time": "soon"}}]
    for body in bad:
        status, answer = target.infer(body)
        assert status == 400, (body, answer)
        assert list(answer) == ["error"] and len(answer["error"]) > 8
    for n in ("x", "-1", "99999999", "0"):
        status, answer = target.infer(
            one, {"Inference-Header-Content-Length": n})
        assert status == 400, (n, answer)


def test_unknown_things_are_404(target):
    one = features(target.rows(1))
    for path in ("/v2/models/nobody/infer",
                 f"/v2/models/{target.name}/versions/99999/infer",
                 f"/v2/models/{target.name}/versions/x/infer"):
        status, answer = target.post(path, one)
        assert status == 404 and answer["error"], path
    assert target.get("/v2/models/nobody")[0] == 404
    assert target.get("/v2/models/nobody/ready")[0] == 404


def test_a_version_answers_under_its_number(target):
    one = features(target.rows(1))
    for version in target.meta["versions"]:
        status, answer = target.post(
            f"/v2/models/{target.name}/versions/{version}/infer", one)
        assert status == 200
        if answer["parameters"]["served_by"] != "fallback":
            assert answer["model_version"] == version


# ---- MLflow scoring ----

def test_every_form_of_a_frame_gives_the_same(target):
    x = target.rows(3)
    names, rows = target.columns, x.tolist()
    records = [dict(zip(names, r)) for r in rows]
    path = f"/deployments/{target.name}/invocations"
    params = {"params": {"key": "k"}}
    forms = [{"dataframe_split": {"columns": names, "data": rows}},
             {"dataframe_split": {"columns": names[::-1], "index": [0, 1, 2],
                                  "data": x[:, ::-1].tolist()}},
             {"dataframe_records": records},
             {"instances": rows}, {"instances": records},
             {"inputs": rows}, {"inputs": records},
             {"inputs": {n: x[:, i].tolist() for i, n in enumerate(names)}}]
    _, want = target.infer({**features(x), **{"parameters": {"key": "k"}}})
    for form in forms:
        status, answer = target.post(path, {**form, **params},
                                     {"Content-Type": "application/json"})
        assert status == 200, (form, answer)
        assert answer["predictions"] == want["outputs"][0]["data"]


def test_a_frame_may_come_as_csv(target):
    x = target.rows(2)
    lines = [",".join(f'"{c}"' for c in target.columns)]
    lines += [",".join(repr(v) for v in row) for row in x.tolist()]
    path = f"/invocations?deployment={target.name}"
    for newline in ("\n", "\r\n"):
        status, answer = target.post(path, newline.join(lines).encode(),
                                     {"Content-Type": "text/csv"})
        assert status == 200, answer
        assert len(answer["predictions"]) == 2


def test_scoring_says_what_is_wrong(target):
    path = f"/deployments/{target.name}/invocations"
    x = target.rows(1).tolist()
    cases = [({}, "exactly one"),
             ({"instances": x, "inputs": x}, "exactly one"),
             ({"instances": [[1.0] * (len(target.columns) + 1)]}, "values"),
             ({"dataframe_records": [{target.columns[0]: 1}]}, "missing")
             if len(target.columns) > 1 else ({}, "exactly one"),
             ({"dataframe_records": [{"nonsense": 1}]}, "none of the model's"),
             ({"dataframe_split": {"columns": target.columns,
                                   "data": [["x"] * len(target.columns)]}},
              "number")]
    for body, part in cases:
        status, answer = target.post(path, body)
        assert status == 400, (body, answer)
        assert part in answer["message"], answer
        assert answer["error_code"]
    assert target.raw("POST", path, b"x", {"Content-Type": "image/png"})[0] \
        == 415
    assert target.raw("GET", "/ping")[::2] == (200, b"\n")
    assert target.post("/deployments/nobody/invocations",
                       {"instances": x})[0] == 404
