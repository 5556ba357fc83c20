"""kill -9 at random moments: what was acknowledged is there afterwards, and
nothing is there by half."""
import contextlib
import hashlib
import json
import os
import pathlib
import random
import signal
import threading
import time
import urllib.error

import pytest

from conftest import SHOPS_YAML, Server, Shops, eventually

CLOCK = "2023-12-01T20:00:00Z"
GONE = (OSError, urllib.error.URLError, AssertionError, ValueError)


class Client(threading.Thread):
    """Repeats `step` until the server is gone; the first step that fails
    before the kill is a failure of the test."""

    def __init__(self, server, step):
        super().__init__(daemon=True)
        self.server, self.step = server, step
        self.killed, self.error = threading.Event(), None
        self.start()

    def run(self):
        number = 0
        while not self.killed.is_set():
            try:
                self.step(number)
            except GONE as e:
                if not self.killed.wait(5):
                    self.error = e
                return
            number += 1


def kill_after(server, seconds, *steps):
    clients = [Client(server, step) for step in steps]
    end = time.monotonic() + seconds
    while time.monotonic() < end and all(c.is_alive() for c in clients):
        time.sleep(0.01)
    for c in clients:
        c.killed.set()
    server.kill()
    for c in clients:
        c.join(60)
        if c.error:
            raise c.error


def verify(server):
    assert server.get("/api/v1/events/verify")["whole"] is True
    assert "kill" not in server.tmp_files()


# ---- data and runs ----

def test_no_acknowledged_version_or_run_is_lost_and_none_is_there_by_half(
        tmp_path):
    rng = random.Random(20231201)
    server = Server(tmp_path, "--clock", CLOCK)
    versions, metrics, lines = {}, [], ["day,shop,amount"]

    def add_version(_):
        lines.append(f"2023-01-01,S{len(lines)},{len(lines)}")
        row = server.add("sales", "\n".join(lines) + "\n")
        assert row["state"] == "succeeded", row
        versions[row["result"]["version"]] = row["result"]["hash"]

    def log_run(_):
        run = server.post("/api/2.0/mlflow/runs/create",
                          {"experiment_id": "0"})["run"]["info"]["run_id"]
        value = rng.random()
        server.post("/api/2.0/mlflow/runs/log-metric", {
            "run_id": run, "key": "m", "value": value, "timestamp": 1})
        metrics.append((run, value))

    round_number = 0
    while round_number < 5 or len(versions) < 3 or len(metrics) < 20:
        assert round_number < 40, "next to nothing is done between kills"
        server.start()
        if round_number == 0:
            server.post("/api/v1/sources/sales", {
                "entity": "shop", "event_time": "day"}, "PUT")
        # Longer each time, so that a slow machine gets somewhere too.
        kill_after(server, (0.5 + 2 * rng.random()) * (1 + round_number / 5),
                   add_version, log_run, log_run)
        round_number += 1
    with server:
        server.idle()
        assert server.tmp_files() == []
        verify(server)
        there = {v["version"]: v for v in
                 server.get("/api/v1/datasets/sales")["versions"]}
        assert sorted(there) == list(range(1, len(there) + 1))
        for number, digest in versions.items():
            assert there[number]["hash"] == digest
        for number, v in there.items():
            body = server.call("GET", f"/api/v1/datasets/sales/versions/"
                               f"{number}/data.parquet").body
            assert hashlib.sha256(body).hexdigest() == v["hash"], number
        for run, value in metrics:
            got = server.get(f"/api/2.0/mlflow/runs/get?run_id={run}")
            assert got["run"]["data"]["metrics"][0]["value"] == value
        states = {j["state"] for j in
                  server.get("/api/v1/jobs?limit=1000")["jobs"]}
        assert states <= {"succeeded", "failed"}, states


# ---- training ----

def start_training(shops):
    """A training job whose child is at work: its id and the child's pid."""
    job = shops.post("/api/v1/models/next-amount/train", {"trials": 60})["job"]

    def at_work():
        row = shops.get(f"/api/v1/jobs/{job}")
        assert row["state"] in ("queued", "running"), row
        return row["progress"] > 0 and shops.children()
    return job, eventually(at_work, 60, "the child to be at work")[0]


def one_version(shops, job):
    row = shops.job(job)
    assert row["state"] == "succeeded", row
    assert row["attempt"] == 2, row
    versions = shops.get("/api/v1/models/next-amount")["versions"]
    assert [v["version"] for v in versions] == [1]
    runs = shops.post("/api/2.0/mlflow/runs/search", {
        "experiment_ids": [str(i) for i in range(9)],
        "filter": "attributes.status = 'RUNNING'"}).get("runs", [])
    assert runs == [], "runs of the attempt that died are still open"
    verify(shops)


def test_a_training_whose_server_dies_is_done_again_and_registers_once(
        tmp_path):
    shops = Shops(tmp_path).start()
    job, child = start_training(shops)
    shops.kill()
    eventually(lambda: not os.path.exists(f"/proc/{child}") or "Z" in open(
        f"/proc/{child}/stat").read().rsplit(")", 1)[1][:3], 20,
        "the child to die with its server")
    with shops:
        one_version(shops, job)


def test_a_training_whose_child_dies_is_done_again_and_registers_once(shops):
    job, child = start_training(shops)
    os.kill(child, signal.SIGKILL)
    one_version(shops, job)


def test_a_training_that_dies_each_time_fails_with_the_reason(shops):
    job = shops.post("/api/v1/models/next-amount/train", {"trials": 400})[
        "job"]
    killed = set()

    def ended():
        row = shops.get(f"/api/v1/jobs/{job}")
        if row["state"] not in ("queued", "running"):
            return row
        for child in shops.children():
            if row["state"] == "running" and child not in killed:
                killed.add(child)
                try:
                    os.kill(child, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        return None
    row = eventually(ended, 90, "the job to be given up")
    assert row["state"] == "failed" and row["attempt"] >= 2, row
    assert "signal" in row["error"]["message"] or "killed" in row["error"]["message"], row
    assert shops.get("/api/v1/models/next-amount")["versions"] == []
    assert shops.call("GET", "/health").status == 200


# ---- deployments and predictions ----

def test_after_a_kill_a_deployment_serves_what_the_store_names(tmp_path):
    rng = random.Random(7)
    shops = Shops(tmp_path).start().train(3)
    shops.done(shops.post("/api/v1/features/materialize"))
    shops.deploy(1)
    acknowledged = []
    releases = {n: shops.get(f"/api/v1/models/next-amount/versions/{n}")[
        "version"]["release"] for n in (1, 2, 3)}

    def act(_):
        if rng.random() < 0.3:
            answer = shops.call("POST", "/api/v1/deployments/next-amount/"
                                "rollback", {"why": "loop"})
            if answer.status == 409:
                return
            assert answer.status == 200
            state = answer.json
        else:
            state = shops.deploy(rng.choice((1, 2, 3)), "loop")
        acknowledged.append((state["deployment"]["revision"],
                             state["deployment"]["champion_version"]))

    for _ in range(6):
        acknowledged.clear()
        kill_after(shops, 0.05 + 0.6 * rng.random(), act)
        shops.start()
        state = shops.get("/api/v1/deployments/next-amount")
        d, history = state["deployment"], state["history"]
        champion = d["champion_version"]
        values, answer = shops.infer("next-amount", "shop", "A")
        assert answer["parameters"]["served_by"] == "champion", answer
        assert answer["model_version"] == str(champion)
        assert answer["parameters"]["release"] == releases[champion]
        alias = shops.get("/api/v1/models/next-amount/aliases/champion")
        assert alias.get("version", alias) == champion or \
            alias["version"].get("version") == champion
        moves = [h for h in history if h["action"] in ("deploy", "rollback",
                                                       "promote")]
        assert moves[0]["to"] == champion
        for newer, older in zip(moves, moves[1:]):
            assert newer["from"] == older["to"], history[:5]
        if acknowledged:
            revision, version = acknowledged[-1]
            assert d["revision"] in (revision, revision + 1)
            assert d["revision"] > revision or champion == version
    verify(shops)
    shops.stop()


def test_predictions_that_were_answered_are_in_the_log_after_a_kill(tmp_path):
    rng = random.Random(3)
    shops = Shops(tmp_path).start().train()
    shops.deploy(1)
    shops.done(shops.post("/api/v1/features/materialize"))
    answered, lock = {}, threading.Lock()

    def ask(worker):
        def step(number):
            request = f"r{worker}-{number}-{rng.random()}"
            answer = shops.post("/v2/models/next-amount/infer", {
                "id": request, "inputs": [{
                    "name": "shop", "shape": [1], "datatype": "BYTES",
                    "data": [rng.choice("ABC")]}]})
            with lock:
                answered[request] = answer["outputs"][0]["data"][0]
        return step
    for _ in range(3):
        kill_after(shops, 0.3 + 0.5 * rng.random(), ask(1), ask(2), ask(3))
        shops.start()
        assert shops.get("/api/v1/deployments/next-amount")["ready"] is True
    assert len(answered) > 50
    log = shops.get("/api/v1/deployments/next-amount/predictions?limit=10000")
    there = {}
    for p in log["predictions"]:
        assert p["id"] not in there, "twice in the log"
        there[p["id"]] = p["prediction"]
    for request, value in answered.items():
        assert there.get(request) == value, request
    verify(shops)
    shops.stop()


# ---- scripts ----

def alive_with(word):
    """Processes that have this word in their command line."""
    found = []
    for p in pathlib.Path("/proc").iterdir():
        if p.name.isdigit():
            with contextlib.suppress(OSError):
                if word in (p / "cmdline").read_bytes():
                    found.append(int(p.name))
    return found


@pytest.mark.parametrize("who", ["server", "child", "stop"])
def test_what_a_script_started_does_not_outlive_it(tmp_path, who):
    """The shell waits for a program of its own: the program dies too."""
    seconds = f"98{os.getpid()}{('server', 'child', 'stop').index(who)}"
    yaml = SHOPS_YAML.replace(
        "      xgboost:", "      script: {run: \"sleep " + seconds +
        "; true\"}\n      xgboost:")
    shops = Shops(tmp_path, yaml=yaml).start()
    shops.post("/api/v1/models/next-amount/train")
    word = f"sleep\0{seconds}".encode()
    eventually(lambda: alive_with(word), 60, "the script to be at work")
    if who == "server":
        shops.kill()
    elif who == "stop":
        shops.stop()
    else:
        os.kill(shops.children()[0], signal.SIGKILL)
        shops.kill()
    eventually(lambda: not alive_with(word), 10, "the script to be gone")
