"""slipway runs: lists with MLflow's filter, one run, a metric's history, runs
side by side.  The runs are logged by the real mlflow client."""
import csv
import io
import os

import mlflow
import pytest
from mlflow import MlflowClient

from conftest import Server


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """Twelve runs of one experiment and one of another."""
    with Server(tmp_path_factory.mktemp("runs")) as s:
        mlflow.set_tracking_uri(s.url)
        s.ids = {}
        mlflow.set_experiment("house")
        for i in range(12):
            with mlflow.start_run(run_name=f"run-{i}") as run:
                s.ids[i] = run.info.run_id
                mlflow.log_params({"depth": str(i % 3), "seed": "7"})
                if i % 2:
                    mlflow.log_param("eta", f"0.{i}")
                mlflow.log_metric("mae", 1 / (i + 1))
                mlflow.log_metric("loss", float("nan") if i == 5 else i)
                mlflow.set_tag("team", "a, \"b\"" if i == 3 else "x")
        with mlflow.start_run(run_name="curve") as run:
            s.ids["curve"] = run.info.run_id
            for step in range(500):
                mlflow.log_metric("acc", (step % 50) / 50, step=step,
                                  synchronous=False)
            mlflow.log_metric("odd", float("inf"))
            mlflow.log_text("hello", "notes/a.txt")
            data = mlflow.data.from_numpy(
                __import__("numpy").zeros((2, 2)), name="train")
            mlflow.log_input(data, context="training")
        mlflow.flush_async_logging()
        mlflow.set_experiment("other")
        with mlflow.start_run(run_name="run-1"):
            pass
        c = MlflowClient(s.url)
        c.create_registered_model("m")
        c.create_model_version("m", "s3://b/1", run_id=s.ids[2])
        c.set_registered_model_alias("m", "champion", 1)
        yield s


def rows(text):
    """Lines of a table, split at two blanks or more."""
    return [[c for c in line.split("  ") if c] for line in
            text.splitlines() if line]


def wide(server, *args, columns=200, **kw):
    os.environ["COLUMNS"] = str(columns)
    try:
        return server.cli(*args, **kw)
    finally:
        del os.environ["COLUMNS"]


# ---- list ----

def test_a_list_is_filtered_sorted_and_counted(one):
    said = one.cli("runs", "list", "--experiment", "house", "--filter",
                   "metrics.mae < 0.5 AND params.depth = '0'", "--order-by",
                   "metrics.mae ASC", "--columns",
                   "metrics.mae,params.depth,tags.team").stdout
    lines = said.splitlines()
    assert lines[0].split() == ["run", "name", "status", "started",
                                "metrics.mae", "params.depth", "tags.team"]
    assert [line.split()[1] for line in lines[1:4]] == ["run-9", "run-6",
                                                        "run-3"]
    assert lines[1].split()[0] == one.ids[9][:8]
    assert lines[1].split()[4] == "0.1"
    assert lines[-1] == "3 of 3 runs"


def test_the_default_columns_are_the_most_common_that_fit(one):
    asked = ("runs", "list", "house", "--filter", "params.seed = '7'")
    head = wide(one, *asked).stdout.splitlines()[0].split()
    # All have mae, loss, depth and seed; half of them eta.
    assert set(head[4:8]) == {"metrics.mae", "metrics.loss", "params.depth",
                              "params.seed"}
    assert head[8:] == ["params.eta"]
    for columns in (60, 75, 90, 120):
        said = wide(one, *asked, columns=columns).stdout
        table = said.split("\n\n")[0].splitlines()
        assert max(len(line.rstrip()) for line in table) <= columns or \
            table[0].split() == ["run", "name", "status", "started"]
    assert "more columns: --columns names them" in wide(
        one, *asked, columns=75).stdout


def test_how_many_of_how_many_is_said(one):
    said = one.cli("runs", "list", "house", "--limit", "5").stdout
    assert "5 of 13 runs" in said
    said = one.cli("runs", "list", "--limit", "5", "--filter",
                   "params.seed = '7'").stdout
    assert "5 of 12 runs" in said
    doc = one.cli_json("runs", "list", "--limit", "2")
    assert len(doc["runs"]) == 2 and doc["total"] == 14
    assert one.cli("runs", "list", "house", "--filter",
                   "params.seed = '8'").stdout == "(none)\n"


def test_csv_has_every_column_and_loses_nothing(one):
    text = one.cli("runs", "list", "house", "--csv", "--filter",
                   "params.seed = '7'", "--order-by",
                   "params.depth ASC, metrics.mae DESC").stdout
    table = list(csv.DictReader(io.StringIO(text)))
    assert len(table) == 12
    assert [r["name"] for r in table][:4] == ["run-0", "run-3", "run-6",
                                              "run-9"]
    by = {r["name"]: r for r in table}
    assert float(by["run-2"]["metrics.mae"]) == 1 / 3
    assert by["run-2"]["params.eta"] == "" and by["run-5"][
        "metrics.loss"] == "NaN"
    assert by["run-3"]["run_id"] == one.ids[3]
    text = one.cli("runs", "list", "house", "--csv", "--columns", "tags.team",
                   "--filter", "tags.team != 'x'").stdout
    assert list(csv.DictReader(io.StringIO(text)))[0]["tags.team"] == \
        'a, "b"'


@pytest.mark.parametrize("args, words", [
    (["--filter", "metrics.mae < 0.5 AND params.depth = 6"],
     "at character 23"),
    (["--filter", "metrics.mae < 0.5 OR x = 1"], "at character 19"),
    (["--filter", "metrics.mae < 'a'"], "at character 1"),
    (["--filter", "params.a = '1' AND nothing.b = 2"], "at character 20"),
    (["--filter", "attributes.nope = 'x'"], "at character 1"),
    (["--order-by", "metrics.mae DOWN"], "at character 13"),
    (["--columns", "mae"], "'mae' should be metrics.NAME"),
    (["--limit", "x"], "--limit"),
    (["--limit", "0"], "max_results"),
    (["--experiment", "nope"], "nope"),
    (["house", "--experiment", "other"], "named twice"),
])
def test_what_is_asked_wrongly_is_said_in_one_sentence_with_its_place(
        one, args, words):
    done = one.cli("runs", "list", *args, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert words in done.stderr, done.stderr


# ---- show ----

def test_a_run_is_shown_by_id_prefix_name_and_model(one):
    for ref in (one.ids[2], one.ids[2][:8], "run-2", "models:/m@champion",
                "models:/m/1", "models:/m/latest", "models:/m/None",
                "runs:/" + one.ids[2] + "/model"):
        doc = one.cli_json("runs", "show", ref)["run"]
        assert doc["id"] == one.ids[2], ref
        assert doc["params"] == {"depth": "2", "seed": "7"}
        assert doc["versions"] == [{"model": "m", "version": 1}]
    said = one.cli("runs", "show", "run-2").stdout
    assert "status      FINISHED" in said and "experiment  house" in said
    assert "\nparams\n  depth  2\n  seed   7\n" in said
    assert "mae   0.333333      step 0" in said
    assert "\ntags\n  team  x\n" in said and "mlflow.runName" not in said


def test_inputs_and_artifacts_are_shown(one):
    said = one.cli("runs", "show", "curve").stdout
    assert "inputs\nname   digest" in said and "training" in said
    assert "artifacts\npath   folder  size\nnotes  yes" in said


@pytest.mark.parametrize("ref, words", [
    ("nobody", "no run is called 'nobody'"),
    ("run-1", "2 runs are called 'run-1'"),
    ("0" * 32, "not found"),
    ("ab", "the first 4 characters"),
    ("models:/m/7", "version=7"),
    ("models:/m@nope", "nope"),
    ("models:/nobody/1", "nobody"),
    ("models:/m/Staging", "stage Staging"),
])
def test_a_run_that_is_not_there_or_not_alone_is_said(one, ref, words):
    for args in (["show", ref], ["compare", "run-2", ref],
                 ["history", ref, "mae"]):
        done = one.cli("runs", *args, check=False)
        assert done.returncode == 1 and words in done.stderr, done.stderr


# ---- history ----

def test_a_history_is_a_plot_csv_or_json(one):
    said = one.cli("runs", "history", "curve", "acc").stdout
    assert "500 points" in said and "greatest 0.98 at 49" in said
    assert sum(any(0x2800 < ord(c) < 0x2900 for c in line)
               for line in said.splitlines()) == 12
    assert said.splitlines()[-1].split() == ["0", "499"]
    table = list(csv.DictReader(io.StringIO(one.cli(
        "runs", "history", "curve", "acc", "--csv").stdout)))
    assert len(table) == 500
    assert [int(r["step"]) for r in table] == list(range(500))
    assert float(table[499]["value"]) == 0.98
    doc = one.cli_json("runs", "history", "curve", "acc", "--points", "40")
    assert doc["total"] == 500 and len(doc["points"]) <= 40
    values = [p["value"] for p in doc["points"]]
    assert min(values) == 0 and max(values) == 0.98  # no peak is lost


def test_a_plot_fits_a_narrow_terminal_and_bears_odd_values(one):
    said = wide(one, "runs", "history", "curve", "acc", columns=50).stdout
    assert max(len(line) for line in said.splitlines()[2:]) <= 50
    said = one.cli("runs", "history", "curve", "odd").stdout
    assert "none is a finite number" in said
    assert "1 points" in one.cli("runs", "history", "run-2", "mae").stdout


def test_a_history_that_is_not_there_is_said(one):
    done = one.cli("runs", "history", "curve", "nope", check=False)
    assert done.returncode == 1 and "no metric 'nope'" in done.stderr
    done = one.cli("runs", "history", "curve", "acc", "--points", "1",
                   check=False)
    assert done.returncode == 1 and "--points" in done.stderr


# ---- compare ----

def test_a_comparison_shows_what_differs_and_by_how_much(one):
    said = one.cli("runs", "compare", "run-10", one.ids[3][:10],
                   "models:/m@champion", check=False)
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0].split() == ["run", one.ids[10][:8], one.ids[3][:8],
                                one.ids[2][:8]]
    assert lines[1].split() == ["run-10", "run-3", "run-2"]
    by = {line.split()[0]: line for line in lines[2:] if line}
    assert by["params.depth"].split()[1:] == ["1", "0", "2"]
    assert by["params.eta"].split()[1:] == ["-", "0.3", "-"]
    assert "0.0909091" in by["metrics.mae"]
    assert "0.25 (+0.159, +175.0 %)" in by["metrics.mae"]
    assert "params.seed" not in by and "status" not in by
    assert "are the same (--all shows them)" in lines[-1]
    every = one.cli("runs", "compare", "run-10", "run-3", "--all").stdout
    assert "params.seed" in every and "status" in every
    assert "duration_s" in every and "tags.team" in every
    only = one.cli("runs", "compare", "run-10", "run-3", "--metric",
                   "loss").stdout.splitlines()
    assert len(only) == 3 and only[2].split()[:2] == ["metrics.loss", "10"]


def test_a_comparison_as_json_says_every_row(one):
    doc = one.cli_json("runs", "compare", "run-4", "run-5", "curve")
    assert [r["name"] for r in doc["runs"]] == ["run-4", "run-5", "curve"]
    by = {(r["kind"], r["key"]): r for r in doc["rows"]}
    assert by["param", "seed"] == {
        "kind": "param", "key": "seed", "values": ["7", "7", None],
        "differs": True}
    loss = by["metric", "loss"]
    assert loss["values"] == [4.0, "NaN", None]
    assert loss["delta"] == [None, None, None] and loss["differs"]
    mae = by["metric", "mae"]
    assert mae["delta"][1] == pytest.approx(1 / 6 - 1 / 5)
    assert mae["relative"][1] == pytest.approx(-1 / 6)
    assert by["dataset", "train"]["values"][:2] == [None, None]
    assert by["dataset", "train"]["values"][2]
    assert not any(k.startswith("mlflow.") for _, k in by)
    kinds = [r["kind"] for r in doc["rows"]]
    assert kinds == sorted(kinds, key=["attribute", "dataset", "param",
                                       "metric", "tag"].index)
    same = one.get(f"/api/v1/runs/compare?run={one.ids[5]}&run={one.ids[5]}")
    assert not any(r["differs"] for r in same["rows"])


def test_a_comparison_fits_the_terminal(one):
    said = wide(one, "runs", "compare", *(f"run-{i}" for i in range(2, 8)),
                "--all", columns=100).stdout
    assert max(len(line.rstrip()) for line in said.splitlines()) <= 100


def test_a_comparison_of_too_few_too_many_or_nothing_is_refused(one):
    assert one.cli("runs", "compare", "run-2", check=False).returncode == 2
    many = one.call("GET", "/api/v1/runs/compare?" + "&".join(
        ["run=" + one.ids[2]] * 51))
    assert many.status == 400 and "at most 50" in many.json["error"]
    assert one.call("GET", "/api/v1/runs/compare").status == 400
    assert one.call("GET", "/api/v1/runs/show").status == 400
    done = one.cli("runs", "compare", "run-2", "run-3", "--metric", "nope",
                   check=False)
    assert done.returncode == 1 and "logged 'nope'" in done.stderr
