"""A data scientist's own script competes with the built-in trainers: real
scikit-learn, logging with the unmodified mlflow client to the run that the
search made for it; and an XGBoost script whose model file is served."""
import math
import os
import random
import sys
import textwrap

import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
pytest.importorskip("mlflow")
pytest.importorskip("sklearn")

RIDGE = '''
import os
import mlflow
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error

train = pd.read_csv(os.environ["SLIPWAY_TRAIN"])
valid = pd.read_csv(os.environ["SLIPWAY_VALID"])
test = pd.read_csv(os.environ["SLIPWAY_TEST"])
assert "target" not in test.columns
columns = list(test.columns)
out = os.environ["SLIPWAY_OUT"]
given = os.environ["MLFLOW_RUN_ID"]  # the client forgets it once resumed
with mlflow.start_run() as run:
    assert run.info.run_id == given
    model = Ridge(alpha=0.1).fit(train[columns], train["target"])
    guess = model.predict(valid[columns])
    mlflow.log_param("alpha", 0.1)
    mlflow.log_metric("own_mae", mean_absolute_error(valid["target"], guess))
    pd.DataFrame({"prediction": guess}).to_csv(
        f"{out}/predictions_valid.csv", index=False)
    both = pd.concat([train, valid])
    model.fit(both[columns], both["target"])
    pd.DataFrame({"prediction": model.predict(test[columns])}).to_csv(
        f"{out}/predictions_test.csv", index=False)
'''

BOOSTED = '''
import os
import pandas as pd
import xgboost

train = pd.read_csv(os.environ["SLIPWAY_TRAIN"])
valid = pd.read_csv(os.environ["SLIPWAY_VALID"])
test = pd.read_csv(os.environ["SLIPWAY_TEST"])
columns = list(test.columns)
out = os.environ["SLIPWAY_OUT"]
model = xgboost.XGBRegressor(n_estimators=60, max_depth=3, n_jobs=1,
                             random_state=int(os.environ["SLIPWAY_SEED"]))
model.fit(train[columns], train["target"])
for name, rows in (("valid", valid), ("test", test)):
    pd.DataFrame({"prediction": model.predict(rows[columns])}).to_csv(
        f"{out}/predictions_{name}.csv", index=False)
model.get_booster().save_model(f"{out}/model.ubj")
'''

BROKEN = 'raise SystemExit("no such column: tomorrow")\n'

PROJECT = '''
project: scripts
sources:
  levels: {{entity: symbol, event_time: date}}
features:
  steps:
    entity: symbol
    ttl: 30d
    sql: |
      SELECT symbol, date, step, lag(step) OVER (PARTITION BY symbol ORDER BY
        date) AS step_before FROM levels
models:
  next-step:
    target: {{sql: lead(step) OVER w, of: levels}}
    features: [steps]
    split: {{validate: 40d, test: 40d}}
    search: {{trials: 1, seed: 7}}
    candidates:
{candidates}
    fallback: {{sql: step}}
'''


def project(**candidates):
    """The project file: each candidate a map of one line."""
    lines = [f"      {name}: {text}" for name, text in candidates.items()]
    return PROJECT.format(candidates="\n".join(lines)).encode()


def script(folder, name, source):
    (folder / f"{name}.py").write_text(textwrap.dedent(source))
    return f'{{run: "{sys.executable} {name}.py", dir: "{folder}"}}'


@pytest.fixture
def levels(server):
    """Steps that follow each other, AR(2): today's and yesterday's say more
    about tomorrow's than today's alone."""
    rng = random.Random(5)
    lines = ["symbol,date,step"]
    for symbol in ("A", "B"):
        now = before = 0.0
        for day in range(300):
            now, before = (0.5 * now - 0.6 * before + rng.gauss(0, 1), now)
            date = f"2022-{1 + day // 28:02d}-{1 + day % 28:02d}"
            lines.append(f"{symbol},{date},{now:.6f}")
    body = "\n".join(lines).encode() + b"\n"

    def apply(**candidates):
        answer = server.call("PUT", "/api/v1/project?file=slipway.yaml",
                             project(**candidates),
                             {"Content-Type": "application/yaml"})
        assert answer.status == 200, answer.text
        upload = server.call("POST", "/api/v1/uploads", body,
                             {"Content-Type": "application/octet-stream"})
        assert upload.status == 201, upload.text
        added = server.post("/api/v1/datasets/levels/versions", {
            "uploads": [{"upload": upload.json["upload"],
                         "name": "levels.csv"}]})
        job = server.job(added["job"])
        assert job["state"] == "succeeded", job
        return server

    return apply


def train(server, model="next-step"):
    started = server.post(f"/api/v1/models/{model}/train", {})
    job = server.job(started["job"], 300)
    assert job["state"] == "succeeded", job
    table = {row["candidate"]: row for row in job["result"]["table"]}
    return job["result"], table


def test_a_scikit_learn_script_competes_and_its_own_log_is_kept(levels,
                                                                tmp_path):
    server = levels(svr="{c: 1, epsilon: 0.1, gamma: 0.1}",
                    ridge=script(tmp_path, "ridge", RIDGE))
    result, table = train(server)
    ridge = table["ridge"]
    assert ridge["failed"] == 0, ridge["note"]
    assert not ridge["servable"] and "model.ubj" in ridge["note"]
    # The noise has a mean error of sqrt(2/pi) = 0.80; the rule is far off.
    assert 0.6 < ridge["test"]["mae"] < 1.0
    assert ridge["test"]["mae"] < 0.8 * table["fallback"]["test"]["mae"]
    assert result["candidate"] == "svr"

    from mlflow import MlflowClient
    run = MlflowClient(server.url).get_run(ridge["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["alpha"] == "0.1"
    assert math.isclose(run.data.metrics["own_mae"],
                        run.data.metrics["valid_mae"], rel_tol=1e-9)
    assert run.data.tags["mlflow.parentRunId"] == result["run_id"]
    assert run.data.tags["slipway.candidate"] == "ridge"


def test_a_script_with_a_model_file_is_registered_and_served(levels, tmp_path):
    server = levels(boosted=script(tmp_path, "boosted", BOOSTED))
    result, table = train(server)
    assert table["boosted"]["servable"], table["boosted"]["note"]
    assert result["candidate"] == "boosted"
    version = server.get(f"/api/v1/models/next-step/versions/"
                         f"{result['version']}")
    assert version["release"]["flavour"] == "xgboost"
    assert version["release"]["engine"]["name"] == "script"


def test_a_script_that_fails_leaves_its_last_words_and_harms_nobody(levels,
                                                                   tmp_path):
    server = levels(svr="{c: 1, epsilon: 0.1, gamma: 0.1}",
                    broken=script(tmp_path, "broken", BROKEN))
    result, table = train(server)
    assert table["broken"]["failed"] == 1
    assert "no such column: tomorrow" in table["broken"]["note"]
    assert result["candidate"] == "svr"
