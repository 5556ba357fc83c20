#!/usr/bin/env python3
"""kill -9 at seeded random moments of the whole loop under load.

    make faults                                   a thousand kills, about 20 minutes
    tests/faults/kill_loop.py --kills 50 --seed 7 the same, shorter

Clients do at the same time what people and their programs do: new days of
data arrive, features and labels follow, windows are judged, triggers start
retrains that walk through gate and canary, runs are logged with artifacts,
versions are registered, deployments changed by hand, backups made.  Every
answer that acknowledges something goes into a ledger.  Then somebody dies: the
server, a job's child, or both; either after a random time, or, where the shim
is built, at a random one of the calls that change files.

After each death the server is started again, `slipway verify` must find no
fault, everything in the ledger must be there, deployments must answer with the
release the store names, no child may have outlived its server, and what fires
or is judged once must have done so once.

The seed gives the same sequence of who dies, when and how, and the same
clients' choices; threads meet differently each time, so it repeats a failure
as well as timing allows.  A life is a fresh folder that is killed --life times
and then has to come to rest.
"""
import argparse
import contextlib
import datetime
import hashlib
import http.client
import json
import mmap
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import conftest  # noqa: E402
from conftest import SHOPS, SHOPS_YAML, shops_csv  # noqa: E402

START, DAYS = datetime.date(2023, 1, 1), 120
NAME, HAND = "next-amount", "by-hand"
YAML = SHOPS_YAML.replace("champion: -0.05", "champion: -0.5").replace(
    "validate: 40d, test: 60d", "validate: 20d, test: 20d").replace(
    "{model: next-amount, timeout: 2s}",
    "{model: next-amount, timeout: 5s, rollout: [{canary: 50%, requests: 4},"
    " {canary: 90%, requests: 4}]}\n"
    "  by-hand: {model: next-amount, timeout: 5s}") + """
monitors:
  next-amount:
    window: 10d
    every: 1d
    min_rows: 5
    drift: {alpha: 0.2, floor: 0.01}
    performance: {metric: mae, window: 10d, worse_than: fallback, confidence: 0.9, min_labels: 5}
retrain:
  next-amount: {on: [drift, performance, "new_data: 2d"], cooldown: 1d, when_refused: fallback}
"""


class Broken(Exception):
    """Something that must hold does not."""


class Gone(Exception):
    """The server is not there (any more)."""


# ---- the shim ----

FIELDS = ("count", "first", "last", "kind", "classes", "hits", "sync_us",
          "write_us", "clock_ms", "kill_at", "victim")
NO_SPACE, IO_ERROR, SHORT_WRITE, NO_SYNC = 1, 2, 3, 4
ALL_CLASSES = 15


class Shim:
    """The control page of shim.c, shared with every process of a server."""

    def __init__(self, library, folder):
        self.library, self.folder = library, pathlib.Path(folder)
        self.path = self.folder.parent / (self.folder.name + ".shim")
        self.path.write_bytes(bytes(4096))
        with open(self.path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 4096)

    def env(self):
        return {"LD_PRELOAD": str(self.library), "SLW_SHIM": str(self.path),
                "SLW_SHIM_DIR": str(self.folder)}

    def get(self, name):
        at = FIELDS.index(name) * 8
        return struct.unpack("<q", self.page[at:at + 8])[0]

    def set(self, **values):
        for name, value in values.items():
            at = FIELDS.index(name) * 8
            self.page[at:at + 8] = struct.pack("<q", value)


# ---- processes ----

class Program:
    """One server process after the other on one folder."""

    def __init__(self, binary, folder, clock, shim=None):
        self.binary, self.dir = binary, pathlib.Path(folder)
        self.data, self.clock, self.shim = self.dir / "data", clock, shim
        self.process, self.port = None, 0
        self.up = threading.Event()
        self.log = open(self.dir / "server.log", "ab")

    def start(self):
        env = {**os.environ, **(self.shim.env() if self.shim else {})}
        self.process = subprocess.Popen(
            [self.binary, "up", "--data", self.data, "--listen",
             "127.0.0.1:0", "--clock", self.clock, "--log", "warn"],
            stdout=subprocess.PIPE, stderr=self.log, env=env, cwd=self.dir)
        line = self.process.stdout.readline().decode()
        found = re.search(r"http://127.0.0.1:(\d+)", line)
        if not found:
            self.process.wait(10)
            return False
        self.port = int(found.group(1))
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(Gone):
                if Caller(self).call("GET", "/api/v1/clock")[0] == 200:
                    self.up.set()
                    return True
            time.sleep(0.005)
        return False

    def kill(self):
        self.process.kill()
        self.ended()

    def ended(self):
        """Take note that it has died."""
        self.up.clear()
        self.process.wait(30)
        self.process.stdout.close()

    def stop(self):
        self.up.clear()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process.stdout.close()
        if code != 0:
            raise Broken(f"the server ended with {code} when asked to stop")

    def children(self, words=("job", "task")):
        """Pids of our children on this folder, whoever their parent is."""
        found = []
        for p in pathlib.Path("/proc").iterdir():
            if not p.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                args = (p / "cmdline").read_bytes().split(b"\0")
                if len(args) > 4 and args[1].decode() in words and \
                        args[4].decode() == str(self.data):
                    found.append(int(p.name))
        return found

    def stderr_tail(self):
        return (self.dir / "server.log").read_text(errors="replace")[-2000:]


class Caller:
    """One client's connection."""

    def __init__(self, program):
        self.program, self.port, self.http = program, None, None

    def call(self, method, path, body=None, kind="application/json"):
        if self.port != self.program.port or self.http is None:
            self.port = self.program.port
            self.http = http.client.HTTPConnection("127.0.0.1", self.port,
                                                   timeout=60)
        data = body if body is None or isinstance(body, bytes) else \
            json.dumps(body).encode()
        try:
            self.http.request(method, path, data, {"Content-Type": kind})
            answer = self.http.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException) as e:
            self.http.close()
            self.http = None
            raise Gone(str(e)) from e
        return answer.status, raw

    def ok(self, method, path, body=None, also=(), kind="application/json"):
        """The parsed answer; None for a status in `also`."""
        status, raw = self.call(method, path, body, kind)
        if status in also:
            return None
        if status == 503:
            raise Gone("503")
        if status not in (200, 201, 202):
            raise Broken(f"{method} {path}: {status} {raw[:300]!r}")
        return json.loads(raw) if raw else {}


# ---- what was acknowledged ----

class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.runs = {}         # id -> {"metrics", "params", "artifacts"}
        self.versions = {}     # of sales: number -> hash
        self.predictions = {}  # id -> value
        self.jobs = set()
        self.hand = (0, 0)     # revision, champion of the deployment by hand
        self.alias = {}        # name -> versions it may be at
        self.models = {}       # registered: (name, version) -> run id
        self.uploads = set()
        self.tokens = set()
        self.acts = threading.Lock()  # held while a deployment is changed


# ---- clients ----

class Client(threading.Thread):
    """Repeats its step as long as the life lasts."""

    def __init__(self, life, step, seed, pause=0.0):
        super().__init__(daemon=True)
        self.life, self.step, self.pause = life, step, pause
        self.rng = random.Random(seed)
        self.caller = Caller(life.program)
        self.start()

    def run(self):
        while not self.life.over.is_set():
            if not self.life.program.up.wait(0.1):
                continue
            try:
                self.step(self)
            except Gone:
                time.sleep(0.01)
            except Exception as e:  # noqa: BLE001: any is a finding
                if self.life.program.up.is_set():
                    self.life.broken(e)
            if self.pause:
                time.sleep(self.pause)

    def call(self, *args, **kw):
        return self.caller.ok(*args, **kw)


class Life:
    """One folder from its first day until it comes to rest."""

    def __init__(self, args, number, template):
        self.args, self.number = args, number
        self.rng = random.Random(f"{args.seed}/{number}")
        self.dir = pathlib.Path(tempfile.mkdtemp(
            prefix=f"life-{number}-", dir=args.work))
        if template:
            shutil.copytree(template, self.dir, dirs_exist_ok=True)
        (self.dir / "data").mkdir(exist_ok=True)
        shim = Shim(args.shim, self.dir / "data") if args.shim else None
        self.day = DAYS
        self.program = Program(args.bin, self.dir, self.time_of(DAYS - 1),
                               shim)
        self.ledger, self.over = Ledger(), threading.Event()
        self.found, self.clients = [], []
        self.server_kills = self.child_kills = self.call_kills = 0
        self.loops = {}

    @staticmethod
    def time_of(day):
        return f"{START + datetime.timedelta(day)}T20:00:00Z"

    def broken(self, e):
        self.found.append("".join(traceback.format_exception(e))[-1500:]
                          if not isinstance(e, Broken) else str(e))

    # ---- the template: everything that every life begins with ----

    def prepare(self):
        if not self.program.start():
            raise Broken("it does not start: " + self.program.stderr_tail())
        c = Caller(self.program)
        c.ok("PUT", "/api/v1/project?file=slipway.yaml", YAML.encode(),
             kind="application/yaml")
        upload = c.ok("POST", "/api/v1/uploads", shops_csv(days=DAYS).encode(),
                      kind="application/octet-stream")["upload"]
        self.job(c, c.ok("POST", "/api/v1/datasets/sales/versions", {
            "uploads": [{"upload": upload, "name": "sales.csv"}]}))
        for seed in (11, 12):
            self.job(c, c.ok("POST", f"/api/v1/models/{NAME}/train",
                             {"seed": seed}))
        for name in (NAME, HAND):
            c.ok("POST", f"/api/v1/deployments/{name}/deploy",
                 {"version": 1, "why": "first"})
        c.ok("POST", "/api/2.0/mlflow/registered-models/create",
             {"name": "theirs"})
        self.rest(c)
        self.program.stop()

    def job(self, c, started, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            row = c.ok("GET", f"/api/v1/jobs/{started['job']}?wait_ms=2000")
            if row["state"] not in ("queued", "running"):
                return row
        raise Broken(f"job {started['job']} does not end")

    def rest(self, c, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if c.ok("GET", "/api/v1/idle?wait_ms=1000")["idle"]:
                return
        moving = c.call("GET", "/api/v1/jobs?limit=3")[1][:800]
        raise Broken(f"it does not come to rest in {seconds} s: {moving}")

    # ---- the clients' steps ----

    def new_day(self, c):
        """One more day of data; the same again until it is there."""
        day = START + datetime.timedelta(self.day)
        rng = random.Random(f"{self.args.seed}/{self.day}")
        level = 30.0 if self.day // 12 % 2 else 0.0
        text = "shop,day,amount\n" + "".join(
            f"{s},{day},{100 + 20 * k + level + rng.gauss(0, 4):.4f}\n"
            for k, s in enumerate(SHOPS))
        c.call("POST", "/api/v1/clock", {"now": self.time_of(self.day)},
               also=(409,))
        self.program.clock = self.time_of(self.day)
        upload = c.call("POST", "/api/v1/uploads", text.encode(),
                        kind="application/octet-stream")["upload"]
        with self.ledger.lock:
            self.ledger.uploads.add(upload)
        started = c.call("POST", "/api/v1/datasets/sales/versions", {
            "uploads": [{"upload": upload, "name": "day.csv"}],
            "mode": "append"})
        with self.ledger.lock:
            self.ledger.jobs.add(started["job"])
        row = self.job(c.caller, started)
        if row["state"] == "succeeded":
            with self.ledger.lock:
                self.ledger.versions[row["result"]["version"]] = \
                    row["result"]["hash"]
            self.day += 1
        elif row["state"] != "failed" or row["attempt"] < 3:
            raise Broken(f"ingest ended so: {row}")

    def log_run(self, c):
        run = c.call("POST", "/api/2.0/mlflow/runs/create", {
            "experiment_id": "0", "run_name": "r"})["run"]["info"]
        entry = {"metrics": {}, "params": {}, "artifacts": {}}
        with self.ledger.lock:
            self.ledger.runs[run["run_id"]] = entry
        for step in range(c.rng.randrange(1, 4)):
            value = c.rng.random()
            c.call("POST", "/api/2.0/mlflow/runs/log-batch", {
                "run_id": run["run_id"], "metrics": [
                    {"key": "m", "value": value, "timestamp": step,
                     "step": step}],
                "params": [{"key": f"p{step}", "value": str(value)}]})
            entry["metrics"]["m"] = (step, value)
            entry["params"][f"p{step}"] = str(value)
        if c.rng.random() < 0.4:
            raw = c.rng.randbytes(c.rng.choice((10, 5000, 200000)))
            path = run["artifact_uri"].split(":/", 1)[1].strip("/") + "/a.bin"
            c.call("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}", raw,
                   kind="application/octet-stream")
            entry["artifacts"][path] = hashlib.sha256(raw).hexdigest()
        if c.rng.random() < 0.3:
            version = c.call("POST", "/api/2.0/mlflow/model-versions/create", {
                "name": "theirs", "source": run["artifact_uri"],
                "run_id": run["run_id"]})["model_version"]["version"]
            with self.ledger.lock:
                self.ledger.models[("theirs", int(version))] = run["run_id"]
            self.move_alias(c, int(version))
        c.call("POST", "/api/2.0/mlflow/runs/update", {
            "run_id": run["run_id"], "status": "FINISHED"})

    def move_alias(self, c, version):
        name = c.name if hasattr(c, "name") else "a"
        alias = "alias-" + name.replace("Thread-", "").split()[0]
        with self.ledger.lock:
            self.ledger.alias.setdefault(alias, {None}).add(version)
        c.call("POST", "/api/2.0/mlflow/registered-models/alias", {
            "name": "theirs", "alias": alias, "version": str(version)})
        with self.ledger.lock:
            self.ledger.alias[alias] = {version}

    def infer(self, c):
        name = NAME if c.rng.random() < 0.7 else HAND
        request = f"{c.name}-{c.rng.random()}"
        body = {"id": request, "parameters": {"key": str(c.rng.random())},
                "inputs": [{"name": "shop", "shape": [1], "datatype": "BYTES",
                            "data": [c.rng.choice(SHOPS)]}]}
        answer = c.call("POST", f"/v2/models/{name}/infer", body, also=(404,))
        if answer:
            with self.ledger.lock:
                self.ledger.predictions[request] = \
                    answer["outputs"][0]["data"][0]

    def act(self, c):
        """Somebody changes the deployment by hand."""
        what = c.rng.choice(("deploy", "deploy", "canary", "promote",
                             "rollback", "withdraw", "restore"))
        body = {"why": "by hand"}
        if what in ("deploy", "canary"):
            body["version"] = c.rng.choice((1, 2))
        if what == "canary":
            body["weight"] = 0.3
        with self.ledger.acts:
            answer = c.call("POST", f"/api/v1/deployments/{HAND}/{what}", body,
                            also=(409,))
            if answer:
                d = answer["deployment"]
                self.ledger.hand = (d["revision"], d["champion_version"])

    def manage(self, c):
        """What is done now and then."""
        what = c.rng.randrange(5)
        if what == 0:
            name = f"t{c.rng.randrange(10 ** 9)}"
            # No token: the first one would shut everybody else out.
            status, _ = c.caller.call("GET", f"/api/v1/tokens?x={name}")
        elif what == 1:
            c.call("PUT", "/api/v1/project?file=slipway.yaml", YAML.encode(),
                   kind="application/yaml")
        elif what == 2:
            started = c.call("POST", "/api/v1/flows", {"model": NAME},
                             also=(409,))
            if started is not None:
                self.loops["asked"] = self.loops.get("asked", 0) + 1
        elif what == 3:
            started = c.call("POST", "/api/v1/features/materialize", {})
            with self.ledger.lock:
                self.ledger.jobs.add(started["job"])
        else:
            raw = c.rng.randbytes(c.rng.choice((100, 300000)))
            upload = c.call("POST", "/api/v1/uploads", raw,
                            kind="application/octet-stream")["upload"]
            if upload != hashlib.sha256(raw).hexdigest():
                raise Broken("an upload has another hash")
            with self.ledger.lock:
                self.ledger.uploads.add(upload)

    def back_up(self, c):
        p = subprocess.Popen(
            [self.args.bin, "backup", self.dir / "kept", "--data",
             self.program.data], stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE)
        if c.rng.random() < 0.4:
            time.sleep(c.rng.random() * 0.1)
            p.kill()
        said = p.communicate(timeout=120)[1].decode()
        if p.returncode not in (0, -9):
            raise Broken(f"backup: {said}")

    def begin(self):
        seed = f"{self.args.seed}/{self.number}"
        for i, (step, pause) in enumerate((
                (self.new_day, 0.1), (self.log_run, 0.01),
                (self.log_run, 0.05), (self.infer, 0.01), (self.infer, 0.05),
                (self.act, 0.05), (self.manage, 1.0), (self.back_up, 4.0))):
            self.clients.append(Client(self, step, f"{seed}/{i}", pause))

    # ---- death ----

    def one_death(self):
        """Somebody dies; returns who."""
        rng = self.rng
        who = rng.choices(("server", "call", "child", "both"),
                          (40, 35 if self.program.shim else 0, 15, 10))[0]
        wait = rng.uniform(0.02, 0.5) if rng.random() < 0.85 else \
            rng.uniform(0.5, 3)
        calls = rng.randrange(1, 300)
        if who == "call":
            return self.death_at_call(wait, calls)
        time.sleep(wait)
        if who in ("child", "both"):
            children = self.program.children(("job",))
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if who == "child" and children:
                self.child_kills += 1
                return "child"
        self.program.kill()
        self.server_kills += 1
        return "server"

    def death_at_call(self, wait, calls):
        shim = self.program.shim
        time.sleep(wait / 2)
        shim.set(classes=ALL_CLASSES, victim=0,
                 kill_at=shim.get("count") + calls)
        end = time.monotonic() + 2
        while time.monotonic() < end and shim.get("victim") == 0:
            time.sleep(0.002)
        shim.set(kill_at=0)
        victim = shim.get("victim")
        shim.set(classes=0)
        self.call_kills += victim != 0
        if victim not in (0, self.program.process.pid):
            self.child_kills += 1
            return "child"
        self.program.process.kill()
        self.program.ended()
        self.server_kills += 1
        return "server"

    def revive(self):
        end = time.monotonic() + 10
        while self.program.children():
            if time.monotonic() > end:
                raise Broken("a child outlived its server: "
                             f"{self.program.children()}")
            time.sleep(0.005)
        if self.rng.random() < 0.1:
            self.verify("the stopped folder")
        if not self.program.start():
            raise Broken("it does not start again: " +
                         self.program.stderr_tail())

    # ---- what must hold ----

    def verify(self, what):
        done = subprocess.run(
            [self.args.bin, "verify", "--data", self.program.data, "--json"],
            capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise Broken(f"verify of {what}: {done.stdout[:1500]}"
                         f"{done.stderr[:500]}")
        return json.loads(done.stdout)

    def rows(self, sql):
        db = sqlite3.connect(f"file:{self.program.data}/slipway.db?mode=ro",
                             uri=True, timeout=30)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def logged(self):
        """Ids and values in the prediction log, by its documented format."""
        found = {}
        for path in (self.program.data / "predictions").rglob("*.seg"):
            with open(path, "rb") as f:
                raw = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
            at = 256
            while at + 112 <= len(raw):
                size, = struct.unpack_from("<I", raw, at)
                if size < 112:
                    break
                value, = struct.unpack_from("<d", raw, at + 64)
                columns, key, ident = struct.unpack_from("<IHH", raw, at + 96)
                text = at + 112 + 8 * columns + key
                name = raw[text:text + ident].decode()
                if name in found:
                    raise Broken(f"prediction {name} is logged twice")
                found[name] = value
                at += (size + 7) & ~7
        return found

    def check_ledger(self):
        lg = self.ledger
        with lg.lock:  # nothing that is acknowledged from here on
            runs = {k: json.loads(json.dumps(v)) for k, v in lg.runs.items()}
            versions, jobs = dict(lg.versions), set(lg.jobs)
            predictions, models = dict(lg.predictions), dict(lg.models)
            uploads = set(lg.uploads)
            alias = {k: set(v) for k, v in lg.alias.items()}
        self.check_runs(runs)
        there = dict(self.rows("SELECT version, hash FROM data_dataset"
                               " WHERE name = 'sales'"))
        for number, digest in versions.items():
            if there.get(number) != digest:
                raise Broken(f"sales@{number} is lost or another")
        have = {r[0] for r in self.rows("SELECT id FROM jobs_job")}
        if jobs - have:
            raise Broken(f"jobs are lost: {jobs - have}")
        log = self.logged()
        for name, value in predictions.items():
            if log.get(name) != value:
                raise Broken(f"prediction {name} is lost or another: "
                             f"{log.get(name)} for {value}")
        for u in uploads:
            if not (self.program.data / "blobs" / u[:2] / u[2:]).exists():
                raise Broken(f"upload {u} is lost")
        theirs = {(n, v): run for n, v, run in self.rows(
            "SELECT m.name, v.version, v.run_id FROM registry_version v"
            " JOIN registry_model m ON m.id = v.model_id")}
        for key, run in models.items():
            if theirs.get(key) != run:
                raise Broken(f"registered version {key} is lost")
        at = dict(self.rows(
            "SELECT a.name, a.version FROM registry_alias a JOIN"
            " registry_model m ON m.id = a.model_id WHERE m.name = 'theirs'"))
        for name, allowed in alias.items():
            with lg.lock:
                allowed = allowed | lg.alias[name]
            if len(allowed) == 1 and at.get(name) not in allowed:
                raise Broken(f"alias {name} is at {at.get(name)}, not at "
                             f"{allowed}")

    def newest(self):
        """Newest values as a reader sees them: those entered and those of
        unsettled runs, by one statement, as the server goes on writing."""
        names, metrics, tail = {}, {}, []
        for run, key, step, value, points in self.rows(
                "SELECT NULL, id, NULL, name, NULL FROM track_key UNION ALL"
                " SELECT r.id, m.key, m.step, m.value, NULL FROM track_metric m"
                " JOIN track_run r ON r.number = m.run UNION ALL"
                " SELECT r.id, NULL, NULL, NULL, p.points FROM track_unsettled u"
                " JOIN track_run r ON r.number = u.run JOIN track_point p"
                " ON p.id >= u.first AND p.id < (u.run + 1) << 24"):
            if run is None:
                names[key] = value
            elif points is None:
                metrics[run, key] = (step, value)
            else:
                tail += [(run, *p) for p in struct.iter_unpack("<Idqq", points)]
        for run, key, value, _, step in tail:
            if metrics.get((run, key), (-1, None))[0] < step:
                metrics[run, key] = (step, value)
        return {(run, names[key]): v for (run, key), v in metrics.items()}

    def check_runs(self, runs):
        metrics = self.newest()
        params = {(r, k): v for r, k, v in self.rows(
            "SELECT r.id, k.name, p.value FROM track_param p"
            " JOIN track_run r ON r.number = p.run"
            " JOIN track_key k ON k.id = p.key")}
        artifacts = dict(self.rows("SELECT path, blob FROM track_artifact"))
        have = {r[0] for r in self.rows("SELECT id FROM track_run")}
        for run, entry in runs.items():
            if run not in have:
                raise Broken(f"run {run} is lost")
            for k, (step, value) in entry["metrics"].items():
                got = metrics.get((run, k), (-1, None))
                if got[0] < step or (got[0] == step and got[1] != value):
                    raise Broken(f"metric {k} of run {run} is {got}, was "
                                 f"acknowledged as {(step, value)}")
            for k, v in entry["params"].items():
                if params.get((run, k)) != v:
                    raise Broken(f"parameter {k} of run {run} is lost")
            for path, digest in entry["artifacts"].items():
                if artifacts.get(path) != digest:
                    raise Broken(f"artifact {path} is lost or another")

    def check_once(self):
        """What is to happen once happened once."""
        twice = self.rows(
            "SELECT deployment, from_ms, to_ms, count(*) FROM monitor_window"
            " GROUP BY 1, 2, 3 HAVING count(*) > 1")
        if twice:
            raise Broken(f"windows were judged twice: {twice}")
        looks, = self.rows("SELECT count(*) FROM jobs_job WHERE kind ="
                           " 'flow.refresh' AND state IN"
                           " ('succeeded', 'failed', 'cancelled')")[0]
        said, = self.rows("SELECT count(*) FROM flow_decision"
                          " WHERE trigger = 'new_data'")[0]
        if said > looks:
            raise Broken(f"{said} decisions about new data, {looks} refreshes")
        twice = self.rows(
            "SELECT e.subject, count(*) FROM store_event e WHERE e.kind ="
            " 'flow.run_started' GROUP BY e.payload HAVING count(*) > 1")
        if twice:
            raise Broken(f"runs were announced twice: {twice}")

    def check_serving(self):
        """Deployments answer with the release that the store names."""
        c = Caller(self.program)
        with self.ledger.acts:
            rows = self.rows(
                "SELECT revision, champion_version, canary_version, champion,"
                " canary, withdrawn FROM serve_deployment"
                f" WHERE name = '{HAND}'")[0]
            revision, champion = rows[0], rows[1]
            acked, version = self.ledger.hand
            if revision < acked or (revision == acked and version and
                                    champion != version):
                raise Broken(f"{HAND} is at revision {revision} version "
                             f"{champion}, acknowledged {acked} {version}")
            answer = c.ok("POST", f"/v2/models/{HAND}/infer", {
                "id": f"check-{random.random()}",
                "inputs": [{"name": "shop", "shape": [1], "datatype": "BYTES",
                            "data": ["A"]}]}, also=(404,))
            if answer is None:
                return
            by = answer["parameters"]
            want = {"champion": (rows[1], rows[3]),
                    "canary": (rows[2], rows[4])}.get(by["served_by"])
            if want and (answer["model_version"], by["release"]) != \
                    (str(want[0]), want[1]):
                raise Broken(f"{HAND} answers as {by}, the store says {want}")
            if rows[5] and by["served_by"] == "champion":
                raise Broken(f"{HAND} is withdrawn and its champion answers")

    def check(self, thorough=True):
        if thorough:
            self.verify("the running server's folder")
        self.check_ledger()
        self.check_once()
        self.check_serving()

    # ---- the whole life ----

    def live(self, deaths, tell):
        if not self.program.start():
            raise Broken("it does not start: " + self.program.stderr_tail())
        self.begin()
        done = 0
        try:
            while done < deaths and not self.found:
                if self.one_death() == "server":
                    self.revive()
                done += 1
                # What is damaged stays so: every third look sees it as well.
                self.check(done % 3 == 0)
                tell(self, done)
        except Gone as e:
            if self.program.process.poll() is not None:
                self.broken(Broken("the server died by itself, code "
                                   f"{self.program.process.poll()}: " +
                                   self.program.stderr_tail()))
            else:
                self.broken(e)
        except Exception as e:  # noqa: BLE001
            self.broken(e)
        self.end()
        return done

    def end(self):
        """The clients leave; everything has to come to rest and be whole."""
        self.over.set()
        for c in self.clients:
            c.join(90)
        try:
            if not self.found:
                self.settle()
        except Exception as e:  # noqa: BLE001
            self.broken(e)
        if self.program.process.poll() is None:
            with contextlib.suppress(Exception):
                self.program.stop()
        self.program.log.close()
        if not self.found:
            shutil.rmtree(self.dir)

    def settle(self):
        c = Caller(self.program)
        self.rest(c)
        self.check()
        states = self.rows("SELECT state, count(*) FROM jobs_job GROUP BY 1")
        if {s for s, _ in states} & {"queued", "running"}:
            raise Broken(f"at rest with {states}")
        stuck = self.rows("SELECT id, state FROM flow_run WHERE ended_at_ms = 0"
                          " AND state <> 'canary'")
        if stuck:
            raise Broken(f"at rest with moving runs: {stuck}")
        self.program.stop()
        left = list((self.program.data / "tmp").iterdir())
        if left:
            raise Broken(f"left in tmp/: {left}")
        report = self.verify("the folder at rest")
        if report["notes"]:
            raise Broken(f"at rest with notes: {report['notes']}")
        for what in ("predictions", "runs", "dataset versions", "windows",
                     "decisions", "flow runs", "labels", "alerts", "events"):
            self.loops[what] = report["counts"][what]
        self.loops["promoted"], = self.rows(
            "SELECT count(*) FROM flow_run WHERE state = 'promoted'")[0]
        if (self.dir / "kept" / "sets").exists():
            done = subprocess.run(
                [self.args.bin, "restore", self.dir / "kept", "--data",
                 self.dir / "again"], capture_output=True, text=True)
            if done.returncode and "no whole backup" not in done.stderr:
                raise Broken(f"restore: {done.stderr}")
            self.loops["restored"] = int(done.returncode == 0)


def workplace(prefix):
    """A folder in memory where there is room: kill -9 takes nothing from the
    page cache, so that what a slow disk would add is waiting."""
    memory = pathlib.Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 << 30
    return tempfile.mkdtemp(prefix=prefix, dir=memory if roomy else None)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--kills", type=int, default=1000)
    p.add_argument("--life", type=int, default=50, help="kills of one folder")
    p.add_argument("--seed", type=int, default=None)
    p.add_argument("--bin", default=os.environ.get(
        "SLIPWAY_RELEASE_BIN", str(ROOT / "build" / "slipway")))
    p.add_argument("--shim", default=None, help="shim.so; '' for none")
    p.add_argument("--work", default=None, help="folder for the lives")
    args = p.parse_args()
    args.bin = str(pathlib.Path(args.bin).resolve())
    if args.seed is None:
        args.seed = random.SystemRandom().randrange(10 ** 6)
    if args.shim is None:
        near = pathlib.Path(args.bin).parent / "tests" / "shim.so"
        args.shim = str(near) if near.exists() else ""
    args.work = args.work or workplace("slipway-kills-")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    print(f"{args.kills} kills, seed {args.seed}, in {args.work}, shim "
          f"{args.shim or 'none'}", flush=True)
    began, total, broken = time.monotonic(), 0, []
    sums = {}
    first = Life(args, 0, None)
    first.prepare()
    template = first.dir
    (template / "data.shim").unlink(missing_ok=True)
    number = 0

    def tell(life, done):
        spent = time.monotonic() - began
        if sys.stdout.isatty() or done % 20 == 0:
            print(f"  {total + done} kills, life {number}, {spent:.0f} s, "
                  f"{len(broken)} broken", flush=True,
                  end="\r" if sys.stdout.isatty() else "\n")

    while total < args.kills:
        number += 1
        life = Life(args, number, template)
        done = life.live(min(args.life, args.kills - total), tell)
        total += done
        for k in ("server_kills", "child_kills", "call_kills"):
            sums[k] = sums.get(k, 0) + getattr(life, k)
        for k, v in life.loops.items():
            sums[k] = sums.get(k, 0) + v
        for text in life.found[:3]:
            broken.append(text)
            print(f"BROKEN in life {number} after {done} kills (seed "
                  f"{args.seed}, folder {life.dir}):\n{text}", flush=True)
        if len(broken) > 20:
            break
    if not broken:
        shutil.rmtree(args.work, ignore_errors=True)
    print(f"{total} kills in {time.monotonic() - began:.0f} s, seed "
          f"{args.seed}: " + ", ".join(f"{v} {k.replace('_', ' ')}"
                                       for k, v in sums.items()))
    print(f"{len(broken)} broken" if broken else
          "nothing acknowledged was lost, everything is whole")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
