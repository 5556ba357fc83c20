"""`slipway import mlflow` and `slipway export`: a real MLflow database and its
artifacts, made by the real client, read back through Slipway with the real
client and compared field by field; killed and resumed; exported and compared
with the source again."""
import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
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
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric, Param, RunTag, ViewType  # noqa: E402

from conftest import BIN, Server, eventually  # noqa: E402

LONG = 30_000  # points of the run that needs several batches


def old_client(old):
    return MlflowClient(tracking_uri=old["uri"], registry_uri=old["uri"])


def fill_metrics(client, run_id):
    """NaN, infinities, what was sent twice, steps out of order."""
    points = [Metric("loss", 1 / (i + 1), 1_700_000_000_000 + i, i)
              for i in range(400)]
    points += [Metric("odd", math.nan, 1_700_000_000_000, 0),
               Metric("odd", math.inf, 1_700_000_000_001, 1),
               Metric("odd", -math.inf, 1_700_000_000_002, 2),
               Metric("late", 5.0, 1_700_000_000_009, 7),
               Metric("late", 4.0, 1_700_000_000_010, 3),
               Metric("ends/nan", 1.0, 1_700_000_000_000, 0),
               Metric("ends/nan", math.nan, 1_700_000_000_001, 1)]
    client.log_batch(run_id, points)
    client.log_batch(run_id, points[:10])  # again: no new points


def add_long_run(path, experiment_id, run_id):
    """As a year of logging would: points straight into the table."""
    db = sqlite3.connect(path)
    db.execute("INSERT INTO runs(run_uuid, name, source_type, user_id, status,"
               " start_time, end_time, lifecycle_stage, artifact_uri,"
               " experiment_id) VALUES(?, 'long', 'LOCAL', 'eve', 'FINISHED',"
               " 1700000000000, 1700000100000, 'active',"
               " 'mlflow-artifacts:/' || ? || '/' || ? || '/artifacts', ?)",
               (run_id, experiment_id, run_id, experiment_id))
    db.executemany(
        "INSERT INTO metrics(key, value, timestamp, step, is_nan, run_uuid)"
        " VALUES(?, ?, ?, ?, 0, ?)",
        ((f"m{i % 3}", i / 7, 1_700_000_000_000 + i, i, run_id)
         for i in range(LONG)))
    for k in range(3):
        last = LONG - 3 + k
        db.execute("INSERT INTO latest_metrics(key, value, timestamp, step,"
                   " is_nan, run_uuid) VALUES(?, ?, ?, ?, 0, ?)",
                   (f"m{last % 3}", last / 7, 1_700_000_000_000 + last, last,
                    run_id))
    db.commit()
    db.close()


def fill_registry(client, model_uri, run_id):
    client.create_registered_model("price", tags={"team": "a"},
                                   description="prices of things")
    for i in range(4):
        client.create_model_version(
            "price", model_uri, run_id=run_id, tags={"n": str(i)},
            description=f"number {i + 1}" if i else None)
    client.transition_model_version_stage("price", "1", "Archived")
    client.transition_model_version_stage("price", "2", "Production")
    client.transition_model_version_stage("price", "3", "Staging")
    client.set_registered_model_alias("price", "champion", "2")
    client.set_registered_model_alias("price", "challenger", "3")
    client.delete_model_version("price", "4")  # its number is used up
    client.create_registered_model("empty")


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A database with everything, its artifacts beside it as a file store."""
    folder = tmp_path_factory.mktemp("old")
    path = folder / "mlflow.db"
    uri = f"sqlite:///{path}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = MlflowClient()
    made = {"uri": uri, "path": path, "artifacts": folder / "mlruns"}
    root = (folder / "mlruns").as_uri()
    first = client.create_experiment("first", f"{root}/1",
                                     tags={"owner": "ann", "ü": "ö"})
    gone = client.create_experiment("gone", f"{root}/2")
    away = client.create_experiment("away", "s3://bucket/away")
    made.update(first=first, gone=gone, away=away)

    mlflow.set_experiment("first")
    from sklearn.linear_model import LinearRegression
    rng = np.random.default_rng(3)
    x = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    y = 2 * x["a"] - x["b"]
    mlflow.sklearn.autolog(log_datasets=True)
    with mlflow.start_run(run_name="parent") as parent:
        made["parent"] = parent.info.run_id
        LinearRegression().fit(x, y)
        mlflow.log_input(mlflow.data.from_pandas(x, name="täble"), "training",
                         tags={"kind": "x"})
        mlflow.log_text("hällo", "notes/ä b.txt")
        mlflow.log_text("", "notes/empty.txt")
        with mlflow.start_run(run_name="child", nested=True) as child:
            made["child"] = child.info.run_id
            fill_metrics(client, child.info.run_id)
            mlflow.log_param("long", "x" * 6000)
            mlflow.log_param("empty", "")
            mlflow.set_tag("text", "line\nline \u2028 \U0001F600")
    mlflow.sklearn.autolog(disable=True)
    with mlflow.start_run(run_name="models") as run:
        model = LinearRegression().fit(x, y)
        info = mlflow.sklearn.log_model(model, name="lin", params={"p": "1"},
                                        tags={"t": "2"}, input_example=x[:2])
        mlflow.log_metric("mae", 0.25, step=3, model_id=info.model_id)
        mlflow.log_metric("bad", math.nan, model_id=info.model_id)
        made.update(run=run.info.run_id, model=info.model_id)
        with mlflow.start_run(run_name="uses", nested=True) as uses:
            mlflow.log_input(mlflow.data.from_pandas(x, name="other"),
                             "eval", model=mlflow.entities.LoggedModelInput(
                                 model_id=info.model_id))
            made["uses"] = uses.info.run_id
    fill_registry(client, info.model_uri, run.info.run_id)
    # One as older clients registered: by the path of the run's artifacts.
    client.create_registered_model("by-path")
    client.create_model_version(
        "by-path", f"{run.info.artifact_uri}/model", run_id=run.info.run_id)

    dead = client.create_run(first, run_name="dead")
    client.log_param(dead.info.run_id, "a", "b")
    client.log_text(dead.info.run_id, "still here", "bytes.txt")
    client.delete_run(dead.info.run_id)
    failed = client.create_run(first, run_name="failed", start_time=5)
    client.set_terminated(failed.info.run_id, "FAILED", 9)
    client.create_run(gone, run_name="in the deleted one")
    client.delete_experiment(gone)
    client.create_run(away, run_name="bytes in s3")
    client.create_run("0", run_name="in Default")
    add_long_run(path, int(first), "f" * 31 + "1")
    made["long"] = "f" * 31 + "1"
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)
    return made


def slipway(*args, check=True, **kw):
    done = subprocess.run([BIN, *map(str, args)], capture_output=True,
                          text=True, timeout=300, **kw)
    if check:
        assert done.returncode == 0, (args, done.stdout, done.stderr)
    return done


def bring(old, data, *more, check=True):
    done = slipway("import", "mlflow", "--backend-store-uri", old["uri"],
                   "--artifacts", old["artifacts"], "--data", data, "--json",
                   *more, check=False)
    if check:
        assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout) if check else done


@pytest.fixture(scope="module")
def new(old, tmp_path_factory):
    """A server on what was imported beside nothing."""
    folder = tmp_path_factory.mktemp("new")
    report = bring(old, folder / "data")
    with Server(folder) as s:
        s.report = report
        yield s


# ---- comparing ----

def number(v):
    """NaN equals itself; MLflow's database knows no infinities."""
    return "nan" if math.isnan(v) else v


def history(client, run_id, key):
    # Two stores give ties in different orders.
    return sorted((m.timestamp, m.step, str(number(m.value)))
                  for m in client.get_metric_history(run_id, key))


def inputs_of(run):
    return sorted(
        (i.dataset.name, i.dataset.digest, i.dataset.source_type,
         i.dataset.source, i.dataset.schema or "", i.dataset.profile or "",
         sorted((t.key, t.value) for t in i.tags))
        for i in run.inputs.dataset_inputs)


def run_fields(run):
    i = run.info
    return {
        "id": i.run_id, "name": i.run_name, "status": i.status,
        "user": i.user_id, "start": i.start_time, "end": i.end_time or None,
        "stage": i.lifecycle_stage, "params": run.data.params,
        "tags": run.data.tags,
        "metrics": {k: number(v) for k, v in run.data.metrics.items()},
        "inputs": inputs_of(run),
        "models_in": sorted(m.model_id for m in run.inputs.model_inputs),
        "models_out": sorted((m.model_id, m.step)
                             for m in run.outputs.model_outputs)}


def all_runs(client):
    ids = [e.experiment_id
           for e in client.search_experiments(ViewType.ALL)]
    found, token = [], None
    while True:
        page = client.search_runs(ids, run_view_type=ViewType.ALL,
                                  max_results=500, page_token=token)
        found += page
        token = page.token
        if not token:
            return {r.info.run_id: client.get_run(r.info.run_id)
                    for r in found}


def model_fields(m):
    return {"id": m.model_id, "name": m.name, "type": m.model_type or "",
            "run": m.source_run_id or "", "status": str(m.status),
            "created": m.creation_timestamp,
            "updated": m.last_updated_timestamp, "tags": m.tags,
            "params": m.params,
            "metrics": sorted((x.key, str(number(x.value)), x.timestamp, x.step,
                               x.run_id, x.dataset_name or "")
                              for x in m.metrics or [])}


def version_fields(v):
    return {"version": int(v.version), "created": v.creation_timestamp,
            "updated": v.last_updated_timestamp,
            "description": v.description or "", "stage": v.current_stage,
            "run": v.run_id, "status": v.status, "tags": v.tags,
            "aliases": sorted(v.aliases)}


def registered_fields(client, m):
    return {"description": m.description or "", "tags": m.tags,
            "created": m.creation_timestamp, "updated": m.last_updated_timestamp,
            "aliases": {k: int(v) for k, v in m.aliases.items()},
            "versions": sorted(
                (version_fields(client.get_model_version(m.name, v.version))
                 for v in client.search_model_versions(f"name='{m.name}'")),
                key=lambda v: v["version"])}


def everything(client, experiments):
    """All that a client can see, but for where artifacts lie."""
    runs = all_runs(client)
    return {
        "experiments": {
            e.name: (e.lifecycle_stage, e.tags, e.creation_time,
                     e.last_update_time)
            for e in client.search_experiments(ViewType.ALL)
            if e.name != "Default"},
        "runs": {i: run_fields(r) for i, r in runs.items()},
        "history": {(i, k): history(client, i, k)
                    for i, r in runs.items() for k in r.data.metrics},
        "logged": {m.model_id: model_fields(client.get_logged_model(m.model_id))
                   for m in client.search_logged_models(experiments)},
        "registered": {m.name: registered_fields(client, m)
                       for m in client.search_registered_models()}}


def files_of(client, run_id):
    found, todo = {}, [None]
    while todo:
        for f in client.list_artifacts(run_id, todo.pop()):
            if f.is_dir:
                todo.append(f.path)
            else:
                found[f.path] = f.file_size
    return found


# ---- the tests ----

def test_a_client_sees_what_it_saw_there(old, new):
    here = MlflowClient(tracking_uri=new.url, registry_uri=new.url)
    there = old_client(old)
    want = everything(there, [old["first"]])
    have = everything(here, [old["first"]])
    assert set(want["runs"]) == set(have["runs"])
    for run_id, fields in want["runs"].items():
        assert have["runs"][run_id] == fields
    assert have["history"] == want["history"]
    assert have["experiments"] == want["experiments"]
    assert have["logged"] == want["logged"]
    assert set(have["registered"]) == set(want["registered"])
    for name, fields in want["registered"].items():
        for key, value in fields.items():
            assert have["registered"][name][key] == value, (name, key)
    assert here.get_run(old["long"]).info.run_name == "long"
    for name in ("first", "gone", "away"):
        assert here.get_experiment(old[name]).name == name


def test_the_report_counts_all_and_leaves_nothing_out(old, new):
    report = new.report
    db = sqlite3.connect(old["path"])
    for kind, table in (("runs", "runs"), ("params", "params"),
                        ("metric_points", "metrics"), ("tags", "tags"),
                        ("experiments", "experiments"),
                        ("aliases", "registered_model_aliases"),
                        ("logged_models", "logged_models")):
        there = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        row = report["kinds"][kind]
        assert row["there"] == there and row["left_out"] == 0, kind
        assert row["brought"] + row["already"] == there, kind
    db.close()
    assert report["complete"] and report["left_out"] == []
    assert report["kinds"]["experiments"]["already"] == 1  # Default
    assert [e for e in report["elsewhere"] if "s3://bucket/away" in e]
    assert report["mapped_count"] == 0


def test_artifacts_came_along_and_load(old, new, tmp_path):
    here = MlflowClient(tracking_uri=new.url, registry_uri=new.url)
    there = old_client(old)
    for run_id in all_runs(there):
        uri = here.get_run(run_id).info.artifact_uri
        if "s3:" in uri:
            continue
        assert uri.startswith("mlflow-artifacts:/"), uri
        if there.get_run(run_id).info.artifact_uri.startswith("file:"):
            assert files_of(here, run_id) == files_of(there, run_id)
    path = here.download_artifacts(old["parent"], "notes/ä b.txt",
                                   str(tmp_path))
    assert open(path, encoding="utf-8").read() == "hällo"
    mlflow.set_tracking_uri(new.url)
    mlflow.set_registry_uri(new.url)
    try:
        for uri in ("models:/price@champion", "models:/price/3",
                    "models:/price/Production", f"models:/{old['model']}"):
            model = mlflow.pyfunc.load_model(uri)
            got = model.predict(pd.DataFrame({"a": [1.0], "b": [1.0],
                                              "c": [0.0]}))
            assert abs(got[0] - 1.0) < 1e-9, uri
    finally:
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
    source = here.get_model_version("by-path", "1").source
    assert source == f"mlflow-artifacts:/{old['first']}/{old['run']}" \
                     "/artifacts/model"
    assert int(here.create_model_version("price", source, old["run"])
               .version) == 5


def test_a_second_import_does_nothing(old, tmp_path):
    data = tmp_path / "data"
    bring(old, data)
    before = dump(data)
    again = bring(old, data)
    assert all(k["brought"] == 0 for k in again["kinds"].values()), again
    assert dump(data) == before
    slipway("verify", "--data", data)


def dump(data, rooms=("track_", "registry_", "migrate_")):
    """Every row of every table; ids of blobs included."""
    db = sqlite3.connect(f"file:{data}/slipway.db?mode=ro", uri=True)
    tables = [t for (t,) in db.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        if t.startswith(rooms)]
    rows = {t: sorted(map(repr, db.execute(f'SELECT * FROM "{t}"')))
            for t in tables}
    # How points are cut into rows is not what they are.
    del rows["track_point"], rows["track_series"]
    rows["points"] = sorted(
        (run, blob[i:i + 28])
        for run, blob in db.execute("SELECT id >> 24, points FROM track_point"
                                    " UNION ALL"
                                    " SELECT run, points FROM track_series")
        for i in range(0, len(blob), 28))
    db.close()
    # Of an alias's move and a deletion only the time differs between two
    # imports.
    for table in ("registry_alias_history", "track_run_deletion"):
        rows[table] = len(rows[table])
    return rows


def test_killed_again_and_again_it_ends_the_same(old, tmp_path):
    whole = tmp_path / "whole"
    began = time.monotonic()
    bring(old, whole)
    took = time.monotonic() - began
    data = tmp_path / "data"
    args = [BIN, "import", "mlflow", "--backend-store-uri", old["uri"],
            "--artifacts", str(old["artifacts"]), "--data", str(data)]
    killed = 0
    for attempt in range(60):
        process = subprocess.Popen(args, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            process.wait(took * (0.1 + 0.05 * attempt))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
            continue
        assert process.returncode == 0
        break
    assert killed > 0
    assert dump(data) == dump(whole)


def test_the_server_killed_while_it_imports_goes_on(old, tmp_path):
    whole = tmp_path / "whole"
    bring(old, whole)
    s = Server(tmp_path).start()
    job = s.post("/api/v1/imports", {"backend_store_uri": str(old["path"]),
                                     "artifacts": str(old["artifacts"])})["job"]
    eventually(lambda: s.get(f"/api/v1/jobs/{job}")["state"] == "running")
    s.kill()
    with s:
        row = s.job(job)
        assert row["state"] == "succeeded", row
        assert row["result"]["complete"]
    assert dump(s.data) == dump(whole)


def test_clients_log_while_it_imports(old, tmp_path):
    with Server(tmp_path) as s:
        here = MlflowClient(tracking_uri=s.url)
        run = here.create_run("0").info.run_id
        done = threading.Event()
        worst, logged = [0.0], [0]

        def log():
            while not done.is_set():
                begin = time.monotonic()
                here.log_metric(run, "m", logged[0], step=logged[0])
                worst[0] = max(worst[0], time.monotonic() - begin)
                logged[0] += 1

        thread = threading.Thread(target=log)
        thread.start()
        bring(old, s.data)
        done.set()
        thread.join()
        assert len(here.get_metric_history(run, "m")) == logged[0] > 10
        assert worst[0] < 10, worst  # sanitized, and the disk is shared
        assert here.get_run(old["child"]).data.metrics["late"] == 5.0


def test_a_long_run_goes_on_in_its_middle(old, tmp_path):
    """A kill between two batches of one run's points, made by hand."""
    data = tmp_path / "data"
    bring(old, data)
    want = dump(data)
    db = sqlite3.connect(data / "slipway.db")
    number = db.execute("SELECT number FROM track_run WHERE id = ?",
                        (old["long"],)).fetchone()[0]
    # The first batch is the first row of each of the three metrics.
    batch, = db.execute("SELECT sum(count) FROM track_series WHERE run = ?"
                        " AND seq = 0", (number,)).fetchone()
    assert 0 < batch < LONG
    source = sqlite3.connect(old["path"])
    at = source.execute("SELECT rowid FROM metrics WHERE run_uuid = ?"
                        " ORDER BY rowid LIMIT 1 OFFSET ?",
                        (old["long"], batch - 1)).fetchone()[0]
    source.close()
    db.execute("DELETE FROM track_point WHERE id >= ? AND id < ?",
               (number << 24, number + 1 << 24))
    db.execute("DELETE FROM track_series WHERE run = ? AND seq > 0", (number,))
    db.execute("INSERT INTO migrate_run VALUES(?, ?)", (old["long"], at))
    db.commit()
    db.close()
    again = bring(old, data)
    assert again["kinds"]["metric_points"]["brought"] == LONG - batch
    assert dump(data) == want


def test_a_run_that_goes_on_there_is_followed(old, tmp_path):
    path = tmp_path / "going.db"
    shutil.copy(old["path"], path)
    going = {**old, "uri": f"sqlite:///{path}"}
    there = old_client(going)
    run = there.create_run(old["first"], run_name="going").info.run_id
    there.log_metric(run, "m", 1.0, step=0)
    bring(going, tmp_path / "data")
    assert bring(going, tmp_path / "data")["kinds"]["metric_points"][
        "brought"] == 0
    there.log_metric(run, "m", 2.0, step=1)
    there.log_metric(run, "n", 3.0)
    there.log_param(run, "late", "yes")
    there.set_terminated(run, "KILLED")
    report = bring(going, tmp_path / "data")
    assert report["kinds"]["metric_points"]["brought"] == 2
    assert bring(going, tmp_path / "data")["kinds"]["metric_points"][
        "brought"] == 0
    with Server(tmp_path) as s:
        here = MlflowClient(tracking_uri=s.url)
        assert run_fields(here.get_run(run)) == run_fields(there.get_run(run))
        assert history(here, run, "m") == history(there, run, "m")
    db = sqlite3.connect(tmp_path / "data" / "slipway.db")
    assert (run,) not in db.execute("SELECT run_id FROM migrate_run")\
        .fetchall()
    db.close()


def test_a_dry_run_changes_nothing(old, tmp_path):
    data = tmp_path / "data"
    nowhere = bring(old, data, "--dry-run", check=False)
    assert nowhere.returncode == 1 and not data.exists()
    slipway("import", "mlflow", "--backend-store-uri",
            empty_database(tmp_path / "none.db"), "--data", data)
    before = dump(data)
    report = bring(old, data, "--dry-run")
    assert report["dry_run"] and dump(data) == before
    real = bring(old, data)
    assert report["kinds"] == real["kinds"]
    assert report["artifact_bytes"] == real["artifact_bytes"]


def empty_database(path):
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return f"sqlite:///{path}"


def test_beside_a_running_server_and_by_it(old, tmp_path):
    with Server(tmp_path) as s:
        here = MlflowClient(tracking_uri=s.url, registry_uri=s.url)
        # Taken numbers and names: the old ones must give way or merge.
        mine = here.create_experiment("mine")
        assert mine == old["first"]
        theirs = here.create_experiment("away")
        model = here.create_registered_model("price")
        run = here.create_run(mine)
        here.log_metric(run.info.run_id, "m", 1)
        here.create_model_version("price", run.info.artifact_uri + "/model",
                                  run.info.run_id)
        assert model.name == "price"
        report = json.loads(s.cli(
            "import", "mlflow", "--backend-store-uri", old["uri"],
            "--artifacts", old["artifacts"], "--json", check=False).stdout)
        assert {(m["experiment"], m["from"]) for m in report["mapped"]} >= \
            {("first", int(old["first"])), ("away", int(old["away"]))}
        first = here.get_experiment_by_name("first")
        assert first.experiment_id not in (mine, theirs)
        got = here.get_run(old["parent"])
        assert got.info.experiment_id == first.experiment_id
        assert got.info.artifact_uri.startswith(
            f"mlflow-artifacts:/{first.experiment_id}/")
        assert "notes/ä b.txt" in files_of(here, old["parent"])
        left = [x["what"] for x in report["left_out"]]
        assert left == ["version 1 of model 'price'"] and not \
            report["complete"]
        assert here.get_model_version("price", "1").run_id == run.info.run_id
        assert here.get_model_version_by_alias("price", "champion").version \
            in (2, "2")
        # With --data: this process, beside the server; and under a prefix.
        again = bring(old, s.data, "--prefix", "old-")
        assert again["kinds"]["model_versions"]["brought"] == 4
        assert again["kinds"]["runs"]["brought"] == 0
        assert here.get_model_version("old-price", "1").current_stage == \
            "Archived"
        away = s.cli("import", "mlflow", "--backend-store-uri",
                     "sqlite:////no/such/file.db", check=False)
        assert away.returncode == 1 and "server's machine" in away.stderr


def test_artifacts_can_come_later(old, tmp_path):
    data = tmp_path / "data"
    done = slipway("import", "mlflow", "--backend-store-uri", old["uri"],
                   "--data", data)
    assert "none were asked for" in done.stdout
    db = sqlite3.connect(data / "slipway.db")
    uri = "SELECT artifact_uri FROM track_run WHERE id = ?"
    assert db.execute(uri, (old["parent"],)).fetchone()[0].startswith("file:")
    db.close()
    report = bring(old, data)
    assert report["kinds"]["artifact_files"]["brought"] > 0
    db = sqlite3.connect(data / "slipway.db")
    assert db.execute(uri, (old["parent"],)).fetchone()[0] == \
        f"mlflow-artifacts:/{old['first']}/{old['parent']}/artifacts"
    db.close()


def test_files_outside_the_folder_are_not_read(old, tmp_path):
    """A database names paths; it must not name /etc."""
    path = tmp_path / "evil.db"
    shutil.copy(old["path"], path)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    folder = tmp_path / "mlruns"
    inside = folder / "1" / old["child"] / "artifacts"
    inside.mkdir(parents=True)
    (inside / "link").symlink_to(secret / "key")
    (inside / "fine").write_text("fine")
    db = sqlite3.connect(path)
    db.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?",
               (str(secret), old["parent"]))
    db.commit()
    db.close()
    data = tmp_path / "data"
    done = slipway("import", "mlflow", "--backend-store-uri",
                   f"sqlite:///{path}", "--artifacts", folder, "--data", data,
                   "--json", check=False)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    why = {x["why"] for x in report["left_out"]}
    assert "it is a symbolic link" in why
    assert "they do not lie below the folder given as --artifacts" in why
    db = sqlite3.connect(data / "slipway.db")
    paths = [p for (p,) in db.execute("SELECT path FROM track_artifact")]
    db.close()
    assert paths == [f"1/{old['child']}/artifacts/fine"]


@pytest.mark.parametrize("make, part", [
    (lambda p: None, "mlflow.db"),
    (lambda p: p.write_bytes(b"no database at all" * 200),
     "is not an SQLite database"),
    (lambda p: p.write_bytes(b""), "no table 'runs'"),
    (lambda p: p.mkdir(), "mlflow migrate-filestore"),
    (lambda p: sqlite3.connect(p).executescript(
        "CREATE TABLE t(a); INSERT INTO t VALUES(1);").close(),
     "no table 'runs'"),
    (lambda p: sqlite3.connect(p).executescript(
        "CREATE TABLE runs(run_uuid); CREATE TABLE alembic_version"
        "(version_num); INSERT INTO alembic_version VALUES('451aebb31d03');"
    ).close(), "schema revision 451aebb31d03"),
])
def test_what_is_no_database_of_mlflows_gets_one_sentence(make, part,
                                                         tmp_path):
    path = tmp_path / "mlflow.db"
    make(path)
    done = slipway("import", "mlflow", "--backend-store-uri",
                   f"sqlite:///{path}", "--data", tmp_path / "data",
                   check=False)
    assert done.returncode == 1 and part in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_torn_database_gets_one_sentence(old, tmp_path):
    path = tmp_path / "torn.db"
    whole = old["path"].read_bytes()
    for size in (100, 4096, len(whole) // 3, len(whole) - 5000):
        path.write_bytes(whole[:size])
        done = slipway("import", "mlflow", "--backend-store-uri",
                       f"sqlite:///{path}", "--data", tmp_path / "data",
                       check=False)
        assert done.returncode == 1, size
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "torn.db" in done.stderr


def test_other_databases_are_told_the_way(tmp_path):
    for uri in ("postgresql://u:p@h/db", "mysql+pymysql://u:p@h/db"):
        done = slipway("import", "mlflow", "--backend-store-uri", uri,
                       "--data", tmp_path / "data", check=False)
        assert done.returncode == 1 and "only SQLite is read" in done.stderr
        assert "u:p" not in done.stderr


def test_a_database_of_mlflow_2_has_fewer_tables(old, tmp_path):
    path = tmp_path / "two.db"
    shutil.copy(old["path"], path)
    db = sqlite3.connect(path)
    for table in ("logged_model_metrics", "logged_model_params",
                  "logged_model_tags", "logged_models", "input_tags", "inputs",
                  "datasets", "registered_model_aliases"):
        db.execute(f"DROP TABLE {table}")
    db.execute("ALTER TABLE experiments DROP COLUMN last_update_time")
    db.execute("ALTER TABLE \"model_versions\" DROP COLUMN storage_location")
    db.commit()
    db.close()
    report = bring({**old, "uri": f"sqlite:///{path}"}, tmp_path / "data")
    assert report["complete"]
    assert report["kinds"]["logged_models"]["there"] == 0
    assert report["kinds"]["runs"]["brought"] == len(all_runs(
        old_client(old)))


def test_what_cannot_come_is_said_and_counted(old, tmp_path):
    path = tmp_path / "strange.db"
    shutil.copy(old["path"], path)
    db = sqlite3.connect(path)
    db.execute("UPDATE experiments SET workspace = 'w' WHERE name = 'first'")
    db.execute("UPDATE registered_models SET workspace = 'w'"
               " WHERE name = 'empty'")
    db.execute("INSERT INTO trace_info(request_id, experiment_id, timestamp_ms,"
               " status) VALUES('t', 0, 1, 'OK')")
    db.execute("INSERT INTO tags(key, value, run_uuid) SELECT 'bytes',"
               " CAST(x'61ff62' AS TEXT), run_uuid FROM runs"
               " WHERE name = 'in Default'")
    db.commit()
    params = db.execute("SELECT count(*) FROM params JOIN runs USING(run_uuid)"
                        " WHERE experiment_id <> ?", (old["first"],)).fetchone()
    db.close()
    done = slipway("import", "mlflow", "--backend-store-uri",
                   f"sqlite:///{path}", "--data", tmp_path / "data", "--json",
                   check=False)
    report = json.loads(done.stdout)
    assert done.returncode == 1 and not report["complete"]
    what = [x["what"] for x in report["left_out"]]
    assert what == ["1 traces", "experiment 'first'",
                    "model 'empty' with its versions"]
    assert report["kinds"]["params"]["brought"] == params[0]
    for kind, c in report["kinds"].items():
        assert c["brought"] + c["already"] + c["left_out"] == c["there"], kind
    assert report["kinds"]["runs"]["left_out"] > 5
    assert report["texts_not_utf8"] == 1
    text = slipway("import", "mlflow", "--backend-store-uri", path, "--data",
                   tmp_path / "data", check=False)
    assert text.returncode == 1 and "left out (3):" in text.stdout


# ---- leaving again ----

def test_an_export_holds_what_was_imported(old, new, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    out = tmp_path / "out"
    new.cli("export", "--out", out, "--artifacts")
    manifest = json.loads((out / "manifest.json").read_text())
    check_manifest(out, manifest)
    db = sqlite3.connect(old["path"])

    def there(sql):
        return sorted(map(repr, db.execute(sql)))

    def here(sql):
        return sorted(map(repr, duckdb.sql(sql).fetchall()))

    assert here(f"SELECT run_id, key, value FROM '{out}/params.parquet'") == \
        there("SELECT run_uuid, key, value FROM params")
    assert here(f"SELECT run_id, key, value FROM '{out}/tags.parquet'") == \
        there("SELECT run_uuid, key, value FROM tags")
    assert here(f"SELECT run_id, name, status, lifecycle_stage, start_ms,"
                f" end_ms FROM '{out}/runs.parquet'") == \
        there("SELECT run_uuid, name, status, lifecycle_stage, start_time,"
              " end_time FROM runs")
    points = ("SELECT {run}, key, CASE WHEN {nan} THEN NULL ELSE value END,"
              " {at}, step FROM {table}")
    for have, want in ((f"'{out}/points/*.parquet'", "metrics"),
                       (f"'{out}/latest_metrics.parquet'", "latest_metrics")):
        assert here(points.format(run="run_id", nan="isnan(value)",
                                  at="at_ms", table=have)) == \
            there(points.format(run="run_uuid", nan="is_nan", at="timestamp",
                                table=want))
    assert here(f"SELECT name, alias, version FROM '{out}/aliases.parquet'") \
        == there("SELECT name, alias, version FROM registered_model_aliases")
    db.close()
    frame = pd.read_parquet(out / "points")
    assert len(frame) == manifest["tables"]["points"] == \
        new.report["kinds"]["metric_points"]["there"]
    assert len(pd.read_parquet(out / "runs.parquet")) == \
        manifest["tables"]["runs"]
    assert (out / "artifacts" / old["first"] / old["parent"] / "artifacts" /
            "notes" / "ä b.txt").read_text() == "hällo"


def check_manifest(out, manifest):
    import hashlib
    listed = {f["path"]: f for f in manifest["files"]}
    found = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert found == set(listed) | {"manifest.json"}
    for path, f in listed.items():
        data = (out / path).read_bytes()
        assert len(data) == f["size"], path
        assert hashlib.sha256(data).hexdigest() == f["sha256"], path
    for table, count in manifest["tables"].items():
        if table != "points":
            lines = (out / f"{table}.jsonl").read_text().split("\n")
            assert len(lines) - 1 == count, table
            for line in lines[:-1]:
                json.loads(line)


def test_an_export_of_one_experiment_and_its_refusals(old, new, tmp_path):
    out = tmp_path / "one"
    summary = json.loads(new.cli("export", "--out", out, "--experiment",
                                 "gone", "--data", new.data, "--json").stdout)
    assert summary["tables"]["runs"] == 1
    assert summary["tables"]["points"] == 0
    assert "model_versions" not in summary["tables"]
    assert len(pd.read_parquet(out / "points")) == 0
    again = new.cli("export", "--out", out, "--data", new.data, check=False)
    assert again.returncode == 1 and "is not empty" in again.stderr
    none = new.cli("export", "--out", tmp_path / "x", "--experiment", "nix",
                   "--data", new.data, check=False)
    assert none.returncode == 1 and "nix" in none.stderr
    assert not (tmp_path / "x").exists()
