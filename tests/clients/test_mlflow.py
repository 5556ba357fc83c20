"""The unmodified MLflow client against Slipway: the fluent API, searches,
artifacts, autologging, logged and registered models, and the errors a script
meets.  One server a module; each test has an experiment of its own."""
import json
import math
import os
import time

import pytest

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

mlflow = pytest.importorskip("mlflow")
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from mlflow import MlflowClient, MlflowException  # noqa: E402
from mlflow.entities import Metric, Param, RunTag, ViewType  # noqa: E402
from mlflow.exceptions import RestException  # noqa: E402

from conftest import Server  # noqa: E402


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("mlflow")) as s:
        mlflow.set_tracking_uri(s.url)
        mlflow.set_registry_uri(s.url)
        yield s


@pytest.fixture
def client(shared):
    return MlflowClient()


@pytest.fixture
def experiment(shared, request):
    """A fresh experiment, set as the current one."""
    e = mlflow.set_experiment(f"{request.node.name}")
    yield e
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.sklearn.autolog(disable=True)
    mlflow.xgboost.autolog(disable=True)


@pytest.fixture
def data():
    """A small regression problem, always the same."""
    rng = np.random.default_rng(7)
    x = pd.DataFrame(rng.normal(size=(120, 4)), columns=list("abcd"))
    return x, 3 * x["a"] - x["b"] + 0.1 * rng.normal(size=120)


def refused(call, status_code, part):
    """The call fails with this error code and a message with this part."""
    with pytest.raises(MlflowException) as caught:
        call()
    assert caught.value.error_code == status_code, caught.value
    assert part in str(caught.value)
    return caught.value


# ---- experiments ----

def test_experiments_are_made_read_renamed_tagged_and_found(client):
    made = client.create_experiment("first", tags={"team": "prices"})
    e = client.get_experiment(made)
    assert e.name == "first"
    assert e.lifecycle_stage == "active"
    assert e.tags == {"team": "prices"}
    assert e.artifact_location == f"mlflow-artifacts:/{made}"
    client.set_experiment_tag(made, "stage", "trial")
    client.rename_experiment(made, "renamed")
    e = client.get_experiment_by_name("renamed")
    assert (e.experiment_id, e.tags) == (made, {"team": "prices",
                                                "stage": "trial"})
    found = client.search_experiments(filter_string="name LIKE 'rena%' AND "
                                                    "tags.team = 'prices'")
    assert [x.experiment_id for x in found] == [made]
    assert client.search_experiments(filter_string="name LIKE 'RENA%'") == []
    assert len(client.search_experiments(filter_string="name ILIKE 'RENA%'"))
    client.delete_experiment_tag(made, "stage")
    assert client.get_experiment(made).tags == {"team": "prices"}


def test_default_experiment_is_there(client):
    assert client.get_experiment("0").name == "Default"


def test_a_taken_experiment_name_is_refused_even_after_deletion(client):
    made = client.create_experiment("taken")
    refused(lambda: client.create_experiment("taken"),
            "RESOURCE_ALREADY_EXISTS", "already exists")
    client.delete_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "deleted"
    refused(lambda: client.create_experiment("taken"),
            "RESOURCE_ALREADY_EXISTS", "already exists")
    assert client.get_experiment_by_name("absent") is None
    refused(lambda: client.get_experiment("999999"),
            "RESOURCE_DOES_NOT_EXIST", "999999")


def test_experiments_are_paged_without_gaps_or_repeats(client):
    made = {client.create_experiment(f"page-{i:02}") for i in range(7)}
    seen, token = [], None
    while True:
        page = client.search_experiments(filter_string="name LIKE 'page-%'",
                                         order_by=["name DESC"],
                                         max_results=3, page_token=token)
        seen += [e.name for e in page]
        token = page.token
        if not token:
            break
    assert seen == [f"page-{i:02}" for i in range(6, -1, -1)]
    assert len(made) == 7


# ---- runs and the fluent API ----

def test_fluent_run_logs_params_metrics_and_tags(experiment, client):
    with mlflow.start_run(run_name="fluent") as run:
        mlflow.log_param("depth", 3)
        mlflow.log_params({"eta": 0.1, "name": "käse/1"[:4]})
        mlflow.log_metric("loss", 0.5, step=1)
        mlflow.log_metric("loss", 0.25, step=2)
        mlflow.log_metrics({"mae": 1.5, "rmse": 2.0}, step=2)
        mlflow.set_tag("who", "me")
        mlflow.set_tags({"a.b/c": "x", "mlflow.note.content": "hello"})
    run = client.get_run(run.info.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "fluent"
    assert run.info.end_time >= run.info.start_time
    assert run.data.params == {"depth": "3", "eta": "0.1", "name": "käse"}
    assert run.data.metrics == {"loss": 0.25, "mae": 1.5, "rmse": 2.0}
    assert run.data.tags["who"] == "me"
    assert run.data.tags["a.b/c"] == "x"
    assert run.data.tags["mlflow.runName"] == "fluent"
    assert run.info.artifact_uri == (f"mlflow-artifacts:/"
                                     f"{experiment.experiment_id}/"
                                     f"{run.info.run_id}/artifacts")


def test_a_failing_script_leaves_a_failed_run(experiment, client):
    with pytest.raises(ZeroDivisionError):
        with mlflow.start_run() as run:
            1 / 0
    assert client.get_run(run.info.run_id).info.status == "FAILED"


def test_nested_runs_name_their_parent(experiment, client):
    with mlflow.start_run() as parent:
        with mlflow.start_run(nested=True) as child:
            mlflow.log_param("depth", 5)
    found = mlflow.search_runs(
        filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert list(found["run_id"]) == [child.info.run_id]
    got = client.get_parent_run(child.info.run_id)
    assert got.info.run_id == parent.info.run_id


def test_a_run_without_a_name_gets_one_and_update_keeps_tag_and_name_alike(
        experiment, client):
    run = client.create_run(experiment.experiment_id)
    assert run.info.run_name
    assert run.data.tags["mlflow.runName"] == run.info.run_name
    client.update_run(run.info.run_id, name="better", status="KILLED")
    run = client.get_run(run.info.run_id)
    assert run.info.run_name == run.data.tags["mlflow.runName"] == "better"
    assert run.info.status == "KILLED"
    client.set_tag(run.info.run_id, "mlflow.runName", "best")
    assert client.get_run(run.info.run_id).info.run_name == "best"


def test_params_are_written_once(experiment, client):
    run = client.create_run(experiment.experiment_id).info.run_id
    client.log_param(run, "p", 1)
    client.log_param(run, "p", 1)
    e = refused(lambda: client.log_param(run, "p", 2),
                "INVALID_PARAMETER_VALUE", "Changing param values is not "
                "allowed. Param with key='p' was already logged with value="
                f"'1' for run ID='{run}'. Attempted logging new value '2'.")
    assert e.get_http_status_code() == 400
    refused(lambda: client.log_batch(run, params=[Param("p", "3"),
                                                  Param("q", "1")],
                                     metrics=[Metric("m", 1.0, 1, 0)]),
            "INVALID_PARAMETER_VALUE", "Params were already logged=")
    got = client.get_run(run).data
    assert (got.params, got.metrics) == ({"p": "1"}, {})


def test_duplicate_params_in_one_batch_are_refused(shared, experiment, client):
    run = client.create_run(experiment.experiment_id).info.run_id
    a = shared.call("POST", "/api/2.0/mlflow/runs/log-batch",
                    {"run_id": run, "params": [{"key": "a", "value": "1"},
                                               {"key": "a", "value": "2"}]})
    assert a.status == 400
    assert a.json["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "Duplicate parameter keys have been submitted: ['a']" in \
        a.json["message"]
    assert client.get_run(run).data.params == {}


def test_history_keeps_each_point_once_in_order_and_nan_apart(experiment,
                                                              client):
    run = client.create_run(experiment.experiment_id).info.run_id
    for value, at, step in [(3.0, 30, 2), (1.0, 10, 0), (math.nan, 20, 1),
                            (1.0, 10, 0), (math.inf, 40, 3)]:
        client.log_metric(run, "m", value, at, step)
    got = client.get_metric_history(run, "m")
    assert [(p.timestamp, p.step) for p in got] == [(10, 0), (20, 1), (30, 2),
                                                    (40, 3)]
    assert got[0].value == 1.0 and math.isnan(got[1].value)
    assert got[3].value == 1.7976931348623157e308
    assert client.get_run(run).data.metrics["m"] == 1.7976931348623157e308
    assert client.get_metric_history(run, "absent") == []


def test_latest_metric_is_the_greatest_by_step_not_the_last_to_arrive(
        experiment, client):
    run = client.create_run(experiment.experiment_id).info.run_id
    client.log_metric(run, "m", 5.0, 100, 7)
    client.log_metric(run, "m", 9.0, 200, 3)
    assert client.get_run(run).data.metrics["m"] == 5.0
    client.log_metric(run, "m", 6.0, 100, 7)
    assert client.get_run(run).data.metrics["m"] == 6.0
    client.log_batch(run, metrics=[Metric("b", float(i), i, -i)
                                   for i in range(50)])
    assert client.get_run(run).data.metrics["b"] == 0.0
    assert len(client.get_metric_history(run, "b")) == 50


def test_metric_history_pages_by_token(shared, experiment, client):
    run = client.create_run(experiment.experiment_id).info.run_id
    for part in range(3):
        client.log_batch(run, metrics=[Metric("m", float(i), i, i) for i in
                                       range(part * 1000, part * 1000 + 1000)])
    seen, token = [], ""
    while True:
        page = shared.get(f"/api/2.0/mlflow/metrics/get-history?run_id={run}"
                          f"&metric_key=m&max_results=700&page_token={token}")
        seen += [p["value"] for p in page["metrics"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert seen == [float(i) for i in range(3000)]
    a = shared.call("GET", f"/api/2.0/mlflow/metrics/get-history?run_id={run}"
                           "&metric_key=m&max_results=0")
    assert a.status == 400
    a = shared.call("GET", f"/api/2.0/mlflow/metrics/get-history?run_id={run}"
                           "&metric_key=m&page_token=%21%21")
    assert a.status == 400


def test_bulk_histories_serve_the_charts(shared, experiment, client):
    runs = [client.create_run(experiment.experiment_id).info.run_id
            for _ in range(2)]
    for r in runs:
        client.log_batch(r, metrics=[Metric("m", float(i), i, i)
                                     for i in range(100)])
    got = shared.get("/ajax-api/2.0/mlflow/metrics/get-history-bulk?metric_key="
                     f"m&run_id={runs[0]}&run_id={runs[1]}")["metrics"]
    assert len(got) == 200 and {p["run_id"] for p in got} == set(runs)
    got = shared.get("/api/2.0/mlflow/metrics/get-history-bulk-interval?"
                     f"metric_key=m&run_ids={runs[0]}&max_results=10"
                     "&start_step=10&end_step=59")["metrics"]
    steps = [p["step"] for p in got]
    assert steps[0] == 10 and steps[-1] == 59 and len(steps) <= 11


def test_batches_over_a_limit_are_refused(shared, experiment, client):
    run = client.create_run(experiment.experiment_id).info.run_id
    body = {"run_id": run, "params": [{"key": f"p{i}", "value": ""}
                                      for i in range(101)]}
    a = shared.call("POST", "/api/2.0/mlflow/runs/log-batch", body)
    assert a.status == 400
    assert "at most 100 params. Got 101 params" in a.json["message"]
    # the client splits by itself
    client.log_batch(run, metrics=[Metric(f"m{i}", 1.0, 1, 0)
                                   for i in range(1500)],
                     params=[Param(f"p{i}", str(i)) for i in range(250)])
    got = client.get_run(run).data
    assert len(got.metrics) == 1500 and len(got.params) == 250


def test_long_values_are_cut_and_long_keys_refused(experiment, client):
    run = client.create_run(experiment.experiment_id).info.run_id
    client.log_param(run, "p", "ü" * 7000)
    assert client.get_run(run).data.params["p"] == "ü" * 6000
    refused(lambda: client.log_param(run, "k" * 251, "1"),
            "INVALID_PARAMETER_VALUE", "250")


@pytest.mark.parametrize("key", ["a//b", "../x", "/x", "x/", ".", "a/./b",
                                 "a\tb", "a?b"])
def test_bad_keys_are_refused(shared, experiment, client, key):
    run = client.create_run(experiment.experiment_id).info.run_id
    for path, body in [("log-metric", {"value": 1, "timestamp": 1}),
                       ("log-parameter", {"value": "1"}),
                       ("set-tag", {"value": "1"})]:
        a = shared.call("POST", f"/api/2.0/mlflow/runs/{path}",
                        {"run_id": run, "key": key, **body})
        assert a.status == 400, (path, key, a.text)
        assert a.json["error_code"] == "INVALID_PARAMETER_VALUE"


def test_deleted_runs_are_readable_not_writable_and_come_back(experiment,
                                                              client):
    run = client.create_run(experiment.experiment_id).info.run_id
    client.log_metric(run, "m", 1.0)
    client.delete_run(run)
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    e = refused(lambda: client.log_metric(run, "m", 2.0),
                "INVALID_PARAMETER_VALUE", "must be in the 'active' state")
    assert e.get_http_status_code() == 400
    ids = [experiment.experiment_id]
    assert client.search_runs(ids) == []
    assert len(client.search_runs(ids, run_view_type=ViewType.DELETED_ONLY))
    assert len(client.search_runs(ids, run_view_type=ViewType.ALL)) == 1
    client.restore_run(run)
    client.log_metric(run, "m", 2.0, step=1)
    assert client.get_run(run).data.metrics["m"] == 2.0


def test_deleting_an_experiment_takes_its_runs_along_and_restores_them(
        shared, client):
    made = client.create_experiment("with-runs")
    run = client.create_run(made).info.run_id
    client.delete_experiment(made)
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    refused(lambda: client.create_run(made), "INVALID_PARAMETER_VALUE",
            "must be in the 'active' state")
    client.restore_experiment(made)
    assert client.get_run(run).info.lifecycle_stage == "active"


def test_tags_of_a_run_can_be_removed_once(experiment, client):
    run = client.create_run(experiment.experiment_id,
                            tags={"a": "1"}).info.run_id
    client.delete_tag(run, "a")
    assert "a" not in client.get_run(run).data.tags
    refused(lambda: client.delete_tag(run, "a"), "RESOURCE_DOES_NOT_EXIST",
            "No tag with name: a")


def test_an_absent_run_is_said_to_be_absent(client):
    refused(lambda: client.get_run("f" * 32), "RESOURCE_DOES_NOT_EXIST",
            "f" * 32)
    refused(lambda: client.log_metric("f" * 32, "m", 1.0),
            "RESOURCE_DOES_NOT_EXIST", "not found")


# ---- raw requests ----

def test_missing_and_wrong_parameters_are_explained(shared):
    a = shared.call("POST", "/api/2.0/mlflow/experiments/create", {})
    assert a.status == 400
    assert a.json["message"] == (
        "Missing value for required parameter 'name'. See the API docs for "
        "more information about request parameters.")
    a = shared.call("POST", "/api/2.0/mlflow/experiments/create", b"{broken",
                    {"Content-Type": "application/json"})
    assert a.status == 400 and "Missing value" in a.json["message"]
    a = shared.call("POST", "/api/2.0/mlflow/experiments/create",
                    {"name": 123})
    assert a.status == 400
    assert a.json["message"].startswith(
        "Invalid value 123 for parameter 'name' supplied")
    a = shared.call("POST", "/api/2.0/mlflow/experiments/create", b"name=x",
                    {"Content-Type": "application/x-www-form-urlencoded"})
    assert a.status == 400 and "Content-Type must be" in a.json["message"]
    a = shared.call("POST", "/api/2.0/mlflow/runs/log-batch",
                    {"run_id": "x", "metrics": [{"key": "a", "value": "bad",
                                                 "timestamp": 1}]})
    assert a.status == 400 and "metrics[0].value" in a.json["message"]


def test_numbers_may_come_as_text_and_ajax_paths_are_the_same(shared,
                                                              experiment):
    a = shared.call("POST", "/ajax-api/2.0/mlflow/runs/create",
                    {"experiment_id": experiment.experiment_id,
                     "start_time": "1700000000000", "unknown_field": 1})
    info = a.json["run"]["info"]
    assert info["start_time"] == 1700000000000
    assert info["run_uuid"] == info["run_id"]
    assert "end_time" not in info
    a = shared.call("POST", "/api/2.0/mlflow/runs/log-metric",
                    {"run_uuid": info["run_id"], "key": "m", "value": "NaN",
                     "timestamp": "5", "step": "7"})
    assert (a.status, a.text) == (200, "{}")
    run = shared.get("/api/2.0/mlflow/runs/get?run_uuid=" + info["run_id"])
    assert run["run"]["data"]["metrics"] == [
        {"key": "m", "value": "NaN", "timestamp": 5, "step": 7}]


def test_what_is_not_offered_says_so(shared):
    a = shared.call("POST", "/api/3.0/mlflow/scorers/register", {})
    assert a.status == 501 and a.json["error_code"] == "NOT_IMPLEMENTED"
    info = shared.get("/api/3.0/mlflow/server-info")
    assert info["multipart_uploads_enabled"] is False


# ---- search ----

@pytest.fixture
def many(experiment, client):
    """Twelve runs: params kind a/b, metric loss = i (NaN at 10, none at 11)."""
    ids = []
    for i in range(12):
        run = client.create_run(experiment.experiment_id,
                                start_time=1000 + i, run_name=f"run-{i}",
                                tags={"parity": "even" if i % 2 == 0
                                      else "odd"})
        ids.append(run.info.run_id)
        value = math.nan if i == 10 else float(i)
        client.log_batch(run.info.run_id,
                         metrics=[] if i == 11 else
                         [Metric("loss", value, 1, 0)],
                         params=[Param("kind", "a" if i < 6 else "b")] +
                         ([Param("only/some", "Mixed Case")] if i < 3 else []))
        if i < 4:
            client.set_terminated(run.info.run_id, end_time=5000 + i)
    return ids


@pytest.mark.parametrize("text, want", [
    ("", range(12)),
    ("metrics.loss > 7", [8, 9]),
    ("metrics.loss >= 7 and metric.loss<9", [7, 8]),
    ("metrics.loss != 3", [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]),
    ("metrics.`loss` = 3", [3]),
    ('metrics."loss" <= 1.5', [0, 1]),
    ("params.kind = 'a' AND metrics.loss > 3", [4, 5]),
    ("params.kind != 'a' AND tags.parity = 'odd'", [7, 9, 11]),
    ('parameters.kind = "b" AND metrics.loss < 7e0', [6]),
    ("params.`only/some` LIKE 'Mixed%'", [0, 1, 2]),
    ("params.`only/some` LIKE 'mixed%'", []),
    ("params.`only/some` ILIKE 'mixed_CASE'", [0, 1, 2]),
    ("params.`only/some` IS NULL AND params.kind = 'a'", [3, 4, 5]),
    ("params.`only/some` IS NOT NULL", [0, 1, 2]),
    ("params.absent != 'x'", []),
    ("metrics.absent > 0", []),
    ("attributes.status = 'FINISHED'", [0, 1, 2, 3]),
    ("status != 'FINISHED' AND metrics.loss < 6", [4, 5]),
    ("run_name = 'run-5'", [5]),
    ("attributes.run_name LIKE 'run-1%'", [1, 10, 11]),
    ("`Run name` = 'run-7'", [7]),
    ("start_time > 1008", [9, 10, 11]),
    ("attributes.end_time >= 5002", [2, 3]),
    ("end_time != 5002", [0, 1, 3]),
    ("tags.parity = 'even' AND tags.mlflow.runName = 'run-4'", [4]),
])
def test_runs_are_found_by_filter(many, experiment, client, text, want):
    found = client.search_runs([experiment.experiment_id], text)
    assert [many.index(r.info.run_id) for r in found] == \
        sorted(want, reverse=True)


def test_runs_are_found_by_lists_of_ids(many, experiment, client):
    ids = [experiment.experiment_id]
    text = f"run_id IN ('{many[1]}', '{many[4]}')"
    assert {r.info.run_id for r in client.search_runs(ids, text)} == \
        {many[1], many[4]}
    text = f"attributes.run_id NOT IN ('{many[1]}') AND metrics.loss < 3"
    assert {r.info.run_id for r in client.search_runs(ids, text)} == \
        {many[0], many[2]}


@pytest.mark.parametrize("order, want", [
    (["metrics.loss ASC"], list(range(12))),
    (["metrics.loss DESC"], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 10, 11]),
    (["params.kind DESC", "metrics.loss"], [6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4,
                                            5]),
    (["start_time ASC"], list(range(12))),
    (["attribute.end_time DESC", "start_time ASC"],
     [3, 2, 1, 0, 4, 5, 6, 7, 8, 9, 10, 11]),
    (["tags.parity", "start_time"], [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]),
])
def test_runs_are_ordered(many, experiment, client, order, want):
    found = client.search_runs([experiment.experiment_id], order_by=order)
    assert [many.index(r.info.run_id) for r in found] == want


def test_searches_are_paged(many, experiment, client):
    seen, token = [], None
    while True:
        page = client.search_runs([experiment.experiment_id], "",
                                  max_results=5, page_token=token,
                                  order_by=["metrics.loss ASC"])
        seen += [many.index(r.info.run_id) for r in page]
        token = page.token
        if not token:
            break
    assert seen == list(range(12))


def test_search_runs_gives_a_table(many, experiment):
    table = mlflow.search_runs(filter_string="metrics.loss >= 0",
                               order_by=["metrics.loss ASC"])
    assert list(table["metrics.loss"]) == [float(i) for i in range(10)]
    assert list(table["params.kind"]) == ["a"] * 6 + ["b"] * 4
    assert set(table["tags.parity"]) == {"even", "odd"}


@pytest.mark.parametrize("text", [
    "metrics.loss > 'x'", "metrics.loss LIKE 'x'", "params.kind = 3",
    "params.kind > 'a'", "nonsense.kind = 'a'", "nonsense = 'a'",
    "metrics.loss > 1 OR metrics.loss < 0", "metrics.loss >", "metrics.",
    "params.kind = 'a", "params.kind = a", "metrics.loss IS NULL",
    "status IN ('FINISHED')", "params.kind IN ('a')", "(metrics.loss > 1)",
    "metrics.loss > 1 AND", "params.kind = 'a' params.kind = 'b'",
])
def test_bad_filters_are_refused(shared, experiment, client, text):
    refused(lambda: client.search_runs([experiment.experiment_id], text),
            "INVALID_PARAMETER_VALUE", "")


@pytest.mark.parametrize("order", [
    ["nonsense"], ["metrics.loss DOWN"], ["metrics.loss", "metrics.loss DESC"],
    [""],
])
def test_bad_orders_are_refused(shared, experiment, client, order):
    refused(lambda: client.search_runs([experiment.experiment_id],
                                       order_by=order),
            "INVALID_PARAMETER_VALUE", "order_by" if order != ["nonsense"]
            else "nonsense")


def test_quotes_in_a_filter_stay_text(many, experiment, client):
    text = "params.kind = \"a' OR 1=1 --\""
    assert client.search_runs([experiment.experiment_id], text) == []


def test_page_sizes_have_limits(shared, experiment):
    for n in (0, -1, 50001):
        a = shared.call("POST", "/api/2.0/mlflow/runs/search",
                        {"experiment_ids": [experiment.experiment_id],
                         "max_results": n})
        assert a.status == 400 and "max_results" in a.json["message"]


# ---- inputs ----

def test_datasets_are_logged_and_searched(experiment, client, data):
    x, y = data
    frame = x.assign(target=y)
    dataset = mlflow.data.from_pandas(frame, name="prices", targets="target")
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, context="training")
        mlflow.log_input(dataset, context="training")
    got = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert len(got) == 1
    assert got[0].dataset.name == "prices"
    assert got[0].dataset.digest == dataset.digest
    assert json.loads(got[0].dataset.profile)["num_rows"] == 120
    assert [(t.key, t.value) for t in got[0].tags] == [("mlflow.data.context",
                                                        "training")]
    ids = [experiment.experiment_id]
    for text, count in [("dataset.name = 'prices'", 1),
                        ("datasets.context = 'training'", 1),
                        ("dataset.context IN ('eval', 'training')", 1),
                        ("dataset.name = 'other'", 0),
                        (f"dataset.digest = '{dataset.digest}'", 1)]:
        assert len(client.search_runs(ids, text)) == count, text


# ---- artifacts ----

def test_artifacts_go_up_are_listed_and_come_down(experiment, client, tmp_path):
    big = os.urandom(3_000_000)
    (tmp_path / "up" / "deep").mkdir(parents=True)
    (tmp_path / "up" / "big.bin").write_bytes(big)
    (tmp_path / "up" / "deep" / "ünï cödé.txt").write_text("grüße")
    (tmp_path / "up" / "empty").write_bytes(b"")
    with mlflow.start_run() as run:
        mlflow.log_text("hello", "notes/a.txt")
        mlflow.log_dict({"a": 1}, "notes/d.json")
        mlflow.log_artifacts(str(tmp_path / "up"), "up")
    run_id = run.info.run_id
    top = client.list_artifacts(run_id)
    assert [(f.path, f.is_dir) for f in top] == [("notes", True), ("up", True)]
    up = {f.path: (f.is_dir, f.file_size)
          for f in client.list_artifacts(run_id, "up")}
    assert up == {"up/big.bin": (False, 3_000_000), "up/deep": (True, None),
                  "up/empty": (False, 0)}
    down = client.download_artifacts(run_id, "", str(tmp_path))
    assert open(os.path.join(down, "up", "big.bin"), "rb").read() == big
    assert open(os.path.join(down, "up", "deep", "ünï cödé.txt")
                ).read() == "grüße"
    assert open(os.path.join(down, "up", "empty")).read() == ""
    assert mlflow.artifacts.load_text(
        f"runs:/{run_id}/notes/a.txt") == "hello"
    assert mlflow.artifacts.load_dict(
        f"runs:/{run_id}/notes/d.json") == {"a": 1}


def test_an_artifact_can_be_replaced_and_deleted(shared, experiment, client):
    run = client.create_run(experiment.experiment_id)
    client.log_text(run.info.run_id, "one", "f.txt")
    client.log_text(run.info.run_id, "two", "f.txt")
    base = ("/api/2.0/mlflow-artifacts/artifacts/"
            f"{experiment.experiment_id}/{run.info.run_id}/artifacts")
    a = shared.call("GET", base + "/f.txt")
    assert (a.status, a.text) == (200, "two")
    assert "attachment" in a.headers["Content-Disposition"]
    assert a.headers["X-Content-Type-Options"] == "nosniff"
    assert shared.call("GET", base + "/absent").status == 404
    assert shared.call("GET", base).status == 400
    a = shared.call("GET", f"/get-artifact?run_id={run.info.run_id}"
                           "&path=f.txt")
    assert a.text == "two"
    assert shared.call("DELETE", base + "/f.txt").status == 200
    assert shared.call("GET", base + "/f.txt").status == 404


@pytest.mark.parametrize("path", ["../x", "a/../../x", "a/%2e%2e/x",
                                  "a/%252e%252e/x", "a/./b", "a\\b"])
def test_unsafe_artifact_paths_are_refused(shared, path):
    root = "/api/2.0/mlflow-artifacts/artifacts/"
    quoted = path.replace("%", "%25").replace("\\", "%5C").replace(
        "..", "%2E%2E").replace("/./", "/%2E/")
    for method, body in [("PUT", b"x"), ("GET", None), ("DELETE", None)]:
        a = shared.call(method, root + quoted, body)
        assert a.status in (400, 404), (method, path, a.status)
        assert method != "PUT" or a.status == 400
    a = shared.call("GET", root[:-1] + "?path=" + quoted)
    assert a.status == 400


def test_a_file_cannot_be_a_folder_too(shared):
    root = "/api/2.0/mlflow-artifacts/artifacts/x/"
    assert shared.call("PUT", root + "a", b"1").status == 200
    assert shared.call("PUT", root + "a/b", b"1").status == 400
    assert shared.call("PUT", root + "c/d", b"1").status == 200
    assert shared.call("PUT", root + "c", b"1").status == 400


# ---- autologging and logged models ----

def test_sklearn_autolog_logs_and_loads_back(experiment, client, data):
    from sklearn.linear_model import Ridge
    x, y = data
    mlflow.sklearn.autolog()
    with mlflow.start_run() as run:
        model = Ridge(alpha=0.5).fit(x, y)
    got = client.get_run(run.info.run_id)
    assert got.data.params["alpha"] == "0.5"
    assert got.data.metrics["training_r2_score"] > 0.9
    assert got.inputs.dataset_inputs
    assert len(got.outputs.model_outputs) == 1
    loaded = mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    assert np.array_equal(loaded.predict(x), model.predict(x))
    logged = mlflow.get_logged_model(got.outputs.model_outputs[0].model_id)
    assert str(logged.status) == "READY"
    assert logged.params["alpha"] == "0.5"
    assert {m.key for m in logged.metrics} >= {"training_r2_score"}


def test_xgboost_autolog_logs_and_loads_back(experiment, client, data):
    import xgboost
    x, y = data
    mlflow.xgboost.autolog()
    matrix = xgboost.DMatrix(x, label=y)
    with mlflow.start_run() as run:
        model = xgboost.train({"max_depth": 3, "eta": 0.3}, matrix, 20,
                              evals=[(matrix, "train")], verbose_eval=False)
    got = client.get_run(run.info.run_id)
    assert got.data.params["max_depth"] == "3"
    history = client.get_metric_history(run.info.run_id, "train-rmse")
    assert [p.step for p in history] == list(range(20))
    assert history[-1].value < history[0].value
    model_id = got.outputs.model_outputs[0].model_id
    loaded = mlflow.xgboost.load_model(f"models:/{model_id}")
    assert np.array_equal(loaded.predict(matrix), model.predict(matrix))


def test_a_logged_model_is_registered_aliased_and_loaded_by_every_name(
        shared, experiment, client, data):
    from sklearn.linear_model import Ridge
    x, y = data
    name = "ridge-by-name"
    models = []
    for alpha in (0.1, 100.0):
        model = Ridge(alpha=alpha).fit(x, y)
        with mlflow.start_run() as run:
            info = mlflow.sklearn.log_model(model, name="model",
                                            pip_requirements=["numpy"],
                                            registered_model_name=name)
        models.append((model, run.info.run_id, info))
    client.set_registered_model_alias(name, "champion", 1)
    client.set_registered_model_alias(name, "challenger", "2")
    first, second = (m[0].predict(x) for m in models)
    for uri, want in [
            (f"models:/{name}/1", first), (f"models:/{name}/2", second),
            (f"models:/{name}@champion", first),
            (f"models:/{name}@challenger", second),
            (f"models:/{name}/latest", second),
            (f"models:/{models[0][2].model_id}", first),
            (f"runs:/{models[1][1]}/model", second)]:
        loaded = mlflow.pyfunc.load_model(uri)
        assert np.array_equal(loaded.predict(x), want), uri
    version = client.get_model_version(name, "1")
    assert version.run_id == models[0][1]
    raw = shared.get("/api/2.0/mlflow/model-versions/get?version=1&name=" +
                     name)["model_version"]
    assert raw["model_id"] == models[0][2].model_id
    assert raw["source"] == f"models:/{raw['model_id']}"
    assert version.aliases == ["champion"]
    assert client.get_registered_model(name).aliases == {"champion": "1",
                                                         "challenger": "2"}
    client.set_registered_model_alias(name, "champion", 2)
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    assert np.array_equal(loaded.predict(x), second)


def test_logged_models_are_searched_by_metrics_params_and_names(experiment,
                                                                client):
    made = []
    for i in range(4):
        model = client.create_logged_model(
            experiment.experiment_id, name=f"m{i}", params={"depth": str(i)},
            tags={"half": "low" if i < 2 else "high"})
        with mlflow.start_run():
            mlflow.log_metric("score", i / 4, model_id=model.model_id)
        client.finalize_logged_model(model.model_id, "READY")
        made.append(model.model_id)

    def search(**kw):
        found = client.search_logged_models([experiment.experiment_id], **kw)
        return [made.index(m.model_id) for m in found]

    assert sorted(search()) == [0, 1, 2, 3]
    assert sorted(search(filter_string="params.depth = '2'")) == [2]
    assert sorted(search(filter_string="metrics.score > 0.3")) == [2, 3]
    assert sorted(search(filter_string="tags.half = 'low'")) == [0, 1]
    assert sorted(search(filter_string="name LIKE 'm%' AND "
                         "metrics.score <= 0.25")) == [0, 1]
    assert search(order_by=[{"field_name": "metrics.score",
                             "ascending": False}]) == [3, 2, 1, 0]
    assert search(order_by=[{"field_name": "name", "ascending": True}],
                  max_results=2) == [0, 1]
    client.set_logged_model_tags(made[0], {"half": "none", "x": "y"})
    client.delete_logged_model_tag(made[0], "x")
    assert client.get_logged_model(made[0]).tags["half"] == "none"
    client.delete_logged_model(made[3])
    refused(lambda: client.get_logged_model(made[3]),
            "RESOURCE_DOES_NOT_EXIST", "not found")
    assert sorted(search()) == [0, 1, 2]


# ---- the registry ----

@pytest.fixture
def model_run(experiment, client):
    run = client.create_run(experiment.experiment_id)
    client.log_text(run.info.run_id, "bytes", "model/MLmodel")
    return run.info.run_id


def test_registered_models_are_made_changed_and_found(client):
    client.create_registered_model("reg-a", tags={"k": "v"},
                                   description="first")
    client.create_registered_model("reg-b")
    refused(lambda: client.create_registered_model("reg-a"),
            "RESOURCE_ALREADY_EXISTS", "already exists")
    for bad in ("a/b", "a:b", " "):
        refused(lambda: client.create_registered_model(bad),
                "INVALID_PARAMETER_VALUE", "")
    client.update_registered_model("reg-a", "changed")
    client.set_registered_model_tag("reg-a", "k2", "v2")
    client.delete_registered_model_tag("reg-a", "k")
    got = client.get_registered_model("reg-a")
    assert (got.description, got.tags) == ("changed", {"k2": "v2"})
    found = client.search_registered_models("name LIKE 'reg-%'",
                                            order_by=["name DESC"])
    assert [m.name for m in found] == ["reg-b", "reg-a"]
    found = client.search_registered_models("tags.k2 = 'v2'")
    assert [m.name for m in found] == ["reg-a"]
    client.rename_registered_model("reg-a", "reg-c")
    assert client.get_registered_model("reg-c").tags == {"k2": "v2"}
    refused(lambda: client.get_registered_model("reg-a"),
            "RESOURCE_DOES_NOT_EXIST", "reg-a")
    client.delete_registered_model("reg-c")
    refused(lambda: client.get_registered_model("reg-c"),
            "RESOURCE_DOES_NOT_EXIST", "reg-c")


def test_versions_are_numbered_for_ever_and_aliases_follow(client, model_run):
    name = "numbered"
    client.create_registered_model(name)
    for want in ("1", "2", "3"):
        v = client.create_model_version(name, f"runs:/{model_run}/model",
                                        run_id=model_run, tags={"n": want})
        assert v.version == want
        assert v.status == "READY"
    client.set_registered_model_alias(name, "best", 3)
    assert client.get_model_version_by_alias(name, "best").version == "3"
    client.delete_model_version(name, 3)
    refused(lambda: client.get_model_version(name, 3),
            "RESOURCE_DOES_NOT_EXIST", "version=3")
    e = refused(lambda: client.get_model_version_by_alias(name, "best"),
                "INVALID_PARAMETER_VALUE",
                "Registered model alias best not found")
    assert e.get_http_status_code() == 400
    v = client.create_model_version(name, f"runs:/{model_run}/model",
                                    run_id=model_run)
    assert v.version == "4"
    client.update_model_version(name, 4, "fourth")
    client.set_model_version_tag(name, 4, "ok", "yes")
    got = client.get_model_version(name, 4)
    assert (got.description, got.tags) == ("fourth", {"ok": "yes"})
    client.delete_model_version_tag(name, 4, "ok")
    assert client.get_model_version(name, 4).tags == {}
    found = client.search_model_versions(f"name = '{name}'",
                                         order_by=["version_number ASC"])
    assert [m.version for m in found] == ["1", "2", "4"]
    found = client.search_model_versions("tags.n = '2'")
    assert [m.version for m in found] == ["2"]
    found = client.search_model_versions(f"run_id = '{model_run}' AND "
                                         "version_number > 1")
    assert sorted(m.version for m in found) == ["2", "4"]
    found = client.search_model_versions(f"run_id IN ('{model_run}', 'x')")
    assert len(found) == 3
    uri = client.get_model_version_download_uri(name, 4)
    assert uri.startswith("mlflow-artifacts:/") and uri.endswith("/model")


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_stages_move_versions_and_archive_the_others(client, model_run):
    name = "staged"
    client.create_registered_model(name)
    for _ in range(3):
        client.create_model_version(name, f"runs:/{model_run}/model",
                                    run_id=model_run)
    client.transition_model_version_stage(name, 1, "production")
    client.transition_model_version_stage(name, 2, "Production",
                                          archive_existing_versions=True)
    assert client.get_model_version(name, 1).current_stage == "Archived"
    got = client.get_latest_versions(name, ["Production"])
    assert [v.version for v in got] == ["2"]
    assert {v.version for v in client.get_latest_versions(name)} == \
        {"1", "2", "3"}
    refused(lambda: client.transition_model_version_stage(name, 1, "nowhere"),
            "INVALID_PARAMETER_VALUE", "stage")


@pytest.mark.parametrize("alias", ["latest", "LATEST", "v1", "V12", "a b",
                                   "a/b"])
def test_reserved_and_bad_aliases_are_refused(client, model_run, alias):
    name = "aliases"
    try:
        client.create_registered_model(name)
    except RestException:
        pass
    client.create_model_version(name, f"runs:/{model_run}/model",
                                run_id=model_run)
    refused(lambda: client.set_registered_model_alias(name, alias, 1),
            "INVALID_PARAMETER_VALUE", "")
    refused(lambda: client.set_registered_model_alias(name, "ok", 99),
            "RESOURCE_DOES_NOT_EXIST", "99")


def test_sources_outside_the_run_are_refused(shared, client, model_run,
                                             experiment):
    name = "sources"
    client.create_registered_model(name)
    e, other = experiment.experiment_id, "f" * 32
    root = f"mlflow-artifacts:/{e}/{model_run}/artifacts"

    def register(source, **more):
        return shared.call("POST", "/api/2.0/mlflow/model-versions/create",
                           {"name": name, "source": source, **more})

    for source, more in [
            ("/etc/passwd", {"run_id": model_run}),
            ("file:///etc/passwd", {"run_id": model_run}),
            (root + "/../../x", {"run_id": model_run}),
            (root + "/%2e%2e/x", {"run_id": model_run}),
            (root + "/%252e%252e/x", {"run_id": model_run}),
            (root + "/model", {}),
            (root + "/model", {"run_id": other}),
            (root + "x/model", {"run_id": model_run}),
            (f"mlflow-artifacts:/{e}/{other}/artifacts", {"run_id": model_run}),
            (f"runs:/{model_run}/model", {}),
            (f"runs:/{other}/model", {"run_id": model_run}),
            ("models:/m-" + other, {}),
            ("s3://bucket/a/../b", {})]:
        a = register(source, **more)
        assert a.status == 400, (source, more, a.text)
        assert "Invalid model version source" in a.json["message"]
    for source, more in [(root + "/model", {"run_id": model_run}),
                         ("s3://bucket/a/b", {})]:
        assert register(source, **more).status == 200, source


def test_a_version_can_be_copied_to_another_model(client, model_run):
    client.create_registered_model("copied-from")
    client.create_model_version("copied-from", f"runs:/{model_run}/model",
                                run_id=model_run)
    copy = client.copy_model_version("models:/copied-from/1", "copied-to")
    assert copy.source == "models:/copied-from/1"
    assert copy.run_id == model_run
    assert client.get_model_version_download_uri("copied-to", 1) == \
        client.get_model_version_download_uri("copied-from", 1)


# ---- durability ----

def test_what_was_acknowledged_survives_kill_9(tmp_path):
    server = Server(tmp_path).start()
    try:
        old = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(server.url)
        client = MlflowClient(server.url)
        made = client.create_experiment("durable")
        run = client.create_run(made).info.run_id
        for i in range(200):
            client.log_metric(run, "m", float(i), 1000 + i, i)
        client.log_text(run, "kept", "a.txt")
        server.kill()
        server.start()
        client = MlflowClient(server.url)
        assert [p.value for p in client.get_metric_history(run, "m")] == \
            [float(i) for i in range(200)]
        assert client.get_run(run).data.metrics["m"] == 199.0
        base = f"/api/2.0/mlflow-artifacts/artifacts/{made}/{run}/artifacts"
        assert server.call("GET", base + "/a.txt").text == "kept"
    finally:
        mlflow.set_tracking_uri(old)
        server.stop()


def test_many_clients_at_once_lose_nothing(shared, experiment, client):
    import threading
    runs = [client.create_run(experiment.experiment_id).info.run_id
            for _ in range(8)]
    faults = []

    def work(run):
        try:
            mine = MlflowClient()
            for i in range(25):
                mine.log_batch(run, metrics=[Metric(f"m{j}", float(i), i, i)
                                             for j in range(10)],
                               tags=[RunTag("at", str(i))])
        except Exception as e:  # noqa: BLE001 - reported below
            faults.append(e)

    threads = [threading.Thread(target=work, args=(r,)) for r in runs]
    begin = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    assert not faults, faults[0]
    assert time.monotonic() - begin < 110
    for run in runs:
        got = client.get_run(run).data
        assert got.metrics == {f"m{j}": 24.0 for j in range(10)}
        assert got.tags["at"] == "24"
        assert len(client.get_metric_history(run, "m3")) == 25
