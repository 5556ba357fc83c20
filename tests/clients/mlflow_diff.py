"""Two servers, one conversation: MLflow's own and ours.

`Twin.call` sends a request to both and compares what comes back: status, kind
of body, error code, message, shape and values.  What a server chooses itself
(ids, names, times) is told apart by `Pair.keep`, which hands out a token that
stands for either side's value in later requests and in both answers.
A difference is noted, never raised, so that one test shows all of its own.
Two kinds are no difference: where MLflow answers 500 or shows its SQL, ours
may say what it likes but not fail; and where a parameter has a wrong type,
ours may refuse it where MLflow drops it silently (`spoilt`).
Differences that are meant are wrapped in `twin.meant("why")`; that it still
differs is checked, so that the list stays true.
"""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

API = "/api/2.0/mlflow/"
ABSENT = object()


class Mlflow:
    """MLflow's own server: SQLite, one worker, loopback."""

    def __init__(self, folder):
        self.dir = folder

    def __enter__(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("MLFLOW_", "ASAN_", "UBSAN_", "LSAN_"))}
        env.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true",
                   MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
                   GIT_PYTHON_REFRESH="quiet", PYTHONWARNINGS="ignore")
        self.log = open(self.dir / "mlflow.log", "ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1",
             "--port", str(port), "--workers", "1", "--backend-store-uri",
             f"sqlite:///{self.dir}/mlflow.db", "--artifacts-destination",
             str(self.dir / "artifacts")], cwd=self.dir, env=env,
            stdout=self.log, stderr=self.log, start_new_session=True)
        return self

    def wait(self, seconds=120):
        end = time.monotonic() + seconds
        while True:
            try:
                if Line(self.url).send("GET", "/health")[0] == 200:
                    return self
            except OSError:
                pass
            assert self.process.poll() is None and time.monotonic() < end, (
                "MLflow's server does not start: " +
                (self.dir / "mlflow.log").read_text()[-3000:])
            time.sleep(0.1)

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
        self.log.close()


class Line:
    """One kept connection, made again when the other side closed it."""

    def __init__(self, url):
        self.address = url.removeprefix("http://")
        self.local = threading.local()

    def _once(self, method, path, body, headers):
        c = getattr(self.local, "c", None)
        if c is None:
            c = self.local.c = http.client.HTTPConnection(self.address,
                                                          timeout=60)
        c.request(method, path, body, headers)
        r = c.getresponse()
        return r.status, dict((k.lower(), v) for k, v in r.getheaders()), \
            r.read()

    def send(self, method, path, body=None, headers=None):
        try:
            return self._once(method, path, body, headers or {})
        except (http.client.HTTPException, ConnectionError):
            self.local.c = None
            return self._once(method, path, body, headers or {})


class Pair:
    """Both answers to one request, as they came."""

    def __init__(self, twin, answers):
        self.twin, self.answers = twin, answers
        self.json = [json.loads(b) if h.get("content-type", "").startswith(
            "application/json") and b else None for _, h, b in answers]
        self.status = answers[1][0]
        self.where = ""

    def keep(self, path):
        """A token for the value at "run.info.run_id" of each side."""
        values = []
        for at in self.json:
            for part in path.split("."):
                at = at[int(part)] if isinstance(at, list) else at[part]
            values.append(str(at))
        token = self.twin.token(values)
        if path.endswith("experiment_id"):
            self.twin.numbers.add(len(self.twin.values) - 1)
        return token


def squeeze(node, key=None, where=""):
    """What has no order, ordered; what is a time of now, named so."""
    if isinstance(node, dict):
        node = {k: squeeze(v, k, where) for k, v in node.items()}
        if key == "data" and "metrics" in node:
            node["metrics"].sort(key=json.dumps)
        if "current_stage" in node: # MLflow drops it
            node.pop("model_id", None)
            if where == "versions":
                node.pop("aliases", None)
        if "next_page_token" in node:
            node["next_page_token"] = "<token>"
        return node
    if isinstance(node, list):
        if key == "latest_versions": # MLflow tells no aliases here
            for v in node:
                v.pop("aliases", None)
        node = [squeeze(v, None, where) for v in node]
        if key in ("tags", "params", "aliases", "dataset_inputs",
                   "model_outputs", "model_inputs", "dataset_summaries",
                   "latest_versions") or where == "unordered":
            node = sorted(node, key=lambda v: json.dumps(v, sort_keys=True))
        return node
    if key in ("creation_time", "last_update_time") and node == 0:
        return "<now>" # the default experiment of ours is as old as time
    if isinstance(node, int) and not isinstance(node, bool) and \
            node > 1_700_000_000_000 and node < 4_000_000_000_000:
        return "<now>"
    return node


def differences(theirs, ours, where=""):
    """Lines that say where two answers differ, and how."""
    if isinstance(theirs, dict) and isinstance(ours, dict) and (
            where or theirs["status"] == ours["status"]):
        return [line for k in {**theirs, **ours} if theirs.get(k, ABSENT) !=
                ours.get(k, ABSENT) for line in differences(
                    theirs.get(k, ABSENT), ours.get(k, ABSENT), f"{where}.{k}")]
    if isinstance(theirs, list) and isinstance(ours, list) and \
            len(theirs) == len(ours):
        return [line for i, (a, b) in enumerate(zip(theirs, ours)) if a != b
                for line in differences(a, b, f"{where}.{i}")]
    return [f"    {where} {who}: " + ("nothing" if v is ABSENT else json.dumps(
        v, ensure_ascii=False))[:400]
            for who, v in (("mlflow", theirs), ("slipway", ours))]


HEX = re.compile(r"\b(m-)?[0-9a-f]{32}\b")
EXPERIMENT = (r'("experiment_id": "|mlflow-artifacts:/|with id=?|ID=|'
              r"experiment_id=)%s(?![0-9])")
LONG = re.compile(r"(\\u[0-9a-f]{4}|.)\1{60,}")
NAME = re.compile(r"\b[a-z]+-[a-z]+-\d{1,4}\b")


class Twin:
    def __init__(self, mlflow_url, our_url):
        self.lines = [Line(mlflow_url), Line(our_url)]
        self.values, self.notes, self.reason = [], [], None
        self.numbers = set() # tokens of experiments
        self.told, self.count = 0, 0
        self.pool = ThreadPoolExecutor(2)

    # ---- tokens ----

    def token(self, values):
        self.values.append(values)
        return f"~{len(self.values) - 1}~"

    def _fill(self, text, side):
        return re.sub(r"~(\d+)~",
                      lambda m: self.values[int(m.group(1))][side], text)

    def _hide(self, text, side):
        # longest first; a number (an experiment) only where it is one
        for i, v in sorted(enumerate(self.values),
                           key=lambda x: -len(x[1][side])):
            if len(v[side]) > 8:
                text = text.replace(v[side], f"~{i}~")
            elif v[side].isdigit() and i in self.numbers:
                text = re.sub(EXPERIMENT % v[side], rf"\1~{i}~", text)
        text = re.sub(r'^\{"experiment_id": "\d+"\}$', "<made>", text)
        return HEX.sub(lambda m: (m.group(1) or "") + "<hex>", text)

    # ---- one request ----

    def call(self, method, path, body=None, headers=None, raw=None,
             random_name=False, beginnings=False, spoilt=False, status_only=False):
        """`random_name`: a name the server makes up is one name.
        `beginnings`: of errors in filters and orders only status and code are
        compared: ours say where the fault is."""
        if not path.startswith("/"):
            path = API + path
        self.count += 1
        headers = dict(headers or {})
        data = raw
        if body is not None:
            data = json.dumps(body)
        if data is not None and not isinstance(data, bytes):
            headers.setdefault("Content-Type", "application/json")
        filled = []
        for side in (0, 1):
            d = data
            if isinstance(d, str):
                d = self._fill(d, side).encode()
            filled.append((method, self._fill(path, side), d, headers))
        jobs = [self.pool.submit(self.lines[s].send, *filled[s])
                for s in (0, 1)]
        pair = Pair(self, [j.result() for j in jobs])
        if "get-latest-versions" in path:
            pair.where = "unordered"
        elif "model-versions/search" in path: # MLflow tells no aliases there
            pair.where = "versions"
        seen = [self._seen(pair, s, random_name, beginnings)
                for s in (0, 1)]
        if status_only:
            seen = [{"status": s["status"]} for s in seen]
        same = seen[0] == seen[1] or self._pardoned(seen, spoilt)
        if self.reason:
            self.told += not same
        elif not same:
            shown = data if isinstance(data, str) else repr(data)
            self.notes.append(f"{method} {path} {(shown or '')[:200]}\n"
                              + "\n".join(differences(*seen))[:1500])
        return pair

    def get(self, path, /, **query):
        if query:
            path += "?" + self.query(query)
        return self.call("GET", path)

    def post(self, path, body=None, **more):
        return self.call("POST", path, {} if body is None else body, **more)

    @staticmethod
    def query(query):
        """Tokens stay as they are (~ is not quoted)."""
        return urllib.parse.urlencode(query, doseq=True, safe="~")

    def _seen(self, pair, side, random_name, beginnings):
        status, headers, body = pair.answers[side]
        kind = headers.get("content-type", "").split(";")[0]
        seen = {"status": status, "kind": kind}
        if status == 405:
            seen["allow"] = sorted(set(
                headers.get("allow", "").replace(" ", "").split(",")))
        if pair.json[side] is not None:
            text = self._hide(json.dumps(pair.json[side]), side)
            text = LONG.sub(r"\1…", text)
            if random_name:
                text = NAME.sub("<name>", text)
            seen["body"] = squeeze(json.loads(text), None, pair.where) if text != "<made>" \
                else text
            if beginnings and status >= 400 and seen["body"]:
                seen["body"] = seen["body"]["error_code"]
        elif kind != "text/html":
            seen["body"] = body.decode("utf-8", "replace")
        return seen

    @staticmethod
    def _pardoned(seen, spoilt):
        theirs, ours = seen
        if theirs["status"] >= 500 or "sqlite3." in str(theirs.get("body")):
            return ours["status"] < 500
        return bool(spoilt) and ours["status"] == 400 and \
            "INVALID_PARAMETER_VALUE" in str(ours["body"])

    # ---- what is meant, what is found ----

    @contextlib.contextmanager
    def meant(self, why):
        self.reason, self.told = why, 0
        yield
        self.reason = None
        if not self.told:
            self.notes.append(f"no longer differs: {why}")

    @contextlib.contextmanager
    def own(self, why):
        """As meant(), for questions that differ in one search and not in
        another; without a reason nothing is excused."""
        self.reason = why
        yield
        self.reason = None

    def done(self):
        notes, self.notes = self.notes, []
        assert not notes, (f"{len(notes)} differences\n" + "\n".join(notes))

    def same(self, what, left, right):
        if left != right:
            self.notes.append(f"{what}\n    mlflow:  {left}\n"
                              f"    slipway: {right}")
