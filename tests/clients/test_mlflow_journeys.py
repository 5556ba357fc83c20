"""Longer ways through the unmodified MLflow client: stages and runs:/ URIs,
asynchronous logging, system metrics, figures and tables, evaluate, the mlflow
command, tracing that must not hurt, many processes, a server killed while all
of them log, and our own trained versions loaded as any other model.  What
tests/clients/test_mlflow.py has is not repeated here."""
import json
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

mlflow = pytest.importorskip("mlflow")
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from mlflow import MlflowClient, MlflowException  # noqa: E402

from conftest import Server, Shops  # noqa: E402


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("journeys")) as s:
        mlflow.set_tracking_uri(s.url)
        mlflow.set_registry_uri(s.url)
        yield s


@pytest.fixture
def client(server):
    return MlflowClient()


@pytest.fixture
def experiment(server, request):
    e = mlflow.set_experiment(request.node.name)
    yield e
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.sklearn.autolog(disable=True)


@pytest.fixture
def data():
    rng = np.random.default_rng(7)
    x = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    return x, 2 * x["a"] - x["b"] + 0.1 * rng.normal(size=60)


# ---- models ----

def saved(model, name, **more):
    return mlflow.sklearn.log_model(model, name=name,
                                    pip_requirements=["numpy"], **more)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_model_is_registered_staged_copied_and_loaded(
        server, experiment, client, data):
    from sklearn.linear_model import Ridge
    x, y = data
    model = Ridge().fit(x, y)
    name = "journey-ridge"
    with mlflow.start_run() as run:
        info = saved(model, "model", input_example=x.head(2))
    version = mlflow.register_model(f"runs:/{run.info.run_id}/model", name)
    assert version.version == "1" and version.run_id == run.info.run_id
    client.transition_model_version_stage(name, 1, "Production")
    loaded = mlflow.pyfunc.load_model(f"models:/{name}/Production")
    assert np.array_equal(loaded.predict(x), model.predict(x))
    with pytest.raises(MlflowException, match="Staging"):
        mlflow.pyfunc.load_model(f"models:/{name}/Staging")
    got = mlflow.models.get_model_info(f"models:/{name}/1")
    assert got.signature == info.signature is not None
    assert set(got.flavors) == {"python_function", "sklearn"}
    local = mlflow.artifacts.download_artifacts(f"models:/{name}/1")
    assert "loader_module: mlflow.sklearn" in open(
        os.path.join(local, "MLmodel")).read()
    names = {f.path for f in mlflow.artifacts.list_artifacts(
        f"runs:/{run.info.run_id}/model")}
    assert any(n.endswith("MLmodel") for n in names)
    copy = client.copy_model_version(f"models:/{name}/1", "journey-copy")
    assert copy.version == "1"
    again = mlflow.sklearn.load_model("models:/journey-copy/1")
    assert np.array_equal(again.predict(x), model.predict(x))
    found = mlflow.search_logged_models(
        experiment_ids=[experiment.experiment_id])
    assert list(found["model_id"]) == [info.model_id]


def test_evaluate_scores_a_model_and_keeps_its_table(experiment, client, data):
    from sklearn.linear_model import Ridge
    x, y = data
    with mlflow.start_run() as run:
        info = saved(Ridge().fit(x, y), "model")
        rows = x.assign(target=y)
        result = mlflow.models.evaluate(
            info.model_uri, rows, targets="target", model_type="regressor",
            evaluators="default",
            evaluator_config={"log_explainer": False})
    got = client.get_run(run.info.run_id)
    assert got.data.metrics["mean_absolute_error"] == \
        result.metrics["mean_absolute_error"] < 0.2
    assert got.inputs.dataset_inputs


def test_own_trained_versions_are_loaded_by_alias(tmp_path):
    with Shops(tmp_path) as shops:
        old = mlflow.get_tracking_uri()
        try:
            mlflow.set_tracking_uri(shops.url)
            mlflow.set_registry_uri(shops.url)
            shops.train()
            uri = "models:/next-amount@challenger"
            model = mlflow.pyfunc.load_model(uri)
            names = model.metadata.get_input_schema().input_names()
            rows = pd.DataFrame(
                [[100.0 + 7 * i + k for k in range(len(names))]
                 for i in range(5)], columns=names)
            theirs = np.asarray(model.predict(rows), dtype=float)
            booster = mlflow.xgboost.load_model(uri)
            assert booster.num_boosted_rounds() > 0
            shops.deploy(1)
            ours = shops.post("/v2/models/next-amount/infer", {"inputs": [
                {"name": n, "shape": [5], "datatype": "FP64",
                 "data": list(rows[n])} for n in names]})
            answers = {o["name"]: o["data"] for o in ours["outputs"]}
            assert np.ptp(theirs) > 0
            assert any(np.allclose(v, theirs, rtol=1e-6)
                       for v in answers.values() if len(v) == 5 and
                       not isinstance(v[0], str)), (answers, theirs)
        finally:
            mlflow.set_tracking_uri(old)
            mlflow.set_registry_uri(old)


# ---- logging ----

def test_logging_without_waiting_loses_nothing(experiment, client):
    with mlflow.start_run() as run:
        waits = [mlflow.log_metric("m", i, step=i, timestamp=1000 + i,
                                   synchronous=False) for i in range(40)]
        waits += [mlflow.log_params({"p": 1}, synchronous=False),
                  mlflow.set_tags({"t": "x"}, synchronous=False)]
        for w in waits:
            w.wait()
        mlflow.config.enable_async_logging()
        try:
            for i in range(40):
                mlflow.log_metric("n", i, step=i)
        finally:
            mlflow.flush_async_logging()
            mlflow.config.enable_async_logging(False)
    got = client.get_run(run.info.run_id).data
    assert (got.params, got.tags["t"]) == ({"p": "1"}, "x")
    for key in ("m", "n"):
        points = client.get_metric_history(run.info.run_id, key)
        assert sorted(p.step for p in points) == list(range(40))


def test_system_metrics_are_sampled(experiment, client):
    pytest.importorskip("psutil")
    with mlflow.start_run(log_system_metrics=True) as run:
        mlflow.system_metrics.set_system_metrics_sampling_interval(0.2)
    mlflow.system_metrics.set_system_metrics_samples_before_logging(1)
    with mlflow.start_run(log_system_metrics=True) as run:
        end = time.monotonic() + 60
        key = "system/cpu_utilization_percentage"
        while not client.get_metric_history(run.info.run_id, key):
            assert time.monotonic() < end
            time.sleep(0.1)
    got = client.get_run(run.info.run_id).data.metrics
    assert {k for k in got if k.startswith("system/")} >= {
        key, "system/system_memory_usage_megabytes"}


def test_figures_images_tables_and_dicts(experiment, client, tmp_path):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3])
    table = pd.DataFrame({"q": ["a", "b"], "n": [1, 2]})
    with mlflow.start_run() as run:
        mlflow.log_figure(figure, "plots/line.png")
        mlflow.log_image(np.zeros((8, 8, 3), dtype=np.uint8), "zero.png")
        mlflow.log_image(np.ones((8, 8), dtype=np.uint8), key="seen", step=3)
        mlflow.log_dict({"a": [1, {"b": None}]}, "d.json")
        mlflow.log_dict({"a": 1}, "d.yaml")
        mlflow.log_table(table, "t.json")
        mlflow.log_table(table, "t.json")
        mlflow.log_text("käse", "notes/n.txt")
    plt.close(figure)
    root = f"runs:/{run.info.run_id}/"
    assert mlflow.artifacts.load_dict(root + "d.json") == {"a": [1,
                                                                 {"b": None}]}
    assert mlflow.artifacts.load_text(root + "notes/n.txt") == "käse"
    assert mlflow.artifacts.load_image(root + "zero.png").size == (8, 8)
    assert len(mlflow.load_table("t.json", run_ids=[run.info.run_id])) == 4
    seen = {f.path for f in client.list_artifacts(run.info.run_id, "images")}
    assert any("seen" in p for p in seen)
    tag = client.get_run(run.info.run_id).data.tags["mlflow.loggedArtifacts"]
    assert json.loads(tag) == [{"path": "t.json", "type": "table"}]


def test_numpy_and_pandas_datasets_and_the_table_of_runs(experiment, data):
    x, y = data
    with mlflow.start_run(run_name="parent") as parent:
        mlflow.log_input(mlflow.data.from_pandas(
            x.assign(y=y), name="rows", targets="y"), context="training")
        mlflow.log_input(mlflow.data.from_numpy(
            x.to_numpy(), targets=y.to_numpy(), name="arrays"),
            context="test", tags={"k": "v"})
        for depth in (2, 3):
            with mlflow.start_run(nested=True):
                mlflow.log_params({"depth": depth})
                mlflow.log_metric("mae", 1 / depth)
    runs = mlflow.search_runs(order_by=["metrics.mae ASC"])
    assert list(runs["params.depth"])[:2] == ["3", "2"]
    assert runs["metrics.mae"].isna().sum() == 1
    assert (runs["tags.mlflow.parentRunId"] == parent.info.run_id).sum() == 2
    found = mlflow.search_runs(filter_string="dataset.name = 'arrays' AND "
                                             "dataset.context = 'test'")
    assert list(found["run_id"]) == [parent.info.run_id]
    used = {i.dataset.name: i for i in mlflow.get_run(
        parent.info.run_id).inputs.dataset_inputs}
    assert set(used) == {"rows", "arrays"}
    assert "mlflow_colspec" in used["rows"].dataset.schema
    assert {t.key: t.value for t in used["arrays"].tags} == {
        "mlflow.data.context": "test", "k": "v"}


# ---- what is not offered must not hurt ----

def script(server, text, **env):
    """A training script of its own, with the client's own retries."""
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith("MLFLOW_")}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(text)],
        env={**clean, "MLFLOW_TRACKING_URI": server.url,
             "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true",
             "GIT_PYTHON_REFRESH": "quiet", **env},
        capture_output=True, text=True, timeout=170, cwd=server.dir)


def test_a_script_with_tracing_on_finishes_without_waiting(server, client):
    done = script(server, """
        import time, mlflow
        mlflow.set_experiment("traced")
        begin = time.monotonic()

        @mlflow.trace
        def work(x):
            with mlflow.start_span("inner") as span:
                span.set_inputs({"x": x})
            return x + 1

        with mlflow.start_run():
            for i in range(3):
                mlflow.log_metric("m", work(i), step=i)
            mlflow.flush_trace_async_logging()
        try:
            mlflow.search_traces()
            raise SystemExit("search_traces answers")
        except mlflow.MlflowException as e:
            assert "NOT_IMPLEMENTED" in str(e), e
        mlflow.genai.register_prompt(name="p", template="t {{x}}")
        assert mlflow.genai.load_prompt("p").format(x=1) == "t 1"
        took = time.monotonic() - begin
        assert took < 40, took
        print("took", took)
    """)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-500:]
    e = client.get_experiment_by_name("traced")
    run, = client.search_runs([e.experiment_id])
    assert run.info.status == "FINISHED" and run.data.metrics["m"] == 3.0


@pytest.mark.parametrize("method, path", [
    ("POST", "/api/3.0/mlflow/traces"),
    ("POST", "/api/3.0/mlflow/traces/search"), ("POST", "/v1/traces"),
    ("GET", "/api/2.0/mlflow/traces"), ("POST", "/api/2.0/mlflow/traces"),
    ("GET", "/api/3.0/mlflow/traces/get?trace_id=tr-1"),
    ("GET", "/api/2.0/mlflow/unified-traces"),
    ("POST", "/api/3.0/mlflow/datasets/create"),
    ("POST", "/api/3.0/mlflow/datasets/search"),
    ("POST", "/api/3.0/mlflow/scorers/register"),
    ("GET", "/api/3.0/mlflow/scorers/list"),
    ("GET", "/api/3.0/mlflow/gateway/endpoints/list"),
    ("POST", "/api/3.0/mlflow/issues/search"),
    ("GET", "/api/3.0/mlflow/label-schemas/list"),
    ("POST", "/api/3.0/mlflow/prompt-optimization/jobs"),
    ("GET", "/api/3.0/mlflow/review-queues/list"),
    ("GET", "/api/3.0/mlflow/workspaces")])
def test_generative_paths_say_that_they_are_not_offered(server, method, path):
    body = {} if method == "POST" else None
    answer = server.call(method, path, body)
    assert answer.status == 501, (path, answer.status, answer.text)
    assert answer.json["error_code"] == "NOT_IMPLEMENTED"
    assert "does not offer" in answer.json["message"]


def test_the_mlflow_command_reads_and_writes(server, client, tmp_path):
    e = client.create_experiment("commanded")
    run = client.create_run(e, run_name="by-hand").info.run_id
    path = tmp_path / "note.txt"
    path.write_text("from the command line")
    text = """
        import sys
        from click.testing import CliRunner
        from mlflow.cli import cli
        for args in %r:
            done = CliRunner().invoke(cli, args)
            print(done.output)
            assert done.exit_code == 0, (args, done.output, done.exception)
    """ % [["experiments", "search"],
           ["experiments", "create", "-n", "made-by-command"],
           ["runs", "list", "--experiment-id", e],
           ["runs", "describe", "--run-id", run],
           ["artifacts", "log-artifact", "--run-id", run, "--local-file",
            str(path)],
           ["artifacts", "list", "--run-id", run],
           ["runs", "delete", "--run-id", run],
           ["runs", "restore", "--run-id", run]]
    done = script(server, text)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    for part in ("commanded", "by-hand", "note.txt"):
        assert part in done.stdout
    assert client.get_experiment_by_name("made-by-command")
    assert mlflow.artifacts.load_text(f"runs:/{run}/note.txt") == \
        "from the command line"


# ---- many at once, and a crash ----

WORKER = """
    import os, sys, time
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    client, run, lines = MlflowClient(), sys.argv[1], []
    i = 0
    with open(sys.argv[2], "w") as told:
        while not os.path.exists(sys.argv[3]): # until it is told to stop
            if i % 3:
                client.log_metric(run, "m", float(i), 1000 + i, i)
            else:
                client.log_batch(run, metrics=[
                    Metric("m", float(i), 1000 + i, i)])
            told.write(f"{i}\\n") # acknowledged: must never be lost
            told.flush()
            i += 1
"""


def test_processes_and_threads_log_at_once(server, experiment, client,
                                           tmp_path):
    runs = [client.create_run(experiment.experiment_id).info.run_id
            for _ in range(3)]
    workers = start_workers(server, runs, tmp_path)

    def thread(run):
        mine = MlflowClient()
        for i in range(40):
            mine.log_metric(run, f"t{threading.get_ident()}", i, 1000 + i, i)
    threads = [threading.Thread(target=thread, args=(r,)) for r in runs * 2]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    wait_for(lambda: all_have(tmp_path, [4] * 3), "every process to log")
    finish(workers, tmp_path)
    for i, run in enumerate(runs):
        told = told_by(tmp_path / f"{i}.txt")
        points = client.get_metric_history(run, "m")
        assert [p.step for p in points] == told and len(told) > 3
        names = [k for k in client.get_run(run).data.metrics
                 if k.startswith("t")]
        assert len(names) == 2
        for k in names:
            assert len(client.get_metric_history(run, k)) == 40


def start_workers(server, runs, folder):
    code = textwrap.dedent(WORKER)
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith("MLFLOW_")}
    return [subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, run,
         str(folder / f"{i}.txt"), str(folder / "stop")],
        env={**clean, "MLFLOW_TRACKING_URI": server.url,
             "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true",
             "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1"},
        stderr=subprocess.PIPE, text=True) for i, run in enumerate(runs)]


def all_have(folder, counts):
    """Each worker has had more than so many acknowledged."""
    files = [folder / f"{i}.txt" for i in range(len(counts))]
    return all(f.exists() and len(told_by(f)) > n
               for f, n in zip(files, counts))


def finish(workers, folder):
    (folder / "stop").touch()
    for w in workers:
        _, said = w.communicate(timeout=170)
        assert w.returncode == 0, said[-2000:]


def told_by(path):
    return [int(line) for line in path.read_text().split()]


def test_a_server_killed_while_eight_clients_log_loses_nothing(tmp_path):
    server = Server(tmp_path).start()
    server.listen = server.url.removeprefix("http://")
    try:
        client = MlflowClient(server.url)
        e = client.create_experiment("killed")
        runs = [client.create_run(e).info.run_id for _ in range(8)]
        workers = start_workers(server, runs, tmp_path)
        wait_for(lambda: all_have(tmp_path, [5] * 8), "every client to log")
        server.kill()
        before = [len(told_by(tmp_path / f"{i}.txt")) for i in range(8)]
        server.start()
        # they go on by their own retries
        wait_for(lambda: all_have(tmp_path, [n + 5 for n in before]),
                 "every client to go on")
        finish(workers, tmp_path)
        client = MlflowClient(server.url)
        for i, run in enumerate(runs):
            told = told_by(tmp_path / f"{i}.txt")
            points = client.get_metric_history(run, "m")
            assert [p.step for p in points] == told
            assert [p.value for p in points] == [float(s) for s in told]
    finally:
        server.stop()


def wait_for(check, what, seconds=90):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)
