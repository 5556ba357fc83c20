"""Every path of MLflow's API, asked of MLflow's own server and of ours in
lockstep: good and bad requests, and the same answers (tests/clients/
mlflow_diff.py says what "the same" is).  What differs on purpose stands in
`twin.meant(…)` with its reason; docs/mlflow.md lists them for people."""
import random

import pytest

pytest.importorskip("mlflow")

from conftest import Server  # noqa: E402
from mlflow_diff import ABSENT, Mlflow, Twin  # noqa: E402


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with Mlflow(tmp_path_factory.mktemp("theirs")) as theirs, \
            Server(tmp_path_factory.mktemp("ours")) as ours:
        theirs.wait()
        yield Twin(theirs.url, ours.url)


@pytest.fixture
def twin(servers):
    servers.notes.clear()
    yield servers
    assert not servers.notes, "a test that does not say done()"


@pytest.fixture
def world(twin, request):
    return World(twin, request.node.name)


class World:
    """What most conversations begin with: an experiment, runs, models."""

    def __init__(self, twin, name):
        self.twin, self.name, self.n = twin, name[:60], 0
        self._experiment = None

    def fresh(self, what):
        self.n += 1
        return f"{self.name}-{what}-{self.n}"

    @property
    def experiment(self):
        if self._experiment is None:
            self._experiment = self.make_experiment()
        return self._experiment

    def make_experiment(self, **more):
        return self.twin.post("experiments/create", {
            "name": self.fresh("e"), **more}).keep("experiment_id")

    def run(self, experiment=None, **more):
        more.setdefault("start_time", 1000)
        more.setdefault("run_name", "r")
        return self.twin.post("runs/create", {
            "experiment_id": experiment or self.experiment,
            **more}).keep("run.info.run_id")

    def see(self, run):
        return self.twin.get("runs/get", run_id=run)

    def model(self, **more):
        more.setdefault("name", "lm")
        return self.twin.post("logged-models", {
            "experiment_id": self.experiment, **more}).keep(
                "model.info.model_id")

    def registered(self, **more):
        name = more.pop("name", None) or self.fresh("m")
        self.twin.post("registered-models/create", {"name": name, **more})
        return name

    def version(self, name, **more):
        more.setdefault("source", "s3://bucket/a")
        self.twin.post("model-versions/create", {"name": name, **more})


# ---- each parameter of each request, in every bad form ----

WRONG = [ABSENT, None, "", -1, 1.5, True, ["a"], {"a": 1}, "käse", "a" * 200]


TYPES = {"tags": [], "params": [], "metrics": [], "datasets": [], "models": [],
         "order_by": [], "experiment_ids": [], "stages": [], "max_results": 1,
         "start_step": 1, "end_step": 1, "view_type": 1, "run_view_type": 1}


# What a filter, an order or a token is said to be wrong for differs in words.
LOOSE = ("filter", "order_by", "page_token", "max_results")


def of_wrong_type(bad, good):
    """Numbers may be written as text, nothing else may be another type."""
    if bad is ABSENT or bad is None or (bad == good and
                                        type(bad) is type(good)):
        return False
    if isinstance(good, (int, float)) and not isinstance(good, bool):
        # a number below 1 too: no count, no time, no name of a list
        return not str(bad).isdigit() or isinstance(bad, bool) or \
            int(bad) == 0
    return not isinstance(bad, type(good)) or bad == ["a"]


def spoil(twin, method, path, body, also=(), fields=None, wrong=WRONG):
    """The request as it is, and with each parameter spoilt in each way.
    `body` may be a function, for what must be new in each request."""
    make = body if callable(body) else lambda: dict(body)
    twin.call(method, path, make())
    for field in fields or [*make(), *also]:
        for bad in wrong:
            b = make()
            good = b.pop(field, TYPES.get(field, ""))
            if bad is not ABSENT:
                b[field] = bad
            twin.call(method, path, b, spoilt=of_wrong_type(bad, good),
                      random_name=True, beginnings=field in LOOSE)


def spoil_query(twin, path, query, also=(), fields=None, method="GET"):
    def ask(q, field=None, bad=""):
        twin.call(method, path + "?" + twin.query(q),
                  spoilt=of_wrong_type(bad, TYPES.get(field, "")) or
                  isinstance(bad, list), random_name=True,
                  beginnings=field in LOOSE)
    ask(query)
    for field in fields or [*query, *also]:
        for bad in [ABSENT, "", "0", "-1", "1.5", "true", "käse", "a" * 200,
                    ["a", "b"]]:
            q = dict(query)
            q.pop(field, None)
            if bad is not ABSENT:
                q[field] = bad
            ask(q, field, "" if bad is ABSENT else bad)


def test_bodies_that_are_no_requests(twin, world):
    world.experiment
    for path in ("experiments/create", "runs/create", "runs/log-batch",
                 "registered-models/create", "runs/search", "logged-models"):
        for raw in ("", "{", "null", "[]", "[1]", "5", '"x"', "true", "nan",
                    '{"name": }', '{"a": 1, "a": 2}',
                    '{"unknown": {"x": [1, 2, 3]}}'):
            twin.call("POST", path, raw=raw)
        if path == "logged-models":
            continue # MLflow names the field as it comes to it
        for kind in ("text/plain", "application/x-www-form-urlencoded",
                     "application/json; charset=utf-8", "application/jsonx",
                     ""):
            twin.call("POST", path, raw='{"name": 5}',
                      headers={"Content-Type": kind})
        twin.call("POST", path, raw=b'{"name": "\xff"}', headers={
            "Content-Type": "application/json"})
    twin.done()


def test_experiments_spoilt(twin, world):
    e = world.make_experiment()
    spoil(twin, "POST", "experiments/create",
          lambda: {"name": world.fresh("x")}, ["artifact_location", "tags"])
    spoil_query(twin, "experiments/get", {"experiment_id": e})
    spoil_query(twin, "experiments/get-by-name",
                {"experiment_name": "Default"})
    spoil(twin, "POST", "experiments/update",
          {"experiment_id": e, "new_name": world.fresh("new")})
    spoil(twin, "POST", "experiments/set-experiment-tag",
          {"experiment_id": e, "key": "k", "value": "v"})
    spoil(twin, "POST", "experiments/delete-experiment-tag",
          {"experiment_id": e, "key": "k"})
    with twin.meant("a search without max_results takes the default"):
        twin.post("experiments/search")
    spoil(twin, "POST", "experiments/search", {"max_results": 1}, fields=[
        "filter", "order_by", "view_type", "page_token"])
    spoil_query(twin, "experiments/search", {"max_results": "1"}, fields=[
        "filter", "order_by", "page_token"])
    spoil(twin, "POST", "experiments/delete", {"experiment_id": e})
    spoil(twin, "POST", "experiments/restore", {"experiment_id": e})
    twin.done()


def test_runs_spoilt(twin, world):
    e, r = world.experiment, world.run()
    spoil(twin, "POST", "runs/create",
          {"experiment_id": e, "run_name": "n", "start_time": 5,
           "user_id": "u"}, fields=["run_name", "user_id", "tags"])
    spoil_query(twin, "runs/get", {"run_id": r})
    spoil_query(twin, "runs/get", {"run_uuid": r})
    spoil(twin, "POST", "runs/update",
          {"run_id": r, "status": "RUNNING", "end_time": 7,
           "run_name": "x"}, fields=["run_id", "run_name"])
    spoil(twin, "POST", "runs/set-tag", {"run_id": r, "key": "k",
                                         "value": "v"})
    spoil(twin, "POST", "runs/delete-tag", {"run_id": r, "key": "k"})
    spoil(twin, "POST", "runs/search",
          {"experiment_ids": [world.make_experiment()], "max_results": 2},
          ["filter", "run_view_type", "order_by", "page_token"])
    spoil(twin, "POST", "runs/delete", {"run_id": r})
    spoil(twin, "POST", "runs/restore", {"run_id": r})
    twin.done()


def test_logging_spoilt(twin, world):
    r = world.run()
    spoil(twin, "POST", "runs/log-metric",
          {"run_id": r, "key": "m", "value": 1.5, "timestamp": 5, "step": 2},
          ["model_id", "dataset_name", "dataset_digest"])
    spoil(twin, "POST", "runs/log-parameter",
          lambda: {"run_id": r, "key": world.fresh("p"), "value": "v"})
    spoil(twin, "POST", "runs/log-batch",
          {"run_id": r, "metrics": [], "params": [], "tags": []})
    for field, one in (("metrics", {"key": "m", "value": 1, "timestamp": 1,
                                    "step": 1}),
                       ("params", {"key": "p", "value": "v"}),
                       ("tags", {"key": "t", "value": "v"})):
        for part in one:
            for bad in WRONG[:-1]:
                o = dict(one)
                o.pop(part)
                if bad is not ABSENT:
                    o[part] = bad
                twin.post("runs/log-batch", {"run_id": r, field: [o]},
                          spoilt=of_wrong_type(bad, one[part]))
    r = world.run()
    twin.post("runs/log-metric", {"run_id": r, "key": "m", "value": 1,
                                  "timestamp": 5})
    spoil_query(twin, "metrics/get-history",
                {"run_id": r, "metric_key": "m"},
                ["max_results", "page_token"])
    spoil_query(twin, "metrics/get-history-bulk-interval",
                {"run_ids": r, "metric_key": "m"},
                ["max_results", "start_step", "end_step"])
    spoil_query(twin, "/ajax-api/2.0/mlflow/metrics/get-history-bulk",
                {"run_id": r, "metric_key": "m"})
    twin.done()


def test_inputs_and_outputs_spoilt(twin, world):
    r, m = world.run(), world.model()
    data = {"name": "d", "digest": "x", "source_type": "local", "source": "s"}
    spoil(twin, "POST", "runs/log-inputs",
          {"run_id": r, "datasets": [{"dataset": data}], "models": []})
    for part in [*data, "schema", "profile"]:
        for bad in WRONG:
            if part in ("name", "digest") and bad in (ABSENT, None, ""):
                continue # said below
            d = dict(data)
            d.pop(part, None)
            if bad is not ABSENT:
                d[part] = bad
            twin.post("runs/log-inputs", {"run_id": r, "datasets": [
                {"dataset": d, "tags": [{"key": "k", "value": "v"}]}]},
                spoilt=of_wrong_type(bad, ""))
    with twin.meant("a dataset has a name and a digest"):
        twin.post("runs/log-inputs", {"run_id": r, "datasets": [
            {"dataset": {"source_type": "local", "source": "s"}}]})
    spoil(twin, "POST", "runs/outputs",
          {"run_id": r, "models": [{"model_id": m, "step": 3}]})
    for part in ("model_id", "step"):
        for bad in WRONG:
            d = {"model_id": m, "step": 1}
            good = d.pop(part)
            if bad is not ABSENT:
                d[part] = bad
            twin.post("runs/outputs", {"run_id": r, "models": [d]},
                      spoilt=of_wrong_type(bad, good))
    spoil(twin, "POST", "runs/log-model", {
        "run_id": r, "model_json": '{"artifact_path": "a", "flavors": {}, '
        '"utc_time_created": "2026", "run_id": "x"}'})
    twin.done()


def test_logged_models_spoilt(twin, world):
    e, r, m = world.experiment, world.run(), world.model()
    spoil(twin, "POST", "logged-models",
          {"experiment_id": e, "name": "n", "model_type": "t",
           "source_run_id": r}, ["params", "tags"])
    spoil(twin, "PATCH", f"logged-models/{m}",
          {"model_id": m, "status": "LOGGED_MODEL_READY"}, fields=["status"],
          wrong=[ABSENT, None, ""])
    with twin.meant("a status is one of the four"):
        twin.call("PATCH", f"logged-models/{m}", {"model_id": m,
                                                  "status": "x"})
    for status in ("LOGGED_MODEL_PENDING", "LOGGED_MODEL_UPLOAD_FAILED",
                   1, 2, 3, "2"):
        twin.call("PATCH", f"logged-models/{m}", {"model_id": m,
                                                  "status": status})
    few = [ABSENT, None, [], 5, "x"]
    spoil(twin, "PATCH", f"logged-models/{m}/tags",
          {"tags": [{"key": "k", "value": "v"}]}, wrong=few)
    spoil(twin, "POST", f"logged-models/{m}/params",
          {"model_id": m, "params": [{"key": "p", "value": "v"}]},
          fields=["params"], wrong=few)
    spoil(twin, "POST", "logged-models/search",
          {"experiment_ids": [world.make_experiment()], "max_results": 2},
          ["filter", "order_by", "datasets", "page_token"])
    with twin.meant("a page holds at least one model"):
        twin.post("logged-models/search", {"experiment_ids": [e],
                                           "max_results": 0})
    for o in ({}, {"field_name": 5}, {"field_name": ""}, {"field_name": "x"},
              {"field_name": "params.x"}, {"field_name": "metrics.x",
                                           "ascending": "no"},
              "name", 5):
        twin.post("logged-models/search", {"experiment_ids": [e],
                                           "order_by": [o]}, beginnings=True,
                  spoilt=True)
    for d in ({}, {"dataset_name": 5}, {"dataset_name": ""},
              {"dataset_digest": "x"}, "d", 5):
        twin.post("logged-models/search", {"experiment_ids": [e],
                                           "datasets": [d]}, beginnings=True,
                  spoilt=True)
    for path in ("logged-models/m-0", "logged-models/käse",
                 f"logged-models/{m}/artifacts/directories"):
        twin.get(path.replace("ä", "%C3%A4"))
    twin.get(f"logged-models/{m}/artifacts/directories",
             artifact_directory_path="../x")
    twin.call("DELETE", f"logged-models/{m}/tags/absent")
    twin.call("DELETE", f"logged-models/{m}/tags/k")
    twin.call("DELETE", "logged-models/m-0")
    twin.call("DELETE", f"logged-models/{m}")
    twin.get(f"logged-models/{m}")
    twin.get(f"logged-models/{m}?allow_deleted=true")
    with twin.meant("what is deleted is not written to"):
        twin.call("DELETE", f"logged-models/{m}")
        twin.call("PATCH", f"logged-models/{m}/tags",
                  {"tags": [{"key": "k", "value": "v"}]})
    twin.done()


def test_registered_models_spoilt(twin, world):
    name = world.registered(description="d", tags=[{"key": "a",
                                                    "value": "b"}])
    world.version(name)
    spoil(twin, "POST", "registered-models/create",
          lambda: {"name": world.fresh("x")}, ["description", "tags"])
    spoil_query(twin, "registered-models/get", {"name": name})
    spoil(twin, "PATCH", "registered-models/update",
          {"name": name, "description": "new"})
    spoil(twin, "POST", "registered-models/set-tag",
          {"name": name, "key": "k", "value": "v"})
    spoil(twin, "DELETE", "registered-models/delete-tag",
          {"name": name, "key": "k"})
    spoil_query(twin, "registered-models/search", {"max_results": "1"},
                ["filter", "order_by", "page_token"])
    spoil(twin, "POST", "registered-models/get-latest-versions",
          {"name": name}, ["stages"])
    spoil_query(twin, "registered-models/get-latest-versions",
                {"name": name}, ["stages"])
    spoil(twin, "POST", "registered-models/alias",
          {"name": name, "alias": "a", "version": "1"})
    spoil_query(twin, "registered-models/alias", {"name": name, "alias": "a"},
                fields=["name"])
    spoil(twin, "DELETE", "registered-models/alias",
          {"name": name, "alias": "a"})
    spoil(twin, "POST", "registered-models/rename",
          {"name": name, "new_name": world.fresh("renamed")},
          fields=["name", "new_name"])
    spoil(twin, "DELETE", "registered-models/delete",
          {"name": world.registered()})
    twin.done()


def test_model_versions_spoilt(twin, world):
    name = world.registered()
    spoil(twin, "POST", "model-versions/create",
          {"name": name, "source": "s3://b/a"},
          ["run_id", "tags", "run_link", "description", "model_id"])
    spoil_query(twin, "model-versions/get", {"name": name, "version": "1"})
    for v in ("1", "x", "99", "-1", "1.5"):
        twin.get("model-versions/get-download-uri", name=name, version=v)
    spoil(twin, "PATCH", "model-versions/update",
          {"name": name, "version": "1", "description": "d"},
          fields=["name", "version"])
    spoil(twin, "POST", "model-versions/set-tag",
          {"name": name, "version": "1", "key": "k", "value": "v"})
    spoil(twin, "DELETE", "model-versions/delete-tag",
          {"name": name, "version": "1", "key": "k"})
    spoil(twin, "POST", "model-versions/transition-stage",
          {"name": name, "version": "1", "stage": "Staging",
           "archive_existing_versions": True})
    spoil_query(twin, "model-versions/search", {"max_results": "2"},
                ["filter", "order_by", "page_token"])
    spoil(twin, "DELETE", "model-versions/delete",
          {"name": name, "version": "1"}, fields=["version"])
    twin.done()


# ---- conversations ----

KEYS = ["a", "a.b-c_d e:f/g", "日本", "a//b", "../x", "/x", "x/", "..",
        "a/./b", "a\tb", "a'b", 'a"b', "", "a" * 250, "a%2e", "x²", "a\\b"]


def test_keys_of_metrics_params_and_tags(twin, world):
    r, m = world.run(), world.model()
    name = world.registered()
    world.version(name)
    # Where MLflow does not look at keys at all, ours may refuse them.
    for k in KEYS:
        twin.post("runs/log-metric", {"run_id": r, "key": k, "value": 1,
                                      "timestamp": 1})
        twin.post("runs/log-parameter", {"run_id": r, "key": k, "value": "1"})
        twin.post("runs/set-tag", {"run_id": r, "key": k, "value": "1"})
        twin.post("runs/delete-tag", {"run_id": r, "key": k})
        twin.post("experiments/set-experiment-tag",
                  {"experiment_id": world.experiment, "key": k, "value": "1"})
        twin.post("registered-models/set-tag", {"name": name, "key": k,
                                                "value": "1"})
        twin.post("model-versions/set-tag", {"name": name, "version": "1",
                                             "key": k, "value": "1"})
        for what in ("metrics", "params", "tags"):
            twin.post("runs/log-batch", {"run_id": r, what: [
                {"key": "ok", "value": "1", "timestamp": 1},
                {"key": k, "value": "1", "timestamp": 1}]})
        twin.call("PATCH", f"logged-models/{m}/tags",
                  {"tags": [{"key": k, "value": "1"}]}, spoilt=True)
        twin.post(f"logged-models/{m}/params", {
            "model_id": m, "params": [{"key": k, "value": "1"}]},
            spoilt=True)
        twin.post("experiments/create", {
            "name": world.fresh("k"), "tags": [{"key": k, "value": "v"}]})
        twin.post("runs/create", {
            "experiment_id": world.experiment, "run_name": "n",
            "start_time": 1, "tags": [{"key": k, "value": "v"}]}, spoilt=True)
        twin.post("registered-models/create", {
            "name": world.fresh("k"), "tags": [{"key": k, "value": "v"}]})
        twin.post("model-versions/create", {
            "name": name, "source": "s3://b/a",
            "tags": [{"key": k, "value": "v"}]})
        twin.post("logged-models", {
            "experiment_id": world.experiment, "name": "n",
            "tags": [{"key": k, "value": "v"}]}, spoilt=True)
        twin.post("logged-models", {
            "experiment_id": world.experiment, "name": "n",
            "params": [{"key": k, "value": "v"}]}, spoilt=True)
        twin.get("metrics/get-history", run_id=r, metric_key=k)
    world.see(r)
    with twin.meant("a key may hold any character that is not ASCII"):
        twin.post("runs/set-tag", {"run_id": r, "key": "☃", "value": "1"})
    twin.done()


def test_lengths(twin, world):
    r, m = world.run(), world.model()
    name = world.registered()
    world.version(name)
    for n in (5999, 6000, 6001, 7999, 8000, 8001, 20000, 20001, 100000,
              100001):
        for c in ("a", "ü"):
            v = c * n
            twin.post("runs/log-parameter", {"run_id": r, "key": f"p{c}{n}",
                                             "value": v})
            twin.post("runs/set-tag", {"run_id": r, "key": "t", "value": v})
            twin.post("runs/log-batch", {"run_id": r, "tags": [
                {"key": "b", "value": v}], "params": [
                    {"key": f"q{c}{n}", "value": v}]})
            twin.post("experiments/set-experiment-tag",
                      {"experiment_id": world.experiment, "key": "k",
                       "value": v})
            twin.post("registered-models/set-tag",
                      {"name": name, "key": "k", "value": v})
            twin.post("model-versions/set-tag",
                      {"name": name, "version": "1", "key": "k", "value": v})
            twin.call("PATCH", f"logged-models/{m}/tags",
                      {"tags": [{"key": "k", "value": v}]})
            twin.post(f"logged-models/{m}/params", {
                "model_id": m, "params": [{"key": f"k{c}{n}", "value": v}]})
            twin.call("PATCH", "registered-models/update",
                      {"name": name, "description": v})
    world.see(r)
    twin.get(f"logged-models/{m}")
    twin.get("experiments/get", experiment_id=world.experiment)
    for k in ("a" * 251, "é" * 251):
        for path, body in (("log-metric", {"value": 1, "timestamp": 1}),
                           ("log-parameter", {}), ("set-tag", {})):
            twin.post(f"runs/{path}", {"run_id": r, "key": k, **body},
                      beginnings=True)
    with twin.meant("a registered model's name has 256 bytes at most"):
        twin.post("registered-models/create", {"name": "x" * 257})
    for n in (36, 37, 255, 256, 257, 500, 501, 65535, 65536):
        v = "x" * n
        twin.post("experiments/create", {"name": v})
        if n <= 256:
            twin.post("registered-models/create", {"name": v})
        twin.post("registered-models/alias", {"name": name, "alias": v,
                                              "version": "1"})
        twin.post("runs/create", {"experiment_id": world.experiment,
                                  "run_name": v, "start_time": 1})
        for part in ("name", "digest", "source", "source_type"):
            data = {"name": "d", "digest": str(n), "source_type": "s",
                    "source": "s", part: v}
            twin.post("runs/log-inputs", {"run_id": r, "datasets": [
                {"dataset": data}]})
        for tag in ({"key": v, "value": "v"}, {"key": "k", "value": v}):
            twin.post("runs/log-inputs", {"run_id": r, "datasets": [
                {"dataset": {"name": "t", "digest": f"{n}{tag['key'][0]}",
                             "source_type": "s", "source": "s"},
                 "tags": [tag]}]})
    twin.done()


def test_batch_limits(twin, world):
    r = world.run()

    def many(n, what, **more):
        return [{"key": f"{what}{i}", "value": "1", **more}
                for i in range(n)]
    for metrics, params, tags in ((1000, 0, 0), (1001, 0, 0), (0, 100, 0),
                                  (0, 101, 0), (0, 0, 100), (0, 0, 101),
                                  (800, 100, 100), (801, 100, 100),
                                  (900, 100, 1)):
        twin.post("runs/log-batch", {
            "run_id": r, "metrics": many(metrics, "m", timestamp=1),
            "params": many(params, "p"), "tags": many(tags, "t")})
    for n in (1000,):
        twin.post("runs/log-inputs", {"run_id": r, "datasets": [
            {"dataset": {"name": "d", "digest": str(i), "source_type": "s",
                         "source": "s"}} for i in range(n)]})
    for n in (100, 101):
        m = world.model()
        twin.post(f"logged-models/{m}/params",
                  {"model_id": m, "params": many(n, "p")})
    twin.done()


def test_metric_values_steps_and_repeats(twin, world):
    r = world.run()
    for value in (0, -0.0, 1, -1.5, 1e308, 5e-324, 1e-400,
                  "1.5", "1e5", "NaN", "Infinity", "-Infinity", None):
        twin.post("runs/log-metric", {"run_id": r, "key": "v", "value": value,
                                      "timestamp": 1})
        twin.post("runs/log-batch", {"run_id": r, "metrics": [
            {"key": "w", "value": value, "timestamp": 1, "step": 0}]})
    with twin.meant("true is not a number, a body is JSON"):
        for value in (True, "0x10", float("nan"), float("inf"), 10**30):
            twin.post("runs/log-metric", {"run_id": world.run(), "key": "v",
                                          "value": value, "timestamp": 1})
    for at in (0, 1.0, "5", 2**53, 2**63 - 1, "9223372036854775807", 1e3):
        for field in ("timestamp", "step"):
            point = {"run_id": r, "key": field, "value": 1, "timestamp": 1,
                     field: at}
            twin.post("runs/log-metric", point)
            del point["run_id"]
            twin.post("runs/log-batch", {"run_id": r, "metrics": [point]})
    for key in ("v", "w", "timestamp", "step", "absent"):
        twin.get("metrics/get-history", run_id=r, metric_key=key)
    world.see(r)
    twin.done()


def test_histories(twin, world):
    rng = random.Random(5)
    runs = [world.run() for _ in range(3)]
    for r in runs:
        points = [{"key": "m", "value": rng.choice([1, 2, 2.5, "NaN",
                                                    "Infinity", -3]),
                   "timestamp": rng.randrange(5), "step": rng.randrange(-3, 9)}
                  for _ in range(40)]
        twin.post("runs/log-batch", {"run_id": r, "metrics": points})
        twin.post("runs/log-batch", {"run_id": r, "metrics": points[:7]})
        for p in points[:3]:
            twin.post("runs/log-metric", {"run_id": r, **p})
        world.see(r)
        twin.get("metrics/get-history", run_id=r, metric_key="m")
        token = None
        for _ in range(20):
            q = {"run_id": r, "metric_key": "m", "max_results": 7}
            if token:
                q["page_token"] = token
            page = twin.get("metrics/get-history", **q)
            if not any("next_page_token" in (j or {}) for j in page.json):
                break
            token = page.keep("next_page_token")
    for most in (None, 1, 5, 10, 2500, 2501, 0):
        for steps in ((), (0, 5), (-3, -1), (5, 0), (8, 8), (100, 200)):
            q = {"run_ids": runs, "metric_key": "m"}
            if most is not None:
                q["max_results"] = most
            if steps:
                q["start_step"], q["end_step"] = steps
            twin.get("metrics/get-history-bulk-interval", **q)
    many = world.run()
    for at in range(0, 3000, 1000):
        twin.post("runs/log-batch", {"run_id": many, "metrics": [
            {"key": "m", "value": i, "timestamp": i, "step": i}
            for i in range(at, at + 1000)]})
    for most in (1, 7, 320, 1000):
        for steps in ((), (100, 2000)):
            q = {"run_ids": [many, runs[0]], "metric_key": "m",
                 "max_results": most}
            if steps:
                q["start_step"], q["end_step"] = steps
            twin.get("metrics/get-history-bulk-interval", **q)
    bulk = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
    with twin.meant("NaN is a string here too: the answer is JSON"):
        twin.get(bulk, run_id=runs, metric_key="m")
    twin.get(bulk, run_id=[many, world.run()], metric_key="m")
    twin.get(bulk, run_id=[many], metric_key="m", max_results=10)
    twin.get(bulk, run_id=runs)
    twin.get(bulk, metric_key="m")
    twin.get(bulk, run_id=["0" * 32], metric_key="m")
    twin.get(bulk, run_id=[f"{i:032x}" for i in range(101)], metric_key="m")
    twin.get("metrics/get-history-bulk-interval", metric_key="m",
             run_ids=[f"{i:032x}" for i in range(101)])
    twin.done()


def test_params_are_written_once(twin, world):
    r = world.run()

    def batch(*params, **more):
        twin.post("runs/log-batch", {"run_id": r, "params": [
            {"key": k, "value": v} for k, v in params], **more})
    twin.post("runs/log-parameter", {"run_id": r, "key": "p", "value": "1"})
    twin.post("runs/log-parameter", {"run_id": r, "key": "p", "value": "1"})
    twin.post("runs/log-parameter", {"run_id": r, "key": "p", "value": "2"})
    twin.post("runs/log-parameter", {"run_id": r, "key": "p"})
    twin.post("runs/log-parameter", {"run_id": r, "key": "e"})
    twin.post("runs/log-parameter", {"run_id": r, "key": "e", "value": "x"})
    batch(("p", "1"), ("q", "1"))
    batch(("p", "3"), ("z", "1"), metrics=[
        {"key": "m", "value": 1, "timestamp": 1}], tags=[{"key": "t"}])
    batch(("p", "3"), ("q", "4"))
    batch(("a", "1"), ("a", "2"), ("b", "1"), ("b", "1"), ("a", "3"))
    batch(("a", "1"), ("a", "1"))
    batch(("q'uote", "it's"))
    batch(("x", "it's"))
    batch(("x", 'say "hi"'))
    batch(("x", "a\\b\nc"))
    world.see(r)
    twin.done()


def test_run_names_tags_and_states(twin, world):
    e = world.experiment
    made = twin.post("runs/create", {"experiment_id": e, "start_time": 1},
                     random_name=True)
    r = made.keep("run.info.run_id")
    twin.call("GET", f"runs/get?run_id={r}", random_name=True)
    with twin.meant("a run without a start time starts now, not in 1970"):
        twin.post("runs/create", {"experiment_id": e, "run_name": "n"})
    for body in ({"run_name": ""}, {"run_name": "a", "tags": [
            {"key": "mlflow.runName", "value": "b"}]},
            {"tags": [{"key": "mlflow.runName", "value": "b"}]},
            {"run_name": "", "tags": [{"key": "mlflow.runName",
                                       "value": ""}]},
            {"run_name": "c", "tags": [{"key": "x", "value": "1"},
                                       {"key": "x", "value": "2"}]},
            {"run_name": "c", "tags": [{"key": "mlflow.user", "value": "u"}],
             "user_id": "v"}, {"run_name": "d", "user_id": "w"},
            {"run_name": "d", "tags": [{"key": "k"}]}):
        twin.post("runs/create", {"experiment_id": e, "start_time": 3,
                                  **body}, random_name=True)
    r = world.run()
    for body in ({"run_name": "new"}, {"run_name": ""}, {"status": "FAILED"},
                 {"status": 3}, {"status": "3"}, {"end_time": 0},
                 {"end_time": 123}, {"end_time": "124"},
                 {"status": "FINISHED", "end_time": 99, "run_name": "z"},
                 {"status": "RUNNING"}, {"status": "SCHEDULED"}, {}):
        twin.post("runs/update", {"run_id": r, **body})
        world.see(r)
    for tag in ({"key": "mlflow.runName", "value": "by-tag"},
                {"key": "mlflow.runName", "value": ""},
                {"key": "mlflow.user", "value": "me"},
                {"key": "mlflow.source.name", "value": "x"},
                {"key": "k"}):
        twin.post("runs/set-tag", {"run_id": r, **tag})
        world.see(r)
    twin.post("runs/log-batch", {"run_id": r, "tags": [
        {"key": "mlflow.runName", "value": "by-batch"},
        {"key": "t", "value": "1"}, {"key": "t", "value": "2"}]})
    twin.post("runs/delete-tag", {"run_id": r, "key": "t"})
    twin.post("runs/delete-tag", {"run_id": r, "key": "t"})
    twin.post("runs/delete-tag", {"run_id": r, "key": "mlflow.runName"})
    world.see(r)
    twin.done()


def test_deleted_and_restored(twin, world):
    e = world.make_experiment(tags=[{"key": "a", "value": "1"}])
    r, other = world.run(e), world.run(e, start_time=2000)
    m = twin.post("logged-models", {"experiment_id": e, "name": "x"}).keep(
        "model.info.model_id")
    writes = [("runs/log-metric", {"key": "m", "value": 1, "timestamp": 1}),
              ("runs/log-parameter", {"key": "p", "value": "1"}),
              ("runs/set-tag", {"key": "t", "value": "1"}),
              ("runs/delete-tag", {"key": "t"}),
              ("runs/log-batch", {"metrics": [{"key": "m", "value": 1,
                                               "timestamp": 2}]}),
              ("runs/log-batch", {}),
              ("runs/log-inputs", {"datasets": [{"dataset": {
                  "name": "d", "digest": "1", "source_type": "s",
                  "source": "s"}}]}),
              ("runs/outputs", {"models": [{"model_id": m, "step": 0}]}),
              ("runs/update", {"status": "FINISHED"})]

    def everything(run):
        for path, body in writes:
            twin.post(path, {"run_id": run, **body})
        world.see(run)
        for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", 1, 2, 3, "1", 0,
                     "x"):
            twin.post("runs/search", {"experiment_ids": [e],
                                      "run_view_type": view},
                      spoilt=view in (0, "x"))
    everything("0" * 32)
    everything("a b")
    everything("x" * 300)
    twin.post("runs/delete", {"run_id": r})
    twin.post("runs/delete", {"run_id": r})
    everything(r)
    twin.post("runs/restore", {"run_id": r})
    twin.post("runs/restore", {"run_id": r})
    everything(r)
    twin.post("runs/delete", {"run_id": other})
    twin.post("experiments/delete", {"experiment_id": e})
    twin.post("experiments/delete", {"experiment_id": e})
    everything(r)
    twin.post("runs/restore", {"run_id": r})
    twin.post("runs/create", {"experiment_id": e, "run_name": "n",
                              "start_time": 1})
    twin.post("logged-models", {"experiment_id": e, "name": "x"})
    twin.post("logged-models/search", {"experiment_ids": [e]})
    twin.post("experiments/set-experiment-tag",
              {"experiment_id": e, "key": "k", "value": "v"})
    twin.post("experiments/delete-experiment-tag",
              {"experiment_id": e, "key": "a"})
    twin.post("experiments/update", {"experiment_id": e,
                                     "new_name": world.fresh("n")})
    name = twin.get("experiments/get", experiment_id=e).json[0][
        "experiment"]["name"]
    twin.post("experiments/create", {"name": name})
    twin.get("experiments/get-by-name", experiment_name=name)
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", 1, "2", 7, "x"):
        twin.post("experiments/search", {
            "view_type": view, "filter": f"name = '{name}'",
            "max_results": 5}, spoilt=view in (0, 7, "x"))
        twin.call("GET", "experiments/search?" + twin.query({
            "view_type": view, "filter": f"name = '{name}'",
            "max_results": 5}), spoilt=view in (0, 7, "x"))
    twin.post("experiments/restore", {"experiment_id": e})
    twin.post("experiments/restore", {"experiment_id": e})
    world.see(r)
    world.see(other)
    everything(other)
    other_name = world.fresh("taken")
    twin.post("experiments/create", {"name": other_name})
    twin.post("experiments/update", {"experiment_id": e,
                                     "new_name": other_name})
    twin.post("experiments/update", {"experiment_id": e, "new_name": name})
    twin.post("experiments/delete", {"experiment_id": "0"})
    twin.post("experiments/restore", {"experiment_id": "0"})
    for bad in ("999999", "-1", "x", "1.5", "0x1", "a b", "é"):
        twin.get("experiments/get", experiment_id=bad)
        for act in ("delete", "restore"):
            twin.post(f"experiments/{act}", {"experiment_id": bad})
        twin.post("experiments/update", {"experiment_id": bad,
                                         "new_name": "x"})
        twin.post("runs/create", {"experiment_id": bad, "run_name": "n",
                                  "start_time": 1})
        twin.post("runs/search", {"experiment_ids": [bad]})
        twin.post("logged-models", {"experiment_id": bad, "name": "x"})
        twin.post("logged-models/search", {"experiment_ids": [bad]})
    twin.done()


def test_artifact_locations(twin, world):
    for where in ("s3://bucket/x", "s3://bucket/x/", "s3://bucket",
                  "gs://b/c", "file:///tmp/x", "/tmp/x",
                  "mlflow-artifacts:/7/x",
                  "dbfs:/x",
                  "nosuch://x", "s3://b/../c", "runs:/x/y",
                  "models:/x/1", ""):
        made = twin.post("experiments/create", {
            "name": world.fresh("x"), "artifact_location": where})
        if made.answers[0][0] == made.answers[1][0] == 200:
            e = made.keep("experiment_id")
            twin.get("experiments/get", experiment_id=e)
            r = world.run(e)
            world.see(r)
            twin.post("logged-models", {"experiment_id": e, "name": "x"})
    twin.done()


def test_inputs_and_outputs(twin, world):
    r, other = world.run(), world.run()
    m, n = world.model(), world.model(name="second")
    data = [{"name": f"d{i % 3}", "digest": f"{i % 2}", "source_type": "s",
             "source": f"s{i}", "schema": "x" * (i % 2),
             "profile": "p" * (i % 3)} for i in range(6)]
    for body in ({"datasets": [{"dataset": d, "tags": [
            {"key": "mlflow.data.context", "value": "train"}]}
            for d in data]}, {"datasets": [{"dataset": data[0]}]},
            {"datasets": [{"dataset": data[0], "tags": [
                {"key": "mlflow.data.context", "value": "test"},
                {"key": "k", "value": "1"}]}]},
            {"datasets": []}, {},
            {"datasets": [{"dataset": data[1], "tags": [{"key": "k"}]}]},
            {"models": [{"model_id": m}]}, {"models": [{"model_id": "m-0"}]},
            {"models": [{"model_id": n}]}):
        twin.post("runs/log-inputs", {"run_id": r, **body})
        world.see(r)
    for body in ({"models": [{"model_id": m, "step": 1}]},
                 {"models": [{"model_id": "m-0", "step": -1}]},
                 {"models": []}, {}, {"models": [{"model_id": n}]}):
        twin.post("runs/outputs", {"run_id": other, **body})
        world.see(other)
    twin.get(f"logged-models/{m}")
    e = world.experiment
    for ids in ([e], [], ["999"], [e] * 21):
        twin.call("POST", "/ajax-api/2.0/mlflow/experiments/search-datasets",
                  {"experiment_ids": ids})
    with twin.meant("a search tells a run's model inputs too"):
        twin.post("runs/search", {"experiment_ids": [e]})
    twin.done()


def test_metrics_of_logged_models(twin, world):
    r, m, at = world.run(), world.model(), 0
    for body in ({"model_id": m}, {"model_id": m, "dataset_name": "d",
                                   "dataset_digest": "x"},
                 {"model_id": m, "dataset_name": "d"},
                 {"model_id": m, "dataset_digest": "x"},
                 {"dataset_name": "d", "dataset_digest": "x"}):
        at += 1
        for i, value in enumerate((1, 2, 0.5)):
            twin.post("runs/log-metric", {
                "run_id": r, "key": "m", "value": value, "timestamp": at,
                "step": i, **body})
        twin.post("runs/log-batch", {"run_id": r, "metrics": [
            {"key": "b", "value": 4, "timestamp": at, "step": 2, **body}]})
        twin.get(f"logged-models/{m}")
        world.see(r)
    twin.get("metrics/get-history", run_id=r, metric_key="m")
    twin.done()


def test_log_model_of_old_clients(twin, world):
    r = world.run()
    good = {"artifact_path": "a", "flavors": {"python_function": {}},
            "utc_time_created": "2026-01-01", "run_id": "x"}
    import json
    for model in (good, {**good, "artifact_path": "b"}, {**good, "extra": 1},
                  {}, {"run_id": 5}, [], 5, "x", None):
        twin.post("runs/log-model", {"run_id": r,
                                     "model_json": json.dumps(model)},
                  beginnings=True)
    with twin.meant("the history tag keeps a model as it came"):
        world.see(r)
    twin.post("runs/log-model", {"run_id": r, "model_json": "{"})
    twin.done()


def test_registry_conversation(twin, world):
    name, other = world.registered(), world.registered(description="")
    for bad in ("a/b", "a:b", "", ".", "..", "käse",
                "%41", "a?b", "a#b"):
        twin.post("registered-models/create", {"name": bad})
        twin.get("registered-models/get", name=bad)
        twin.post("registered-models/rename", {"name": name,
                                               "new_name": bad})
        twin.post("registered-models/rename", {"name": bad,
                                               "new_name": "x"})
    twin.call("PATCH", "registered-models/update", {"name": "absent",
                                                    "description": "x"})
    name = world.registered(name=world.fresh("again"))
    twin.post("registered-models/create", {"name": name})
    twin.post("registered-models/rename", {"name": name, "new_name": other})
    twin.post("registered-models/rename", {"name": name, "new_name": name})
    twin.post("registered-models/rename", {"name": "absent",
                                           "new_name": "y"})
    for i in range(4):
        world.version(name, description=f"v{i}", run_link="http://x/y",
                      tags=[{"key": "i", "value": str(i)}])
    twin.post("model-versions/create", {"name": "absent",
                                        "source": "s3://b/a"})
    see = lambda: [twin.get("registered-models/get", name=name),  # noqa: E731
                   twin.get("model-versions/search",
                            filter=f"name = '{name}'"),
                   twin.post("registered-models/get-latest-versions",
                             {"name": name})]
    see()
    for stage in ("Staging", "production", "ARCHIVED", "None", "none",
                  "nowhere", "", " Staging"):
        for archive in (True, False, None, "true", 1):
            twin.post("model-versions/transition-stage",
                      {"name": name, "version": "2", "stage": stage,
                       "archive_existing_versions": archive})
    for v, stage, archive in (("1", "Staging", False), ("2", "Staging", False),
                              ("3", "staging", True), ("2", "None", True),
                              ("2", "Archived", True), ("9", "Staging", True),
                              ("1", "Production", True)):
        twin.post("model-versions/transition-stage",
                  {"name": name, "version": v, "stage": stage,
                   "archive_existing_versions": archive})
        see()
    for stages in (["Staging"], ["staging", "Production"], ["None"], [],
                   ["nowhere"], [""]):
        twin.post("registered-models/get-latest-versions",
                  {"name": name, "stages": stages})
        twin.get("registered-models/get-latest-versions", name=name,
                 stages=stages)
    for alias in ("champion", "Champion", "latest", "Latest", "v1", "V22",
                  "v1x", "", "-", "_", "1"):
        twin.post("registered-models/alias", {"name": name, "alias": alias,
                                              "version": "1"})
        twin.get("registered-models/alias", name=name, alias=alias)
        twin.call("DELETE", "registered-models/alias",
                  {"name": name, "alias": alias})
    twin.post("registered-models/alias", {"name": name, "alias": "a",
                                          "version": "1"})
    twin.post("registered-models/alias", {"name": name, "alias": "b",
                                          "version": "1"})
    twin.post("registered-models/alias", {"name": name, "alias": "a",
                                          "version": "2"})
    twin.post("registered-models/alias", {"name": name, "alias": "a",
                                          "version": "99"})
    for bad in ("a b", "a/b", "a.b", "é"):
        twin.post("registered-models/alias", {"name": name, "alias": bad,
                                              "version": "1"})
    twin.get("registered-models/alias", name="absent", alias="a")
    see()
    for v in ("0", "-1", "99", "x", "1.0", 1, 1.5):
        twin.get("model-versions/get", name=name, version=v)
        twin.get("model-versions/get-download-uri", name=name, version=v)
        twin.call("PATCH", "model-versions/update",
                  {"name": name, "version": v, "description": "d"})
        twin.post("model-versions/set-tag", {"name": name, "version": v,
                                             "key": "k", "value": "v"})
        twin.call("DELETE", "model-versions/delete-tag",
                  {"name": name, "version": v, "key": "k"})
    twin.call("DELETE", "model-versions/delete", {"name": name,
                                                  "version": "4"})
    twin.call("DELETE", "model-versions/delete", {"name": name,
                                                  "version": "4"})
    twin.get("model-versions/get", name=name, version="4")
    world.version(name)
    twin.call("DELETE", "model-versions/delete", {"name": name,
                                                  "version": "2"})
    see()
    new = world.fresh("renamed")
    twin.post("registered-models/rename", {"name": name, "new_name": new})
    twin.get("registered-models/get", name=new)
    twin.get("registered-models/get", name=name)
    twin.call("DELETE", "registered-models/delete", {"name": new})
    twin.call("DELETE", "registered-models/delete", {"name": new})
    twin.get("registered-models/get", name=new)
    twin.get("model-versions/get", name=new, version="1")
    twin.get("model-versions/search", filter=f"name = '{new}'")
    twin.post("registered-models/create", {"name": new})
    world.version(new)
    twin.get("model-versions/get", name=new, version="1")
    twin.done()


def test_sources_of_versions(twin, world):
    e, r, m = world.experiment, world.run(), world.model()
    other_run, other_model = world.run(), world.model()
    name, base = world.registered(), world.registered()
    world.version(base)
    world.version(base, source=f"runs:/{r}/model", run_id=r)
    world.version(base, source=f"models:/{m}", model_id=m)
    twin.post("registered-models/alias", {"name": base, "alias": "a",
                                          "version": "2"})
    twin.post("model-versions/transition-stage",
              {"name": base, "version": "1", "stage": "Staging"})
    root = f"mlflow-artifacts:/{e}/{r}/artifacts"
    sources = [
        "", "s3://b/a", "s3://b/a/../c", "s3://b/a/..",
        "s3://b/a/%2e%2e/c", "s3://b/a/%252e%252e/c", "s3://b/a..b/c",
        "s3://b/./c", "gs://b/a%00", "dbfs:/x", "nosuch://x/y",
        "s3://b/a?x=../y", "s3://b/a#x", "s3://b/a?b=c",
        root, root + "/", root + "/model", root + "x/model",
        root + "/../../x", root + "/%2e%2e/x", root + "/a/./b",
        f"mlflow-artifacts:/{e}/{other_run}/artifacts/model",
        f"mlflow-artifacts:/{e}/models/{m}/artifacts",
        f"mlflow-artifacts:/{e}/models/{m}/artifacts/x",
        f"runs:/{r}/model", f"runs:/{r}", f"runs:/{r}/", f"runs://{r}/model",
        f"runs://host/{r}/model", f"runs:/{other_run}/model",
        f"runs:/{r}/../x", "runs:/x/y",
        f"models:/{m}", f"models:/{other_model}", "models:/m-0",
        f"models:/{m}/x",
        f"models:/{base}/1", f"models:/{base}/2", f"models:/{base}/3",
        f"models:/{base}/9", f"models:/{base}@a", f"models:/{base}@none",
        f"models:/{base}/latest", f"models:/{base}/Staging",
        f"models:/{base}/Production", "models:/absent/1", "models:/",
        "models:/a/b/c", f"models:/{base}/1/x", f"models:/{base}"]
    with twin.meant("a local path is refused before its run is looked for"):
        twin.post("model-versions/create", {
            "name": name, "source": "/etc/passwd", "run_id": "absent"})
    for source in sources:
        for more in ({}, {"run_id": r}, {"model_id": m},
                     {"run_id": "absent"}, {"model_id": "m-absent"}):
            if more.get("model_id") == m and source in (
                    f"models:/{base}/3", f"models:/{base}/latest"):
                continue # MLflow forgets a version's model_id, ours matches
            twin.post("model-versions/create",
                      {"name": name, "source": source, **more})
    with twin.meant("what lies elsewhere is the client's business"):
        for source in ("https://host/x", "s3://b",
                       f"mlflow-artifacts://host/{e}/{r}/artifacts/model"):
            made = world.registered()
            twin.post("model-versions/create", {"name": made,
                                                "source": source})
            twin.call("DELETE", "registered-models/delete", {"name": made})
    n = twin.get("registered-models/get", name=name).json[0][
        "registered_model"]["latest_versions"][0]["version"]
    for v in range(1, int(n) + 1):
        with twin.own("where a run's files lie, not runs:/ again"):
            twin.get("model-versions/get-download-uri", name=name, version=v)
    twin.get("model-versions/search", filter=f"name = '{name}'")
    with twin.own("MLflow forgets the model of a version that is copied"):
        twin.get(f"logged-models/{m}")
    twin.done()


def test_logged_models(twin, world):
    e, r = world.experiment, world.run()
    ids = []
    for body in ({"name": "a"}, {}, {"name": ""}, {"name": "a/b"},
                 {"name": "a:b"}, {"name": "a.b"}, {"name": "a%b"},
                 {"name": "a\"b"}, {"name": "ä"},
                 {"name": "x" * 600},
                 {"name": "b", "source_run_id": r, "model_type": "t",
                  "params": [{"key": "p", "value": "1"}],
                  "tags": [{"key": "t", "value": "1"}]},
                 {"name": "b", "source_run_id": "absent"},
                 {"name": "c", "params": [{"key": "p", "value": "1"},
                                          {"key": "p", "value": "2"}]},
                 {"name": "c", "params": [{"key": "p", "value": "1"},
                                          {"key": "p", "value": "1"}]},
                 {"name": "d"}):
        made = twin.post("logged-models", {"experiment_id": e, **body},
                         random_name=True)
        if made.answers[0][0] == made.answers[1][0] == 200:
            ids.append(made.keep("model.info.model_id"))
    m = ids[-1]
    for tags in ([{"key": "a", "value": "1"}], [{"key": "a", "value": "2"}],
                 [{"key": "a"}], [],
                 [{"key": "x", "value": "1"}, {"key": "x", "value": "2"}]):
        twin.call("PATCH", f"logged-models/{m}/tags", {"tags": tags})
        twin.call("PATCH", "logged-models/m-0/tags", {"tags": tags})
    for params in ([{"key": "a", "value": "1"}], [{"key": "a", "value": "1"}],
                   [{"key": "a", "value": "2"}], [{"key": "b"}], [],
                   [{"key": "x", "value": "1"}, {"key": "x", "value": "2"}]):
        twin.post(f"logged-models/{m}/params", {"model_id": m,
                                                "params": params})
        twin.post("logged-models/m-0/params", {"model_id": "m-0",
                                               "params": params})
    twin.get(f"logged-models/{m}")
    twin.call("DELETE", f"logged-models/{m}/tags/a")
    twin.call("DELETE", f"logged-models/{m}/tags/a")
    twin.call("DELETE", "logged-models/m-0/tags/a")
    twin.get(f"logged-models/{m}")
    twin.get(f"logged-models/{m}/artifacts/directories")
    twin.get("logged-models/m-0/artifacts/directories")
    twin.post("logged-models/search", {"experiment_ids": [e]},
              random_name=True)
    twin.done()


def test_artifact_lists(twin, world):
    r, m = world.run(), world.model()
    e = world.experiment
    base = "/api/2.0/mlflow-artifacts/artifacts"
    for where in (f"{e}/{r}/artifacts", f"{e}/models/{m}/artifacts"):
        for path, data in (("a.txt", b"one"), ("d/b.json", b"{}"),
                           ("d/e/c", b"c"), ("d2/x y", b"z"), ("d/ü", b"u")):
            twin.call("PUT", f"{base}/{where}/" + path.replace(
                " ", "%20").replace("ü", "%C3%BC"), raw=data, status_only=True)
        for path in ("", "a.txt", "d", "d/", "d/e", "absent", "d2", "../x",
                     "%2e%2e/x"):
            twin.call("GET", base + "?" + twin.query({"path": f"{where}/{path}"}))
            twin.get("artifacts/list", run_id=r, path=path)
            twin.get(f"logged-models/{m}/artifacts/directories",
                     artifact_directory_path=path)
    twin.get("artifacts/list", run_id=r)
    twin.get("artifacts/list", run_uuid=r)
    twin.get("artifacts/list", run_id="absent")
    twin.get("artifacts/list")
    twin.done()


# ---- what is not there, and what is asked beside ----

def test_paths_and_methods_that_are_none(twin, world):
    for method, path in (
            ("GET", "/api/2.0/mlflow/nope"), ("POST", "/api/2.0/mlflow/nope"),
            ("GET", "/api/2.0/nope"), ("GET", "/api/nope"),
            ("GET", "/api/2.0/mlflow/"), ("GET", "/api/2.0/mlflow"),
            ("GET", "/ajax-api/2.0/mlflow/nope"),
            ("GET", "/api/1.0/mlflow/runs/get"),
            ("GET", "/api/2.0/preview/mlflow/runs/get"),
            ("GET", "/api/2.0/mlflow/runs/create"),
            ("PUT", "/api/2.0/mlflow/runs/create"),
            ("DELETE", "/api/2.0/mlflow/runs/create"),
            ("PATCH", "/api/2.0/mlflow/runs/create"),
            ("POST", "/api/2.0/mlflow/runs/get"),
            ("POST", "/api/2.0/mlflow/experiments/get"),
            ("GET", "/api/2.0/mlflow/runs/search"),
            ("PUT", "/api/2.0/mlflow/experiments/search"),
            ("POST", "/api/2.0/mlflow/registered-models/update"),
            ("GET", "/api/2.0/mlflow/registered-models/delete"),
            ("PUT", "/api/2.0/mlflow/registered-models/alias"),
            ("PUT", "/api/2.0/mlflow/logged-models"),
            ("GET", "/api/2.0/mlflow/logged-models/search"),
            ("POST", "/api/2.0/mlflow-artifacts/artifacts"),
            ("PATCH", "/api/2.0/mlflow-artifacts/artifacts/x"),
            ("POST", "/api/2.0/mlflow/users/create"),
            ("GET", "/api/2.0/mlflow/users/list"),
            ("GET", "/api/2.0/mlflow/users/current"),
            ("POST", "/health"), ("POST", "/version"),
            ("GET", "/health"), ("GET", "/version"),
            ("GET", "//api/2.0/mlflow/runs/get"),
            ("HEAD", "/health"), ("HEAD", "/api/2.0/mlflow/nope"),
            ("OPTIONS", "/api/2.0/mlflow/nope")):
        twin.call(method, path, status_only=True)
    for method, path in (("POST", "/graphql"),
                         ("GET", "/api/3.0/mlflow/roles/list"),
                         ("GET", "/api/3.0/mlflow/workspaces")):
        with twin.meant(f"not offered: {path}"):
            twin.call(method, path, status_only=True)
    twin.done()


def test_the_twin_paths(twin, world):
    r = world.run()
    for path in ("runs/get?run_id=" + r, "experiments/search?max_results=1",
                 "registered-models/search?filter=name%3D'x'",
                 "model-versions/search?filter=name%3D'x'",
                 "artifacts/list?run_id=" + r):
        twin.call("GET", "/ajax-api/2.0/mlflow/" + path)
    with twin.meant("no gateway, no presigned uploads"):
        twin.call("GET", "/ajax-api/3.0/mlflow/server-info")
    twin.done()


# ---- searches: a fixed population, written and random questions ----

# No backslash: sqlparse takes it for an escape here and not there.
WORDS = ["a", "A", "ab", "aB", "a%b", "a_b", "käse", "KÄSE", "it is", "1",
         "10", "1.5", "", "x'y", 'x"y', "[a]", "a*b", "a?b", "a b", "Ａ"]
TAGS = ["t", "T", "a.b", "sp ace", "ü", "mlflow.x", "a-b", "a/b", "1x"]


@pytest.fixture(scope="module")
def people(servers):
    """60 runs in two experiments, 24 logged models, registered models; what
    is not told apart by an order (start times, names) is unique."""
    twin, rng = servers, random.Random(17)
    world = World(twin, "people")
    world.experiments = [world.make_experiment() for _ in range(2)]
    world.runs = []
    for i in range(60):
        r = twin.post("runs/create", {
            "experiment_id": world.experiments[i % 3 == 0],
            "start_time": 1000 + 7 * i, "run_name": rng.choice(WORDS) or "n",
            "user_id": rng.choice(["me", "You", ""])}).keep("run.info.run_id")
        world.runs.append(r)
        twin.post("runs/log-batch", {
            "run_id": r,
            "metrics": [{"key": k, "value": rng.choice(
                [0, 1, 1, 2, -1, 0.5, 1e9, "NaN", "Infinity", "-Infinity"]),
                "timestamp": rng.randrange(3), "step": rng.randrange(3)}
                for k in ("m", "n", "a b", "a.b", "ü", "1")
                for _ in range(rng.randrange(3))],
            "params": [{"key": k, "value": rng.choice(WORDS)}
                       for k in ("p", "q", "a.b", "P", "sp ace")
                       if rng.random() < 0.7],
            "tags": [{"key": k, "value": rng.choice(WORDS)}
                     for k in TAGS if rng.random() < 0.5]})
        if rng.random() < 0.5:
            twin.post("runs/log-inputs", {"run_id": r, "datasets": [
                {"dataset": {"name": f"d{rng.randrange(3)}",
                             "digest": f"g{rng.randrange(3)}",
                             "source_type": "s", "source": "s"},
                 "tags": [{"key": "mlflow.data.context",
                           "value": rng.choice(["train", "test", "Train"])}]
                 if rng.random() < 0.8 else []}
                for _ in range(rng.randrange(1, 3))]})
        if rng.random() < 0.6:
            twin.post("runs/update", {
                "run_id": r, "status": rng.choice(
                    ["FINISHED", "FAILED", "KILLED", "SCHEDULED"]),
                "end_time": 2000 + rng.randrange(50)})
        if rng.random() < 0.1:
            twin.post("runs/delete", {"run_id": r})
    twin.done()
    return world


def pick(rng, *choices):
    return rng.choice(choices)


def quoted(rng, s):
    q = rng.choice(QUOTES[0])
    return q + s.replace("'", "").replace('"', "") + q


ANY_CASE = True
QUOTES = ("'\"", "`\"") # of texts, of keys


def any_case(rng, word):
    """Only the searches of runs take comparators in any case in MLflow."""
    return rng.choice([word, word, word.lower(), word.title()]) if ANY_CASE \
        else word


@pytest.fixture
def upper_case(monkeypatch):
    monkeypatch.setitem(globals(), "ANY_CASE", False)


def key_of(rng, key):
    """Quoted where it must be, and sometimes where it need not."""
    q = rng.choice(QUOTES[1])
    plain = key.isascii() and key.isalnum() and not key[0].isdigit()
    return key if plain and rng.random() < 0.5 else q + key + q


STRING_OPS = ["=", "=", "!=", "LIKE", "ILIKE"]
NUMBER_OPS = [">", ">=", "=", "!=", "<", "<="]


def like(rng, word):
    return rng.choice([word, word[:1] + "%", "%" + word[-1:], "%", "_", "a_b",
                       "%a%", "__", word.upper(), "", "A%", "k%"])


def string_clause(rng, name, words, null=False, more_ops=()):
    op = rng.choice(STRING_OPS + (["IS NULL", "IS NOT NULL"] if null else [])
                    + list(more_ops))
    if op.startswith("IS"):
        return f"{name} {any_case(rng, op)}"
    if op.endswith("IN"):
        n = rng.randrange(1, 4)
        return f"{name} {any_case(rng, op)} (" + rng.choice([", ", ","]).join(
            "'" + rng.choice(words).replace("'", "") + "'"
            for _ in range(n)) + ")"
    word = rng.choice(words)
    if "LIKE" in op:
        return f"{name} {any_case(rng, op)} {quoted(rng, like(rng, word))}"
    gap = rng.choice([" ", "", "  "])
    return f"{name}{gap}{op}{gap}{quoted(rng, word)}"


def number_clause(rng, name, numbers):
    gap = rng.choice([" ", "", " "])
    return f"{name}{gap}{rng.choice(NUMBER_OPS)}{gap}{rng.choice(numbers)}"


def id_clause(rng, name, ids, more_ops=()):
    """Never LIKE: ids are each server's own."""
    op = pick(rng, "=", "!=", "IN", *more_ops)
    some = ", ".join(f"'{r}'" for r in rng.sample(ids, min(3, len(ids))))
    return f"{name} {any_case(rng, op)} " + (
        f"({some})" if "IN" in op else f"'{rng.choice(ids)}'")


NUMBERS = ["0", "1", "2", "-1", "0.5", "1e9", "1.0", "-0.5", "100", ".5",
           "1e-3", "1000000000"]


def run_clause(rng, world):
    kind = rng.randrange(10)
    if kind < 2:
        return number_clause(rng, pick(rng, "metrics", "metric") + "." +
                             key_of(rng, pick(rng, "m", "n", "a b", "a.b",
                                              "ü", "none")), NUMBERS)
    if kind < 4:
        return string_clause(
            rng, pick(rng, "params", "param", "parameter", "parameters") +
            "." + key_of(rng, pick(rng, "p", "q", "a.b", "P", "sp ace",
                                   "none")), WORDS, null=True)
    if kind < 6:
        return string_clause(rng, pick(rng, "tags", "tag") + "." + key_of(
            rng, rng.choice(TAGS + ["none", "mlflow.runName"])), WORDS,
            null=True)
    if kind == 6:
        return string_clause(rng, pick(rng, "dataset", "datasets") + "." +
                             pick(rng, "name", "digest", "context"),
                             ["d0", "d1", "g1", "g2", "train", "test", "D0"],
                             more_ops=["IN", "NOT IN"])
    at = pick(rng, "", "attributes.", "attribute.", "attr.", "run.")
    if kind == 7:
        return number_clause(rng, at + pick(rng, "start_time", "end_time",
                                            "created"),
                             ["1100", "1200.5", "2010", "2025", "0", "1007"])
    if kind == 8:
        return id_clause(rng, at + "run_id", world.runs, ["NOT IN"])
    key, words = pick(rng, ("status", ["FINISHED", "RUNNING", "finished",
                                       "FAILED"]),
                      ("run_name", WORDS), ("`run name`", WORDS),
                      ("user_id", ["me", "You", "you"]),
                      ("artifact_uri", ["mlflow-artifacts:/%", "%/artifacts",
                                        "s3:%"]))
    return string_clause(rng, at + key, words)


# Not run_id: ids are each server's own.
RUN_ORDERS = ["metrics.m", "metrics.n", "metrics.`a b`", 'metrics."a.b"',
              "params.p", "params.q", "tags.t", "tags.`a.b`", "start_time",
              "attributes.start_time", "end_time", "status", "run_name",
              "created", "attribute.user_id", "metrics.none",
              "tags.mlflow.runName", "params.none"]


def order(rng, keys):
    return rng.choice(keys) + rng.choice(["", " ASC", " DESC", " desc",
                                          " asc"])


def joined(rng, clauses):
    out = clauses[0]
    for c in clauses[1:]:
        out += rng.choice([" AND ", " and ", "  AND  ", " And "]) + c
    return rng.choice([out, out, f" {out} "])


def walk(twin, ask, body, key, pages=4):
    """Every page of an answer, up to some."""
    for _ in range(pages):
        page = ask(body)
        if not all((j or {}).get("next_page_token") for j in page.json):
            return
        body = {**body, "page_token": page.keep("next_page_token")}


def test_random_searches_of_runs(twin, people):
    rng = random.Random(2026)
    for _ in range(300):
        body = {"experiment_ids": rng.sample(people.experiments,
                                             rng.randrange(1, 3)),
                "filter": joined(rng, [run_clause(rng, people) for _ in
                                       range(rng.choice([1, 1, 2, 2, 3]))])}
        if rng.random() < 0.6:
            # one key twice is an error: asked for elsewhere
            body["order_by"] = [order(rng, [k]) for k in rng.sample(
                RUN_ORDERS, rng.randrange(1, 4))]
        if rng.random() < 0.3:
            body["max_results"] = rng.choice([1, 5, 20, 60])
        if rng.random() < 0.2:
            body["run_view_type"] = rng.choice(["ALL", "DELETED_ONLY"])
        walk(twin, lambda b: twin.post("runs/search", b), body, "runs", 2)
    twin.done()


BAD_RUN_FILTERS = [
    "", " ", "AND", "metrics.m", "metrics.m >", "> 1", "metrics.m > 'x'",
    "metrics.m = '1'", "metrics.m LIKE '1'", "metrics.m IN (1)",
    "metrics.m IN ('1')", "metrics.m IS NULL", "metrics.m >> 1",
    "metrics.m == 1", "metrics.m <> 1", "metrics.m > 1 OR metrics.m < 0",
    "metrics.m > 1 AND", "AND metrics.m > 1", "metrics.m > 1 metrics.n > 1",
    "metrics.m > 1, metrics.n > 1", "(metrics.m > 1)", "NOT metrics.m > 1",
    "metrics.m > 1;", "metrics.m > 1; metrics.n > 1", "metrics.m > 1 -- x",
    "metrics. > 1", "metrics.'m' > 1", "metrics.`m > 1", "metrics.m` > 1",
    "metrics.m > -1", "metrics.m > - 1", "metrics.m > +1", "metrics.m > 1e",
    "metrics.m > 0x1", "metrics.m > NaN", "metrics.m > inf",
    "metrics.m > 1.5.2", "metrics.m > 1 1", "metrics.m > n",
    "metrics.m > metrics.n", "params.p = 1", "params.p = x", "params.p > '1'",
    "params.p = 'a", "params.p = a'", "params.p = `a`", "params.p = ''",
    "params.p = 'it''s'", "params.p = 'a\\'b'", "params.p IN ('a')",
    "params.p NOT IN ('a')", "params.p IS", "params.p IS NOT",
    "params.p IS 'a'", "params.p NOT NULL", "params.p = NULL",
    "params.p RLIKE 'a'", "params.p NOT LIKE 'a'", "params.p BETWEEN 1 AND 2",
    "params p = 'a'", "param.`a`b = 'a'", "params.p.q = 'a'",
    "params.\"p.q\" = 'a'", "tag.a.b = 'a'", "foo.p = 'a'", "foo = 'a'",
    "p = 'a'", "status = FINISHED", "status > 'a'", "status IN ('FINISHED')",
    "status IS NULL", "start_time > '5'", "start_time = 1.5",
    "start_time LIKE '5'", "start_time IN (5)", "start_time IS NULL",
    "run_id > 'a'", "run_id IN ()", "run_id IN ('a',)", "run_id IN 'a'",
    "run_id IN (1)", "run_id IN ('a' 'b')", "run_id IN ('a', 1)",
    "run_id IN ('a'", "run_id in ('a')", "run_id NOT IN ('a')",
    "run_name IN ('a')", "`run_name` = 'a'", "'run_name' = 'a'",
    "\"run_name\" = 'a'", "Run name = 'a'", "attributes.`Run name` = 'a'",
    "attributes.`run name` = 'a'", "attribute.foo = 'a'", "Created > 5",
    "attr.created > 5", "METRICS.m > 1", "Params.p = 'a'",
    "dataset.name IN ('d0', 'd1')", "dataset.foo = 'a'", "dataset.name > 'a'",
    "dataset.name IS NULL", "dataset.name = 5", "datasets.name LIKE 'd%'",
    "dataset.context = 'train'", "dataset.profile = 'a'",
    "tags.`mlflow.user` = 'me'", "user_id = 'me'", "lifecycle_stage = 'a'",
    "experiment_id = '1'", "tags.t = 'a' and tags.t != 'a'",
    "tags.t='a'AND tags.t='a'", "tags.t = 'a'\nAND\ttags.t = 'a'",
    "tags.t = 'a' AND AND tags.t = 'a'", "tags.t", "'a' = tags.t",
    "1 = metrics.m", "tags.t = 'AND'", "tags.t = ' and '", "metrics.and > 1",
    "tags.order = 'a'", "tags.select = 'a'", "tags.type = 'a'",
    "tags.name = 'a'", "tags.key = 'a'", "tags.date = 'a'",
    "metrics.count > 1", "metrics.loss/val > 1", "metrics.val-loss > 1",
    "metrics.a:b > 1", "tags.1x = 'a'", "metrics.1 > 0", "metrics.1a > 0",
    "metrics.m_1 > 0", "metrics._m > 0", "tags.ü = 'a'", "metrics.m>1",
    "metrics.m >= 1 AND metrics.m <= 2 AND metrics.n = 1", "metrics.m!=1",
    "a" * 300, "metrics.m > 1 AND " * 50 + "metrics.m > 1"]


def test_written_filters_of_runs(twin, people):
    ask = lambda t: twin.post(  # noqa: E731
        "runs/search", {"experiment_ids": people.experiments, "filter": t},
        beginnings=True)
    for text in BAD_RUN_FILTERS:
        with twin.own(OUR_OWN.get(text)):
            ask(text)
    twin.done()


OUR_OWN = {
    " ": "blank is empty", "AND": "a loose AND is a fault",
    "metrics.m > 1 AND": "a loose AND is a fault",
    "AND metrics.m > 1": "a loose AND is a fault",
    "name LIKE 'place%' AND": "a loose AND is a fault",
    "name LIKE 'shelf%' AND": "a loose AND is a fault",
    "name LIKE 'lm%' AND": "a loose AND is a fault",
    "tags.t = 'a' AND AND tags.t = 'a'": "a loose AND is a fault",
    "metrics.m <> 1": "<> is !=", "metrics. > 1": "a key has a name",
    "metrics.m > +1": "a number may have a +",
    "metrics.m > NaN": "no number is above NaN",
    "run_id IN ('a',)": "a list ends with a value",
    "metrics.loss/val > 1": "a key needs no quotes",
    "metrics.a:b > 1": "a key needs no quotes",
    "metrics.1 > 0": "a key needs no quotes",
    "`name` LIKE 'shelf%'": "a key may be quoted",
    "attr.name = 'a'": "entities are those of runs",
    "attr.name = 'lm01'": "entities are those of runs",
    "run.name = 'lm01'": "entities are those of runs",
    "experiment_id LIKE '1%'": "an id is compared as text",
    "metrics.m > 1 metrics.n > 1": "clauses are joined by AND",
    "metrics.m > inf": "no number is above infinity",
    "params.p = 'it''s'": "a quote ends a text",
    "version_number = '1'": "a number is not quoted",
    "version_number > 1.5": "a number may have a fraction",
    "run_id IN ('a',)": "a list ends with a value",
    "metrics.'m' > 1": "a key is quoted with ` or \"",
    "params.p = 'a\\'b'": "a quote ends a text",
    "metrics.val-loss > 1": "a key needs no quotes",
    "attributes.name = 'a'": "entities are those of runs",
    "experiment_id != 'x'": "an id is compared as text",
    "name = 5": "a text is quoted", "status = 2": "a status by its name",
    "last_updated_time > 1": "both names of a time",
    "experiment_id = '1'": "experiments are named in the request",
    "params.p = 1": "a text is quoted",
    "run_id IN ('a' 'b')": "a list has commas",
    "name = x": "a text is quoted", "status = 'READY'": "a status by its name",
    "status LIKE 'R%'": "a status by its name",
    "tags.t IN ('a')": "lists are for attributes"}


BAD_RUN_ORDERS = [
    [""], [" "], ["metrics.m", "metrics.m"], ["metrics.m", "metric.m DESC"],
    ["metrics.m ASC DESC"], ["metrics.m down"], ["metrics.m,metrics.n"],
    ["foo"], ["foo.x"], ["metrics"], ["status", "status"],
    ["start_time", "created"], ["start_time", "start_time DESC"],
    ["attributes.status", "status"], ["run_id", "attr.run_id"],
    ["Run name"], ["Created DESC"],
    ["dataset.name"], ["`metrics`.m"], ["metrics.`m"],
    ["metrics.a b"], ["metrics.`a b` desc"], ["lifecycle_stage"],
    ["user_id"], ["DESC"], ["start_time asc"],
    ["tags.\"mlflow.runName\" ASC"], ["params.p; DROP TABLE runs"],
    ["metrics.ü"], ["timestamp"], ["tags.t NULLS FIRST"], ["-metrics.m"]]


def test_written_orders_of_runs(twin, people):
    for keys in BAD_RUN_ORDERS:
        twin.post("runs/search", {"experiment_ids": people.experiments,
                                  "order_by": keys}, beginnings=True)
    for body in ({"experiment_ids": []}, {}, {"max_results": 0},
                 {"max_results": -1}, {"max_results": 50001},
                 {"max_results": 50000}, {"max_results": "5"},
                 {"max_results": 2**31}, {"page_token": "x"},
                 {"page_token": "e30="},
                 {"page_token": "eyJvZmZzZXQiOiAieCJ9"},
                 {"page_token": "eyJvZmZzZXQiOiAxMDAwfQ=="},
                 {"page_token": "!!!"}, {"page_token": "NQ=="}):
        twin.post("runs/search", {"experiment_ids": people.experiments,
                                  **body}, beginnings=True)
    twin.done()


# -- experiments --

@pytest.fixture(scope="module")
def places(servers):
    twin, rng = servers, random.Random(3)
    names = []
    for i in range(12):
        name = f"place {rng.choice(WORDS)}{i}"
        names.append(name)
        e = twin.post("experiments/create", {"name": name, "tags": [
            {"key": k, "value": rng.choice(WORDS)}
            for k in TAGS if rng.random() < 0.5]}).keep("experiment_id")
        if i % 4 == 0:
            twin.post("experiments/delete", {"experiment_id": e})
    twin.done()
    return names


def experiment_clause(rng, names):
    if rng.random() < 0.4:
        return string_clause(rng, pick(rng, "tags", "tag") + "." + key_of(
            rng, rng.choice(TAGS + ["none"])), WORDS, null=True)
    at = pick(rng, "", "", "attribute.")
    if rng.random() < 0.2:
        return number_clause(rng, at + pick(rng, "creation_time",
                                            "last_update_time"),
                             ["0", "5000000000000"])
    if rng.random() < 0.3:
        op = pick(rng, "=", "!=", "IN ", "NOT IN ")
        return f"{at}experiment_id {op}" + ("('1', '7')" if "IN" in op
                                            else "'7'")
    return string_clause(rng, at + "name", names + ["place%", "%a%"])


EXPERIMENT_ORDERS = ["name", "experiment_id", "creation_time",
                     "last_update_time", "attribute.name"]
BAD_EXPERIMENT_FILTERS = [
    "x", "name", "name = x", "name = 5", "name > 'a'", "name IN ('a')",
    "name IS NULL", "tags.t IS NULL", "tags.t IN ('a')", "metrics.m > 1",
    "params.p = 'a'", "foo = 'a'", "attr.name = 'a'", "attributes.name = 'a'",
    "creation_time > '1'", "creation_time LIKE '1'", "creation_time IS NULL",
    "experiment_id = 1", "experiment_id = '1'", "experiment_id IN ('1','2')",
    "experiment_id IN (1)", "experiment_id NOT IN ('1')",
    "experiment_id LIKE '1%'", "experiment_id != 'x'",
    "name = 'a' OR name = 'b'", "name LIKE 'place%' AND", "`name` = 'a'",
    "attribute.`name` LIKE 'p%'", "lifecycle_stage = 'active'",
    "name LIKE 'place%' and tags.`a.b` != 'a'", "name ILIKE 'PLACE%'"]


def test_searches_of_experiments(twin, places, upper_case):
    rng = random.Random(4)
    for text in BAD_EXPERIMENT_FILTERS:
        with twin.own(OUR_OWN.get(text)):
            twin.post("experiments/search", {"filter": text,
                                             "max_results": 50},
                      beginnings=True)
    for keys in [[k] for k in EXPERIMENT_ORDERS] + [
            ["foo"], ["name", "name"], ["name DESC", "experiment_id"],
            ["tags.t"], ["metrics.m"], [""], ["name foo"], ["lifecycle_stage"],
            ["experiment_id desc"]]:
        twin.post("experiments/search", {
            "order_by": keys, "filter": "name LIKE 'place%'",
            "max_results": 5}, beginnings=True)
    for body in ({"max_results": 0}, {"max_results": -1},
                 {"max_results": 50001}, {"max_results": "3"},
                 {"page_token": "x"}, {"page_token": "e30="}):
        twin.post("experiments/search", {"filter": "name LIKE 'place%'",
                                         **body}, beginnings=True)
        twin.call("GET", "experiments/search?" + twin.query({
            "filter": "name LIKE 'place%'", **body}), beginnings=True)
    for _ in range(60):
        body = {"max_results": rng.choice([2, 5, 100]),
                "filter": joined(rng, [experiment_clause(rng, places)
                                       for _ in range(rng.choice([1, 2]))]
                                 + ["name LIKE 'place%'"]),
                "order_by": [order(rng, EXPERIMENT_ORDERS[:2])]}
        if rng.random() < 0.3:
            body["view_type"] = rng.choice(["ALL", "DELETED_ONLY"])
        walk(twin, lambda b: twin.post("experiments/search", b), body, "")
    twin.done()


# -- the registry --

@pytest.fixture(scope="module")
def shelf(servers):
    twin, rng = servers, random.Random(6)
    world = World(twin, "shelf")
    world.runs = [world.run() for _ in range(3)]
    world.names = []
    for i in range(10):
        name = "shelf " + rng.choice(WORDS).replace('"', "").replace(
            "'", "") + str(i)
        world.names.append(name)
        twin.post("registered-models/create", {"name": name, "tags": [
            {"key": k, "value": rng.choice(WORDS)}
            for k in TAGS if rng.random() < 0.4]})
        for j in range(rng.randrange(4)):
            r = rng.choice(world.runs + [None])
            twin.post("model-versions/create", {
                "name": name, "source": f"runs:/{r}/x" if r
                else f"s3://b/{j}", **({"run_id": r} if r else {}),
                "tags": [{"key": k, "value": rng.choice(WORDS)}
                         for k in TAGS if rng.random() < 0.4]})
    twin.done()
    return world


def registered_clause(rng, shelf):
    if rng.random() < 0.5:
        return string_clause(rng, pick(rng, "tags", "tag") + "." + key_of(
            rng, rng.choice(TAGS + ["none"])), WORDS)
    return string_clause(rng, pick(rng, "name", "attribute.name"),
                         shelf.names + ["shelf%"])


def version_clause(rng, shelf):
    kind = rng.randrange(5)
    if kind == 0:
        return string_clause(rng, pick(rng, "tags", "tag") + "." + key_of(
            rng, rng.choice(TAGS + ["none"])), WORDS)
    if kind == 1:
        return number_clause(rng, "version_number", ["1", "2", "3", "0"])
    if kind == 2:
        return id_clause(rng, "run_id", shelf.runs)
    if kind == 3:
        return pick(rng, "source_path = 's3://b/0'",
                    "source_path LIKE 's3:%'", "source_path ILIKE 'RUNS:/%'",
                    "source_path != 's3://b/1'")
    return string_clause(rng, "name", shelf.names, more_ops=["IN"])


BAD_REGISTRY_FILTERS = [
    "x", "name", "name = x", "name = 5", "name > 'a'", "name IN ('a')",
    "name IN ()", "name IS NULL", "tags.t IS NULL",
    "tags.t IN ('a')", "tags.t > 'a'", "tags.t = 5", "metrics.m > 1",
    "params.p = 'a'", "foo = 'a'", "attr.name = 'a'", "attributes.name = 'a'",
    "attribute.name LIKE 'shelf%'", "version_number = 1",
    "version_number = '1'", "version_number LIKE '1'", "version_number > 1.5",
    "version_number IN (1)", "version_number IN ('1')", "version = '1'",
    "run_id = 5", "run_id > 'a'", "run_id NOT IN ('a')", "run_id IN ('a',)",
    "run_id IN ()", "run_id IS NULL", "source_path = 's3://b/0'",
    "source_path IN ('s3://b/0')", "source_path LIKE 's3%'", "stage = 'x'",
    "current_stage = 'None'", "name = 'a' OR name = 'b'",
    "name LIKE 'shelf%' AND", "`name` LIKE 'shelf%'",
    "creation_timestamp > 1", "last_updated_timestamp > 1",
    "creation_timestamp > '1'", "aliases = 'a'", "model_id = 'x'",
    "tags.`mlflow.prompt.is_prompt` = 'true'",
    "tags.`mlflow.prompt.is_prompt` = 'false' AND name LIKE 'shelf%'",
    "tags.`mlflow.prompt.is_prompt` != 'true' AND name LIKE 'shelf%'",
    "order = 'a'"]


def test_searches_of_registered_models(twin, shelf, upper_case):
    rng = random.Random(7)
    base = "registered-models/search"
    for text in BAD_REGISTRY_FILTERS:
        with twin.own(OUR_OWN.get(text)):
            twin.call("GET", base + "?" + twin.query({
                "filter": text, "max_results": 60}), beginnings=True)
    for keys in (["name"], ["name DESC"], ["timestamp"],
                 ["timestamp DESC"], ["foo"], ["name", "name"], ["tags.t"],
                 [""], ["name foo"],
                 ["version_number"], ["creation_time"]):
        twin.call("GET", base + "?" + twin.query({
            "order_by": keys, "filter": "name LIKE 'shelf%'",
            "max_results": 50}), beginnings=True)
    for most in ("1000", "1001", "x"):
        twin.call("GET", base + "?" + twin.query({
            "filter": "name LIKE 'shelf%'", "max_results": most}),
            beginnings=True)
    twin.call("GET", base + "?page_token=x", beginnings=True)
    for _ in range(60):
        body = {"filter": joined(rng, [registered_clause(rng, shelf) for _ in
                                       range(rng.choice([1, 2]))] +
                                 ["name LIKE 'shelf%'"]),
                "max_results": rng.choice([1, 3, 100])}
        if rng.random() < 0.5:
            body["order_by"] = rng.choice(["name", "name DESC"])
        walk(twin, lambda b: twin.get(base, **b), body, "")
    twin.done()


def test_searches_of_model_versions(twin, shelf, upper_case):
    rng = random.Random(8)
    base = "model-versions/search"
    for text in BAD_REGISTRY_FILTERS:
        with twin.own(OUR_OWN.get(text)):
            twin.call("GET", base + "?" + twin.query({
                "filter": text, "order_by": ["name",
                                             "version_number DESC"]}),
                beginnings=True)
    for keys in (["name"], ["name DESC"], ["version_number"],
                 ["version_number DESC", "name"], ["creation_timestamp"],
                 ["last_updated_timestamp DESC", "name"], ["timestamp"],
                 ["foo"], ["name", "name"], ["tags.t"], [""], ["name foo"],
                 ["run_id"], ["source_path"], ["attribute.name desc"]):
        twin.call("GET", base + "?" + twin.query({
            "order_by": keys, "filter": "name LIKE 'shelf%'"}),
            beginnings=True)
    for most in ("0", "-1", "200000", "200001", "x"):
        twin.call("GET", base + "?" + twin.query({
            "filter": "name LIKE 'shelf%'", "max_results": most,
            "order_by": ["name", "version_number"]}), beginnings=True)
    twin.call("GET", base + "?page_token=x", beginnings=True)
    for _ in range(60):
        body = {"filter": joined(rng, [version_clause(rng, shelf) for _ in
                                       range(rng.choice([1, 2]))] +
                                 ["name LIKE 'shelf%'"]),
                "order_by": rng.choice([["name", "version_number"],
                                        ["version_number DESC", "name DESC"]]),
                "max_results": rng.choice([2, 5, 100])}
        walk(twin, lambda b: twin.get(base, **b), body, "")
    twin.done()


# -- logged models --

@pytest.fixture(scope="module")
def models(servers):
    twin, rng = servers, random.Random(9)
    world = World(twin, "models")
    r = world.run()
    world.ids = []
    for i in range(16):
        m = twin.post("logged-models", {
            "experiment_id": world.experiment, "name": f"lm{i:02}",
            "model_type": rng.choice(["a", "B", ""]),
            **({"source_run_id": r} if i % 2 else {}),
            "params": [{"key": k, "value": rng.choice(WORDS)}
                       for k in ("p", "a.b") if rng.random() < 0.6],
            "tags": [{"key": k, "value": rng.choice(WORDS)}
                     for k in TAGS if rng.random() < 0.4]}).keep(
                         "model.info.model_id")
        world.ids.append(m)
        for k in ("m", "n", "a.b"):
            for _ in range(rng.randrange(3)): # never two at one time
                twin.post("runs/log-metric", {
                    "run_id": r, "key": k, "model_id": m, "timestamp":
                    rng.randrange(10**9), "step":
                    rng.randrange(9), "value": rng.choice([0, 1, 2, -1, 0.5]),
                    **rng.choice([{}, {"dataset_name": "d",
                                       "dataset_digest": "x"},
                                  {"dataset_name": "e",
                                   "dataset_digest": "y"}])})
        if i % 3:
            twin.call("PATCH", f"logged-models/{m}", {
                "model_id": m, "status": rng.choice(
                    ["LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"])})
        if i == 7:
            twin.call("DELETE", f"logged-models/{m}")
    world.r = r
    twin.done()
    return world


def logged_clause(rng, world):
    kind = rng.randrange(6)
    if kind == 0:
        return number_clause(rng, "metrics." + key_of(rng, pick(
            rng, "m", "n", "a.b", "none")), NUMBERS)
    if kind == 1:
        return string_clause(rng, "params." + key_of(rng, pick(
            rng, "p", "a.b", "none")), WORDS)
    if kind == 2:
        return string_clause(rng, "tags." + key_of(rng, rng.choice(
            TAGS + ["none"])), WORDS)
    if kind == 3:
        return number_clause(rng, pick(rng, "creation_timestamp",
                                       "last_updated_timestamp"),
                             ["0", "5000000000000"])
    key, words = pick(rng, ("name", ["lm01", "lm%", "LM02"]),
                      ("model_type", ["a", "B"]))
    if rng.random() < 0.3:
        return id_clause(rng, *pick(rng, ("model_id", world.ids),
                                    ("source_run_id", [world.r, "x"])))
    return string_clause(rng, pick(rng, "", "attributes.") +
                         key, words, more_ops=["IN"])


BAD_LOGGED_FILTERS = [
    "", "x", "name", "name = x", "name = 5", "name > 'a'", "name IN ('lm01')",
    "name IS NULL", "tags.t IS NULL", "params.p IS NOT NULL",
    "tags.t IN ('a')", "metrics.m > 'x'", "metrics.m LIKE '1'",
    "metrics.m IS NULL", "params.p > '1'", "params.p = 1", "foo = 'a'",
    "dataset.name = 'd'", "attr.name = 'lm01'", "run.name = 'lm01'",
    "status = 'READY'", "status = 'LOGGED_MODEL_READY'", "status = 2",
    "status LIKE 'R%'", "creation_timestamp > '1'", "creation_time > 1",
    "last_updated_time > 1", "creation_timestamp IN (1)",
    "name = 'a' OR name = 'b'", "name LIKE 'lm%' AND", "experiment_id = '1'",
    "artifact_location = 'x'", "source_run_id != 'x'", "model_id IN ('a')",
    "metrics.`m` >= 1 AND params.p != 'a'", "created > 1", "run_id = 'x'",
    "start_time > 1", "name NOT IN ('lm01')", "model_type IN ('a', 'B')"]


def test_searches_of_logged_models(twin, models, upper_case, monkeypatch):
    # MLflow reads " as a quote everywhere but here
    monkeypatch.setitem(globals(), "QUOTES", ("'", "`"))
    rng = random.Random(10)
    e = [models.experiment]
    by_name = {"field_name": "name", "ascending": True}
    search = lambda b: twin.post("logged-models/search", b,  # noqa: E731
                                 beginnings=True)
    for text in BAD_LOGGED_FILTERS:
        with twin.own(OUR_OWN.get(text)):
            search({"experiment_ids": e, "filter": text,
                    "order_by": [by_name]})
    for keys in (["name"], ["model_type", "name"],
                 ["creation_timestamp"], ["creation_time"],
                 ["metrics.m", "name"], ["metrics.a.b",
                                                            "name"],
                 ["metrics.none", "name"], ["source_run_id", "name"],
                 ["name", "name"], ["tags.t"], ["Metrics.m"]):
        for up in (True, False):
            search({"experiment_ids": e, "order_by": [
                {"field_name": k, "ascending": up} for k in keys]})
    with twin.meant("a dataset may be asked for by its name alone"):
        search({"experiment_ids": e, "order_by": [by_name],
                "datasets": [{"dataset_name": "d"}]})
    for more in ({"dataset_name": "d", "dataset_digest": "x"},
                 {"dataset_name": "none", "dataset_digest": "x"}):
        for of in (more, {"dataset_name": more["dataset_name"]},
                   {"dataset_digest": "x"}, {"dataset_digest": "y"}):
            for up in (True, False):
                search({"experiment_ids": e, "order_by": [
                    {"field_name": "metrics.m", "ascending": up, **of},
                    by_name]})
                search({"experiment_ids": e, "datasets": [more], "order_by": [
                    {"field_name": "metrics.m", "ascending": up, **of},
                    by_name]})
        search({"experiment_ids": e, "datasets": [more],
                "order_by": [by_name]})
        search({"experiment_ids": e, "datasets": [more],
                "filter": "metrics.m > 0", "order_by": [by_name]})
    search({"experiment_ids": e, "order_by": [by_name], "datasets": [
        {"dataset_name": "d", "dataset_digest": "x"},
        {"dataset_name": "e", "dataset_digest": "y"}]})
    for body in ({"max_results": 100}, {"max_results": 101},
                 {"max_results": "3"}, {"page_token": "x"},
                 {"page_token": "e30="}, {"experiment_ids": []},
                 {"experiment_ids": ["999"]}):
        search({"experiment_ids": e, "order_by": [by_name], **body})
    for _ in range(80):
        body = {"experiment_ids": e, "order_by": [by_name],
                "filter": joined(rng, [logged_clause(rng, models) for _ in
                                       range(rng.choice([1, 1, 2]))])}
        if rng.random() < 0.4:
            body["max_results"] = rng.choice([1, 3, 8])
        if rng.random() < 0.3:
            body["order_by"].insert(0, {"field_name": "metrics.m",
                                        "ascending": rng.random() < 0.5})
        walk(twin, search, body, "")
    twin.done()
