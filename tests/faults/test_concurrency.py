"""Everything at the same time: predictions while other threads switch the
champion, add data, look features up, log runs and read the records.  Each
answer is one version's answer, none is lost, and the server ends in order.
tools/tsan.sh runs this against a server built with ThreadSanitizer."""
import concurrent.futures
import threading

import pytest

from conftest import SHOPS, Shops, shops_csv

MODEL = "next-amount"
CLIENTS, REQUESTS = 4, 60


@pytest.fixture
def busy(tmp_path):
    with Shops(tmp_path) as s:
        s.train(2)
        s.done(s.post("/api/v1/features/materialize"))
        yield s


def predict(s, by_version):
    """(version, key) of every answer, each checked against that version's."""
    served = []
    for i in range(REQUESTS):
        key = SHOPS[i % len(SHOPS)]
        values, answer = s.infer(MODEL, "shop", key)
        version = answer["model_version"]
        assert answer["parameters"]["served_by"] == "champion", answer
        assert values[0] == by_version[version][key], answer
        served.append((version, key))
    return served


def switch(s, i):
    s.deploy(1 + i % 2, f"turn {i}")


def add_data(s, i):
    s.post("/api/v1/sources/other", {"entity": "shop", "event_time": "day"},
           "PUT")
    s.added("other", shops_csv(days=20 + i))


def look_up(s, i):
    s.post("/get-online-features", {"features": ["recent"],
                                    "entities": {"shop": list(SHOPS)}})
    s.done(s.post("/api/v1/features/materialize"))


def log_runs(s, i):
    run = s.post("/api/2.0/mlflow/runs/create", {"experiment_id": "0"})
    run_id = run["run"]["info"]["run_id"]
    for step in range(10):
        s.post("/api/2.0/mlflow/runs/log-metric", {
            "run_id": run_id, "key": "loss", "value": 1 / (1 + step),
            "timestamp": 1000 + step, "step": step})
    row = s.get(f"/api/2.0/mlflow/metrics/get-history?run_id={run_id}"
                "&metric_key=loss")
    assert len(row["metrics"]) == 10


def read(s, i):
    for path in ("/health", "/metrics", "/api/v1/jobs?limit=50",
                 f"/api/v1/deployments/{MODEL}",
                 f"/api/v1/deployments/{MODEL}/predictions?limit=20",
                 f"/v2/models/{MODEL}", "/api/v1/datasets/sales"):
        assert s.call("GET", path).status == 200, path


def repeat(s, do, ended):
    """Until the clients have ended, and at least three times."""
    i = 0
    while i < 3 or not ended.is_set():
        do(s, i)
        i += 1
    return i


def test_everything_at_the_same_time_stays_in_order(busy):
    by_version = {}
    for version in (2, 1):
        busy.deploy(version)
        by_version[str(version)] = {
            key: busy.infer(MODEL, "shop", key)[0][0] for key in SHOPS}
    assert by_version["1"] != by_version["2"]
    ended = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        others = [pool.submit(repeat, busy, do, ended)
                  for do in (switch, add_data, look_up, log_runs, read, read)]
        clients = [pool.submit(predict, busy, by_version)
                   for _ in range(CLIENTS)]
        try:
            served = [one for c in clients for one in c.result(120)]
        finally:
            ended.set()
        assert all(o.result(120) >= 3 for o in others)
    assert len(served) == CLIENTS * REQUESTS
    # Every prediction is on record, the six before included.
    rows = busy.get(f"/api/v1/deployments/{MODEL}/predictions"
                    "?limit=1000")["predictions"]
    assert len(rows) == len(served) + 2 * len(SHOPS)
