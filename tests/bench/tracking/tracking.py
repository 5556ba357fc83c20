"""`make bench-tracking`: tracking against MLflow's own server, in one run and
by one load program; prints ratios and exits with 1 when one is missed.

Acknowledged means on disk, for both.  The load program of tests/bench/load.c
takes little of the machine; searches and histories are asked for by one
client, one at a time, and their medians compared.  MLflow is measured with one
worker and with four, its default, and the better of the two counts.
"""
import http.client
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent)]
import peer  # noqa: E402
from floors import row, run  # noqa: E402
from conftest import Server  # noqa: E402

TOOLS = pathlib.Path(os.environ["SLIPWAY_BENCH_TOOLS"])
API = "/api/2.0/mlflow/"
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))


class Client:
    """One kept connection, as a client has it."""

    def __init__(self, port):
        self.c = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self.connect()

    def connect(self):
        self.c.connect()
        self.c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body)
        head = {"Content-Type": "application/json"}
        try:
            self.c.request(method, path, data, head)
            answer = self.c.getresponse()
        except http.client.RemoteDisconnected:  # idle for too long
            self.c.close()
            self.connect()
            self.c.request(method, path, data, head)
            answer = self.c.getresponse()
        text = answer.read()
        assert answer.status == 200, (answer.status, text[:500])
        return text

    def post(self, path, body):
        return json.loads(self.call("POST", API + path, body))

    def median_ms(self, times, method, path, body=None):
        self.call(method, path, body)
        took = []
        for _ in range(times):
            begin = time.perf_counter()
            self.call(method, path, body)
            took.append((time.perf_counter() - begin) * 1000)
        return statistics.median(took)


# ---- writes ----

MARK = "#########"  # becomes the request's number


def text(body):
    """JSON in which marks are numbers, whole or behind a point."""
    return json.dumps(body).replace(f'"{MARK}"', MARK).replace(
        f'"0.{MARK}"', f"0.{MARK}")


def bodies(folder, runs, experiment):
    """Files for the load program, by act."""
    metric = [{"run_id": r, "key": "loss", "value": f"0.{MARK}",
               "timestamp": 1700000000000, "step": MARK} for r in runs]
    batch = [{"run_id": r, "metrics": [
        {"key": f"metric_{k}", "value": f"0.{MARK}",
         "timestamp": 1700000000000, "step": MARK}
        for k in range(100)]} for r in runs]
    create = [{"experiment_id": experiment, "user_id": "bench",
               "start_time": 1700000000000, "run_name": "a-run",
               "tags": [{"key": "mlflow.user", "value": "bench"},
                        {"key": "mlflow.source.name", "value": "train.py"}]}]
    files = {}
    for act, all_of in (("log-metric", metric), ("log-batch", batch),
                        ("create", create)):
        files[act] = []
        for i, b in enumerate(all_of):
            file = folder / f"{act}-{i}.json"
            file.write_text(text(b))
            files[act].append(str(file))
    return files


PATHS = {"log-metric": "runs/log-metric", "log-batch": "runs/log-batch",
         "create": "runs/create"}


def load(port, act, connections, files, tries):
    for _ in range(tries):
        done = subprocess.run(
            [TOOLS / "load", str(port), "POST", API + PATHS[act],
             str(connections), str(SECONDS), *files[act]],
            text=True, capture_output=True, timeout=120)
        if done.returncode == 0:
            return json.loads(done.stdout)
    sys.exit(f"bench: load {act} failed: {done.stdout}{done.stderr}")


def write_rates(port, folder, connection_counts, tries=1):
    """Requests a second by (act, connections)."""
    c = Client(port)
    experiment = c.post("experiments/create", {
        "name": f"writes-{time.time_ns()}"})["experiment_id"]
    runs = [c.post("runs/create", {"experiment_id": experiment})
            ["run"]["info"]["run_id"] for _ in range(64)]
    files = bodies(folder, runs, experiment)
    return {(act, n): load(port, act, n, files, tries)
            for act in PATHS for n in connection_counts}


def writes(folder):
    peer.database(folder)
    theirs = {}
    for workers in (1, 4):
        with peer.server(folder, workers) as (port, _):
            # MLflow refuses a write under load now and then (400): once more
            for key, got in write_rates(port, folder, (1, 16), 3).items():
                if got["requests_s"] > theirs.get(key, got)["requests_s"] or \
                        key not in theirs:
                    theirs[key] = {**got, "workers": workers}
    with Server(folder) as s:
        ours = write_rates(int(s.url.rsplit(":", 1)[1]), folder, (1, 16, 64))
    for act, connections, floor in (
            ("log-metric", 1, 5), ("log-metric", 16, 50),
            ("log-metric", 64, 200), ("log-batch", 1, 10),
            ("log-batch", 16, 100), ("create", 1, 5), ("create", 16, 40)):
        a, b = ours[act, connections], theirs[act, min(connections, 16)]
        row(f"{act}{' of 100' * (act == 'log-batch')}, {connections} "
            f"connection{'s' * (connections > 1)}",
            a["requests_s"] / b["requests_s"], floor,
            f"{a['requests_s']:.0f}/s (p50 {a['p50_us'] / 1000:.2f}, p99 "
            f"{a['p99_us'] / 1000:.1f} ms) to {b['requests_s']:.0f}/s (p50 "
            f"{b['p50_us'] / 1000:.1f} ms, {b['workers']} workers, "
            f"{min(connections, 16)} connections)")


# ---- searches ----

def seed(folder, runs, points):
    done = subprocess.run([TOOLS / "seed", folder / "data", str(runs), "20",
                           "20", str(points)], text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"bench: seed failed: {done.stderr}")
    return json.loads(done.stdout)


QUERIES = {
    "filter and order, 100 of": {
        "filter": "metrics.metric_0 > 0.5 AND params.param_1 = '3'",
        "order_by": ["metrics.metric_2 DESC"], "max_results": 100},
    "three clauses, 20 of": {
        "filter": "metrics.metric_0 > 0.5 AND metrics.metric_3 < 0.9 AND "
                  "params.param_1 = '3'", "max_results": 20},
    "no filter, 1,000 of": {"max_results": 1000},
}


def search_times(port, times):
    c = Client(port)
    experiment = json.loads(c.call(
        "GET", API + "experiments/get-by-name?experiment_name=bench")
    )["experiment"]["experiment_id"]
    got = {}
    for what, query in QUERIES.items():
        body = {"experiment_ids": [experiment], **query}
        found = c.post("runs/search", body)["runs"]
        got[what] = (c.median_ms(times, "POST", API + "runs/search", body),
                     [r["info"]["start_time"] for r in found])
    return got


def search(folder):
    runs = int(os.environ.get("BENCH_RUNS", "10000"))
    peer.database(folder, runs)
    theirs = {}
    for workers in (1, 4):
        with peer.server(folder, workers) as (port, _):
            for what, got in search_times(port, 5).items():
                if what not in theirs or got[0] < theirs[what][0]:
                    theirs[what] = got
    seed(folder, runs, 0)
    with Server(folder) as s:
        ours = search_times(int(s.url.rsplit(":", 1)[1]), 25)
    for what in QUERIES:
        assert ours[what][1] == theirs[what][1], f"{what}: other runs found"
        row(f"search: {what} {runs:,}", theirs[what][0] / ours[what][0], 50,
            f"{ours[what][0]:.2f} ms to {theirs[what][0]:.0f} ms")
    return {what: got[0] for what, got in ours.items()}


def million(folder):
    """The same at a million runs, against ourselves at ten thousand."""
    small, large = folder / "small", folder / "large"
    times = {}
    for where, runs in ((small, 10000), (large, 1000000)):
        where.mkdir()
        took = seed(where, runs, 0)["seconds"]
        print(f"# {runs:,} runs written in {took:.0f} s", flush=True)
        with Server(where) as s:
            times[where] = search_times(int(s.url.rsplit(":", 1)[1]), 15)
            if where == large:
                rss = peer.resident_mb(s.process.pid)
    for what in QUERIES:
        a, b = times[large][what][0], times[small][what][0]
        row(f"search: {what} 1,000,000 to 10,000", a / b, 4,
            f"{a:.2f} ms to {b:.2f} ms", least=False)
    row("memory after searching 1,000,000 runs", rss, 150, "VmRSS", "MB",
        least=False)


# ---- histories ----

PAGE = 25000  # as the client asks


def history_ms(port, run_id, count):
    c = Client(port)
    token, seen, took = "", 0, 0
    while True:
        begin = time.perf_counter()
        text = c.call(
            "GET", f"{API}metrics/get-history?run_id={run_id}"
            f"&run_uuid={run_id}&metric_key=loss&max_results={PAGE}"
            + (f"&page_token={token}" if token else ""))
        took += (time.perf_counter() - begin) * 1000
        page = json.loads(text)  # the client's work, the same for both
        seen += len(page.get("metrics", []))
        token = page.get("next_page_token")
        if not token:
            break
    assert seen == count, (seen, count)
    return took


def history(folder):
    count = 100000
    long = peer.database(folder, points=count)
    with peer.server(folder, 1) as (port, _):
        history_ms(port, long, count)
        theirs = statistics.median(history_ms(port, long, count)
                                   for _ in range(3))
    ours_id = seed(folder, 0, count)["run_id"]
    with Server(folder) as s:
        port = int(s.url.rsplit(":", 1)[1])
        history_ms(port, ours_id, count)
        ours = statistics.median(history_ms(port, ours_id, count)
                                 for _ in range(9))
    row("history of 100,000 points, pages of 25,000", theirs / ours, 40,
        f"{ours:.0f} ms to {theirs:.0f} ms")


def points(folder):
    """Ten million points stored, one metric of a million read back."""
    run_id = seed(folder, 0, 1000000)["run_id"]
    with Server(folder) as s:
        port = int(s.url.rsplit(":", 1)[1])
        c = Client(port)
        path = f"{API}metrics/get-history?run_id={run_id}&metric_key=loss"
        whole = c.median_ms(3, "GET", path)
        row("1,000,000 points in one answer", whole, 1000, "", "ms",
            least=False)
        fewer = c.median_ms(
            9, "GET", f"/api/v1/runs/history?run={run_id}&metric=loss"
            "&points=1000")
        row("1,000,000 points thinned for a chart", fewer, 50, "", "ms",
            least=False)
    other = folder / "ten"
    other.mkdir()
    run_id = seed(other, 0, 10000000)["run_id"]
    with Server(other) as s:
        port = int(s.url.rsplit(":", 1)[1])
        c = Client(port)
        for _ in range(20):
            c.call("GET", f"{API}metrics/get-history?run_id={run_id}"
                   f"&metric_key=loss&max_results={PAGE}")
            c.post("runs/log-metric", {
                "run_id": run_id, "key": "loss", "value": 1.5,
                "timestamp": 1700000000000, "step": 1})
        row("memory with 10,000,000 points stored",
            peer.resident_mb(s.process.pid), 150, "VmRSS", "MB", least=False)


# ---- start, memory ----

def start(folder):
    took, rss = [], []
    for i in range(9):
        (folder / str(i)).mkdir()
        begin = time.perf_counter()
        with Server(folder / str(i)) as s:
            took.append((time.perf_counter() - begin) * 1000)
            time.sleep(0.5)
            rss.append(peer.resident_mb(s.process.pid))
    row("start to first answer", min(took), 50, "best of 9", "ms", least=False)
    ours = statistics.median(rss)
    row("memory of an idle server", ours, 25, "VmRSS", "MB", least=False)
    peer.database(folder)
    with peer.server(folder, 1) as (port, pid):
        Client(port).call("GET", "/health")
        time.sleep(2)
        theirs = peer.resident_mb(pid)
    row("memory of an idle server, to MLflow's", theirs / ours, 70,
        f"{ours:.1f} MB to {theirs:.0f} MB with one worker")


if __name__ == "__main__":
    sys.exit(run((writes, search, history, points, start, million),
                 only_when_named=("million",)))
