"""Fixtures of the black-box tests: a real server on a free port.

SLIPWAY_BIN is the binary under test (the sanitized one in `make test`).  Every
server runs in a temporary folder, is ended by SIGTERM and must exit with 0.
Nothing sleeps to wait: `eventually` polls with a limit.
"""
import datetime
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = os.environ.get("SLIPWAY_BIN", str(ROOT / "build" / "slipway"))
if ROOT not in pathlib.Path(BIN).resolve().parents:
    # Built elsewhere: the engines' libraries are not beside it.
    os.environ.setdefault("SLIPWAY_LIBS", str(ROOT / ".deps" / "engines"))
PRICES = ROOT / "examples" / "tech-stocks" / "data" / "prices.csv"


def eventually(check, seconds=30.0, what="condition"):
    """Call `check` until it gives something true; fail after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()


class Server:
    """One `slipway up`; use as a context manager."""

    def __init__(self, folder, *args, env=None, listen="127.0.0.1:0"):
        self.dir = pathlib.Path(folder)
        self.data = self.dir / "data"
        self.args, self.env, self.listen = args, env or {}, listen
        self.process = None

    def start(self):
        self.log = open(self.dir / "server.log", "ab")
        self.process = subprocess.Popen(
            [BIN, "up", "--data", str(self.data), "--listen", self.listen,
             *self.args],
            stdout=subprocess.PIPE, stderr=self.log, cwd=self.dir,
            env={**os.environ, **self.env})
        line = self.process.stdout.readline().decode()
        found = re.search(r"http://[0-9.:]+", line)
        assert found, f"no address in {line!r}: {self.log_text()[-3000:]}"
        self.url = found.group(0)
        eventually(lambda: self.call("GET", "/health").status == 200,
                   what="the server to be ready")
        return self

    def log_text(self):
        return (self.dir / "server.log").read_text(errors="replace")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("it does not stop: " + self.log_text()[-4000:])
        self.process.stdout.close()
        assert code == 0, f"exit {code}: {self.log_text()[-4000:]}"

    def kill(self):
        """As a power cut would for the process: SIGKILL."""
        self.process.kill()
        self.process.wait(30)
        self.process.stdout.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()

    def call(self, method, path, body=None, headers=None, timeout=120):
        data = body
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, bytearray)):
            data = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.url + path, data=data,
                                         method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as r:
                return Answer(r.status, r.headers, r.read())
        except urllib.error.HTTPError as e:
            with e:
                return Answer(e.code, e.headers, e.read())

    def get(self, path):
        answer = self.call("GET", path)
        assert answer.status == 200, (path, answer.status, answer.text)
        return answer.json

    def post(self, path, body=None, method="POST"):
        answer = self.call(method, path, {} if body is None else body)
        assert answer.status in (200, 201, 202), (path, answer.status,
                                                  answer.text)
        return answer.json

    def job(self, job_id, seconds=180):
        """Wait for a job; its row."""
        def ended():
            row = self.get(f"/api/v1/jobs/{job_id}?wait_ms=5000")
            return row if row["state"] not in ("queued", "running") else None
        return eventually(ended, seconds, f"job {job_id}")

    def cli(self, *args, check=True, cwd=None, stdin=None, timeout=300):
        """Run a command against this server; a CompletedProcess with text."""
        done = subprocess.run(
            [BIN, *map(str, args)], capture_output=True, text=True,
            cwd=cwd or self.dir, input=stdin, timeout=timeout,
            env={**os.environ, "SLIPWAY_URL": self.url})
        if check:
            assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done

    def cli_json(self, *args, **kw):
        return json.loads(self.cli(*args, "--json", **kw).stdout)

    # ---- in few words: what most tests need ----

    def upload(self, data):
        """Send a file's bytes; the hash that names them."""
        answer = self.call("POST", "/api/v1/uploads", data, {
            "Content-Type": "application/octet-stream"})
        assert answer.status == 201, answer.text
        return answer.json["upload"]

    def add(self, name, data, file="rows.csv", **options):
        """Commit bytes as a dataset version; the ended job's row."""
        if isinstance(data, str):
            data = data.encode()
        started = self.post(f"/api/v1/datasets/{name}/versions", {
            "uploads": [{"upload": self.upload(data), "name": file}],
            **options})
        return self.job(started["job"])

    def added(self, name, data, file="rows.csv", **options):
        """The same; the version, which must have been made."""
        row = self.add(name, data, file, **options)
        assert row["state"] == "succeeded", row
        return row["result"]

    def apply(self, yaml, file="slipway.yaml"):
        """PUT a project file; the answer, whatever it is."""
        return self.call("PUT", f"/api/v1/project?file={file}", yaml.encode(),
                         {"Content-Type": "application/yaml"})

    def applied(self, yaml):
        answer = self.apply(yaml)
        assert answer.status == 200, answer.text
        return answer.json

    def done(self, started, seconds=180):
        """The result of a job that has to succeed."""
        row = self.job(started["job"], seconds)
        assert row["state"] == "succeeded", row
        return row["result"]

    def idle(self, seconds=120):
        eventually(lambda: self.get("/api/v1/idle?wait_ms=1000")["idle"],
                   seconds, "everything to be done")

    def flow(self, run, seconds=180):
        """A flow run that has ended or waits for traffic in its canary."""
        def settled():
            row = self.get(f"/api/v1/flows/{run}")
            return row if row["ended"] or row["state"] == "canary" else None
        return eventually(settled, seconds, f"flow run {run}")

    def infer(self, deployment, column, *keys, **parameters):
        """Predict entities over V2; (values, the answer)."""
        body = {"inputs": [{"name": column, "shape": [len(keys)],
                            "datatype": "BYTES", "data": list(keys)}]}
        if parameters:
            body["parameters"] = parameters
        answer = self.post(f"/v2/models/{deployment}/infer", body)
        return answer["outputs"][0]["data"], answer

    def children(self):
        """Process ids of the job and task children."""
        try:
            task = pathlib.Path(f"/proc/{self.process.pid}/task")
            return [int(pid) for t in task.iterdir()
                    for pid in (t / "children").read_text().split()]
        except FileNotFoundError:
            return []

    def tmp_files(self):
        """What lies in the data folder's tmp/."""
        return sorted(p.name for p in (self.data / "tmp").iterdir())


SHOPS = ("A", "B", "C")
SHOPS_YAML = """
project: shops
sources:
  sales:
    entity: shop
    event_time: day
    expect: ["amount >= 0", "unique(shop, day)", "not_null(amount)"]
features:
  recent:
    entity: shop
    ttl: 7d
    sql: SELECT shop, day, amount FROM sales
    lags: {of: amount, count: 3}
models:
  next-amount:
    target: {sql: lead(amount) OVER w, of: sales}
    features: [recent]
    split: {validate: 40d, test: 60d}
    metric: mae
    search: {trials: 2, seed: 7}
    candidates:
      xgboost: {eta: [0.05, 0.3, log], max_depth: [2, 4], rounds: 20}
    fallback: {sql: amount_lag0}
    gate: {beats: {fallback: 0, champion: -0.05}, confidence: 0.95}
deployments:
  next-amount: {model: next-amount, timeout: 2s}
"""
SHOPS_CLOCK = "2023-12-01T20:00:00Z"


def shops_csv(start="2023-01-01", days=330, shops=SHOPS, seed=3):
    """Daily amounts that swing around each shop's level: what a model finds
    out and the rule "as today" does not."""
    rng = random.Random(seed)
    first = datetime.date.fromisoformat(start)
    lines, amount = ["shop,day,amount"], {s: 100.0 for s in shops}
    for i in range(days):
        for k, s in enumerate(shops):
            level = 100.0 + 20 * k
            amount[s] = level - 0.7 * (amount[s] - level) + rng.gauss(0, 4)
            lines.append(f"{s},{first + datetime.timedelta(i)},"
                         f"{max(amount[s], 0):.4f}")
    return "\n".join(lines) + "\n"


class Shops(Server):
    """A server with the small project applied and its data added."""

    def __init__(self, folder, *args, yaml=SHOPS_YAML, **kw):
        super().__init__(folder, "--clock", SHOPS_CLOCK, *args, **kw)
        self.yaml = yaml

    def start(self):
        fresh = not self.data.exists()
        super().start()
        if fresh:
            self.applied(self.yaml)
            self.added("sales", shops_csv())
        return self

    def train(self, count=1):
        """Register `count` versions, each with another seed."""
        for i in range(count):
            self.done(self.post("/api/v1/models/next-amount/train",
                                {"seed": 11 + i}))
        return self

    def deploy(self, version, why="a test"):
        return self.post("/api/v1/deployments/next-amount/deploy",
                         {"version": version, "why": why})


@pytest.fixture(scope="module", autouse=True)
def mlflow_forgets():
    """What a module told the mlflow package ends with it."""
    yield
    package = sys.modules.get("mlflow")
    if package:
        package.set_tracking_uri("")
        package.set_registry_uri("")


@pytest.fixture
def shops(tmp_path):
    with Shops(tmp_path) as s:
        yield s


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path) as s:
        yield s


@pytest.fixture(scope="session")
def bin_path():
    return BIN
