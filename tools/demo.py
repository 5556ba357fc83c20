#!/usr/bin/env python3
"""The example as a short story with computed figures.

Starts a server in a fresh folder with a clock that is set by hand, and walks
eleven years of real prices through the REST API: data, features, search,
gate, deployment, canary, fallback, rollback, drift, labels, retraining.
Every figure is computed while you read; a second run gives the same ones.

  python3 tools/demo.py --bin build/slipway          then keeps serving
  DEMO_ONCE=1 python3 tools/demo.py --bin …          exits at the end

Needs Python's standard library only.
"""
import argparse
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "tech-stocks"
YAML = EXAMPLE / "slipway.yaml"
PRICES = EXAMPLE / "data" / "prices.csv"
STEP_REQUESTS = 100  # of a canary step, as slipway.yaml declares it
SYMBOLS = ["AAPL", "AMZN", "GOOGL", "META", "MSFT", "NVDA", "TSLA"]
TTY = sys.stderr.isatty()


def say(text=""):
    print(text, flush=True)


def head(number, text):
    say(f"\n{number}. {text}")


def note(text):
    """Progress that is not part of the story."""
    if TTY:
        sys.stderr.write("\r\033[K" + text[:100])
        sys.stderr.flush()


class Failed(Exception):
    pass


class Server:
    """`slipway up` in a folder, and its REST API."""

    def __init__(self, binary, folder, clock, listen="127.0.0.1:0"):
        folder.mkdir(parents=True)
        self.folder = folder
        self.log = open(folder / "server.log", "wb")
        self.process = subprocess.Popen(
            [binary, "up", "--data", str(folder / "data"), "--listen", listen,
             "--clock", clock], stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline().decode()
        found = re.search(r"http://([0-9.]+):(\d+)", line)
        if not found:
            raise Failed(f"the server did not start; see {folder}/server.log")
        self.host, self.port = found.group(1), int(found.group(2))
        self.url = f"http://{self.host}:{self.port}"
        self.connection = http.client.HTTPConnection(self.host, self.port,
                                                     timeout=300)

    def send(self, method, path, body, kind):
        """One request; a kept connection that went idle is opened again."""
        headers = {"Content-Type": kind} if body else {}
        for attempt in (1, 2):
            try:
                self.connection.request(method, path, body, headers)
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (http.client.RemoteDisconnected, ConnectionResetError,
                    BrokenPipeError):
                self.connection.close()
                if attempt == 2:
                    raise

    def call(self, method, path, body=None):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        status, data = self.send(method, path, body, "application/json")
        if status >= 300:
            raise Failed(f"{method} {path}: {status} "
                         f"{data.decode(errors='replace')[:500]}")
        return json.loads(data)

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None):
        return self.call("POST", path, {} if body is None else body)

    def job(self, started):
        """Wait for a job and give its result."""
        while True:
            row = self.get(f"/api/v1/jobs/{started['job']}?wait_ms=500")
            if row["state"] == "succeeded":
                note("")
                return row["result"]
            if row["state"] in ("failed", "cancelled"):
                raise Failed(f"job {row['id']} {row['kind']}: {row['error']}")
            note(f"{row['kind']} {row['progress']:.0%} {row.get('note', '')}")

    def clock(self, now):
        self.post("/api/v1/clock", {"now": now})

    def idle(self):
        """Until nothing is queued, running or due."""
        while not self.get("/api/v1/idle?wait_ms=1000")["idle"]:
            running = [j for j in self.get("/api/v1/jobs?limit=5")["jobs"]
                       if j["state"] == "running"]
            if running:
                note(f"{running[0]['kind']} {running[0]['progress']:.0%} "
                     f"{running[0].get('note', '')}")
        note("")

    def upload(self, data):
        status, body = self.send("POST", "/api/v1/uploads", data,
                                 "application/octet-stream")
        if status != 201:
            raise Failed(body.decode())
        return json.loads(body)["upload"]

    def add(self, upload, name="prices.csv", **options):
        return self.job(self.post("/api/v1/datasets/prices/versions", {
            "uploads": [{"upload": upload, "name": name}], **options}))

    def flow(self, run):
        """Wait until a flow run has ended or waits for traffic."""
        while True:
            row = self.get(f"/api/v1/flows/{run}")
            if row["ended"] or row["state"] == "canary":
                note("")
                return row
            running = [j for j in self.get("/api/v1/jobs?limit=5")["jobs"]
                       if j["state"] == "running"]
            if running:
                note(f"{running[0]['kind']} {running[0]['progress']:.0%} "
                     f"{running[0].get('note', '')}")
            time.sleep(0.05)

    def train(self, model):
        run = self.post("/api/v1/flows", {"model": model, "until": "train"})
        row = self.flow(run["run"])
        if row["state"] == "failed":
            raise Failed(row["reason"])
        return row

    def stop(self):
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.log.close()
        return code


def infer_body(symbol, key=None):
    body = {"inputs": [{"name": "symbol", "shape": [1], "datatype": "BYTES",
                        "data": [symbol]}]}
    if key:
        body["parameters"] = {"key": key}
    return body


def predict(server, symbol, key=None):
    answer = server.post("/v2/models/next-range/infer",
                         infer_body(symbol, key))
    return (answer["outputs"][0]["data"][0], answer["parameters"],
            answer.get("model_version"))


def table_of(server, model, version):
    """The search's table, from the job that made the version."""
    for job in server.get(f"/api/v1/jobs?kind=flow.train&subject={model}"
                          "&limit=20")["jobs"]:
        result = job.get("result") or {}
        if result.get("version") == version:
            return result["table"]
    return []


def show_table(rows, scale, unit):
    say(f"   {'candidate':<10} {'trials':>6} {'valid MAE':>10} "
        f"{'test MAE':>10} {'RMSE':>9} {'MAPE':>7} {'R2':>7}")
    for row in rows:
        test, valid = row.get("test"), row.get("valid")
        if not test:
            say(f"   {row['candidate']:<10} {row.get('note', '')}")
            continue
        mark = " <- chosen by validation" if row.get("chosen") else ""
        say(f"   {row['candidate']:<10} {row.get('trials', 0):>6} "
            f"{valid['mae'] * scale:>10.3f} {test['mae'] * scale:>10.3f} "
            f"{test['rmse'] * scale:>9.3f} {test['mape']:>7.1%} "
            f"{test['r2']:>7.3f}{mark}")
    say(f"   (MAE and RMSE in {unit})")


def without_times(text):
    """Measured latency differs from run to run; the story's figures do not."""
    return re.sub(r"p99 of one prediction [0-9.e-]+ ms, within",
                  "p99 of one prediction is within", text)


def gate_words(gate):
    for check in gate["checks"]:
        word = "passed" if check["passed"] else \
            "skipped" if check.get("skipped") else "REFUSED"
        say(f"   {word:<8}{without_times(check['why'])}")
    say(f"   verdict: {gate['verdict']}")


def gate_of(server, model, version):
    row = server.get(f"/api/v1/models/{model}/versions/{version}")["version"]
    gate = row.get("gate")
    return json.loads(gate) if isinstance(gate, str) else gate


def rows_by_day(path, start, end):
    """Header, and the CSV lines of each trading day in [start, end]."""
    days = {}
    with open(path, newline="") as f:
        header = f.readline()
        for line in f:
            day = line[:10]
            if start <= day <= end:
                days.setdefault(day, []).append(line)
    return header, days


def ride_canary(server, run):
    """Requests of one user after the other until the run has left its canary:
    who answered.  Each step gets exactly the canary answers it asks for."""
    asked, by, in_step = 0, {}, 0
    while asked < 20000:
        _, params, _ = predict(server, SYMBOLS[asked % 7], f"user-{asked}")
        who = params["served_by"]
        by[who] = by.get(who, 0) + 1
        asked += 1
        in_step += who == "canary"
        if in_step == STEP_REQUESTS:
            in_step = 0
            server.idle()
            if server.get(f"/api/v1/flows/{run}")["state"] != "canary":
                break
    return server.flow(run), asked, by


def steps_words(row):
    for step in row["steps"]:
        say(f"   {step['step']:<10} {without_times(step['reason'])}")


def latest_run(server, model, after=0):
    runs = [r for r in server.get(f"/api/v1/flows?model={model}")["flows"]
            if r["id"] > after]
    return runs[0] if runs else None


# ---- the story ----

def act_one(server):
    head(1, "Data: two dataset versions of one file of real prices")
    yaml = (EXAMPLE / "slipway.yaml").read_bytes()
    server.call("PUT", "/api/v1/project?file=slipway.yaml", yaml)
    upload = server.upload(PRICES.read_bytes())
    first = server.add(upload, until="2023-08-31")
    say(f"   prices@{first['version']} until 2023-08-31: "
        f"{first['row_count']:,} rows, {first['quarantined_count']} "
        f"quarantined, {first['hash'][:12]}")
    server.idle()

    head(2, "Training as of 2023-08-31: a search over XGBoost, SVR and an "
            "autoregressive network, against a rule")
    runs = {m: server.post("/api/v1/flows", {"model": m, "until": "train"})
            for m in ("next-range", "next-close")}
    rows = {m: server.flow(r["run"]) for m, r in runs.items()}
    for row in rows.values():
        if row["state"] == "failed":
            raise Failed(row["reason"])
    say("   next-range: log of tomorrow's high over its low; the rule is the "
        "mean of the last 5 days")
    show_table(table_of(server, "next-range", 1), 1e4, "ten-thousandths")
    say("   next-close: tomorrow's close; the rule is today's close")
    show_table(table_of(server, "next-close", 1), 1, "dollars")

    head(3, "Reproduce: the first model rebuilt from its pins")
    same = server.job(server.post(
        "/api/v1/models/next-range/versions/1/reproduce"))
    say(f"   model {same['model'][:12]}, rebuilt {same['rebuilt'][:12]}: "
        f"{'equal bytes' if same['equal'] else 'DIFFERENT'}")
    if not same["equal"]:
        raise Failed(f"not reproduced: {same['first_difference']}")

    head(4, "The gate: is it shown, not hoped, that the model is better?")
    for model in ("next-range", "next-close"):
        server.job(server.post(f"/api/v1/models/{model}/versions/1/gate"))
        say(f"   {model}/1")
        gate_words(gate_of(server, model, 1))
    if gate_of(server, "next-range", 1)["verdict"] != "passed":
        raise Failed("next-range/1 was expected to pass its gate")
    if gate_of(server, "next-close", 1)["verdict"] != "refused":
        raise Failed("next-close/1 was expected to be refused")
    say("   next-close is not shipped: nobody forecasts the close from "
        "yesterday's prices, and the rule serves.")

    head(5, "Deployment as a REST API, and a prediction by curl")
    server.post("/api/v1/deployments/next-range/deploy",
                {"version": 1, "why": "passed the gate"})
    server.idle()
    url = f"{server.url}/v2/models/next-range/infer"
    body = json.dumps(infer_body("TSLA"))
    say(f"   $ curl -s {url} -d '{body}'".replace(server.url, "$URL"))
    if shutil.which("curl"):
        out = subprocess.run(["curl", "-s", url, "-d", body],
                             capture_output=True, text=True, check=True)
        answer = json.loads(out.stdout)
    else:
        answer = server.post("/v2/models/next-range/infer", infer_body("TSLA"))
    value = answer["outputs"][0]["data"][0]
    say(f"   {json.dumps(answer['outputs'][0])}")
    say(f"   Tesla's range on 2023-09-01 should be {value:.4f} "
        f"({value * 100:.1f} % of its price); answered by the "
        f"{answer['parameters']['served_by']}, version "
        f"{answer['model_version']}")

    head(6, "September's prices arrive: a new version, an automatic retrain, "
            "a canary")
    before = latest_run(server, "next-range")["id"]
    server.clock("2023-09-30T22:00:00Z")
    second = server.add(upload, until="2023-09-30")
    say(f"   prices@{second['version']} until 2023-09-30: "
        f"{second['row_count']:,} rows; {second['new_size'] / 1e3:.0f} kB new "
        f"on disk, of {second['size'] / 1e3:.0f} kB")
    diff = server.get("/api/v1/datasets/prices/diff?from=1&to=2")
    rows = diff["rows"]
    say(f"   diff: {rows['added']} rows added, {rows['removed']} removed, "
        f"{rows['changed']} changed")
    server.idle()
    run = latest_run(server, "next-range", before)
    if not run:
        raise Failed("no automatic retrain was started")
    row = server.flow(run["id"])
    sent, by = 0, {}
    if row["state"] == "canary":
        row, sent, by = ride_canary(server, run["id"])
    steps_words(row)
    if by:
        say(f"   {sent} users asked meanwhile: "
            + ", ".join(f"{n} by the {who}" for who, n in sorted(by.items())))
    if row["version"]:
        say("   the search behind version 2:")
        show_table(table_of(server, "next-range", row["version"]), 1e4,
                   "ten-thousandths")

    head(7, "The champion broken on purpose: the rule answers")
    server.post("/api/v1/deployments/next-range/drill", {"mode": "nan"})
    value, params, _ = predict(server, "TSLA")
    say(f"   champion says NaN -> {value:.4f} by the {params['served_by']} "
        f"({params.get('fallback_reason', '')})")
    server.post("/api/v1/deployments/next-range/drill", {"mode": ""})
    value, params, version = predict(server, "TSLA")
    say(f"   drill over        -> {value:.4f} by the {params['served_by']}, "
        f"version {version}")

    head(8, "Rollback: one pointer")
    state = server.get("/api/v1/deployments/next-range")["deployment"]
    if state["previous_version"]:
        server.post("/api/v1/deployments/next-range/rollback",
                    {"why": "shown in the demo"})
        value, params, version = predict(server, "TSLA")
        say(f"   version {state['champion_version']} -> version {version}: "
            f"{value:.4f} by the {params['served_by']}")
        server.post("/api/v1/deployments/next-range/rollback",
                    {"why": "and back again"})
        _, _, version = predict(server, "TSLA")
        say(f"   and back to version {version}; the history knows who, when "
            "and why")
    else:
        say("   nothing was promoted, so there is nothing to roll back to")

    head(9, "Drift: was spring 2020 like 2019?")
    columns = ["range_lag0", "range_mean5", "return_1d", "return_5d",
               "gap_abs", "close_place", "volume_ratio", "market_range",
               "market_return"]
    ask = {"views": ["ranges", "volatility", "market"], "columns": columns}
    crash = server.post("/api/v1/drift", {
        **ask, "reference": {"from": "2019-01-01", "to": "2019-12-31"},
        "window": {"from": "2020-02-20", "to": "2020-04-30"}})
    say(f"   2020-02-20..04-30 against 2019: {crash['verdict']}, "
        f"{crash['drifted_columns']} of {crash['judged_columns']} columns "
        "moved")
    say(f"   {'column':<14} {'PSI':>6} {'KS':>6} {'p':>8} {'adjusted':>9}")
    for c in crash["columns"]:
        say(f"   {c['name']:<14} {c['psi']:>6.2f} {c['ks']:>6.2f} "
            f"{c['p']:>8.4f} {c['adjusted_p']:>9.4f}"
            f"{'  moved' if c['drifted'] else ''}")
    quiet = server.post("/api/v1/drift", {
        **ask, "reference": {"from": "2018-12-01", "to": "2019-11-30"},
        "window": {"from": "2019-12-01", "to": "2019-12-31"}})
    least = min(c["adjusted_p"] for c in quiet["columns"])
    say(f"   December 2019 against the year before: {quiet['verdict']}, "
        f"smallest adjusted p {least:.2f}")
    if crash["verdict"] != "drift" or quiet["verdict"] != "ok":
        raise Failed("the drift test did not tell the crash from a quiet month")

    head(10, "October, day by day: predictions, and labels a day later")
    replay(server, "2023-10-02", "2023-10-20")
    window = server.get("/api/v1/monitors/next-range?limit=1")["windows"]
    if window:
        words_of_window(window[0])


def words_of_window(window):
    p = window["performance"]
    if p["model"] is None:
        say(f"   window: {window['rows']} predictions, no labels yet")
        return
    tail = f", p that it is worse {p['p']:.3f}" if p["p"] is not None else ""
    say(f"   window of {p['labelled']} labelled predictions: error "
        f"{p['model'] * 1e4:.1f} against {p['other'] * 1e4:.1f} of the rule "
        f"(ten-thousandths){tail}; verdict {window['verdict']}")


def replay(server, start, end, after_day=None):
    """A day: its prices arrive, labels of yesterday follow, 7 predictions.
    `after_day(day)` may end the replay by answering True."""
    header, days = rows_by_day(PRICES, start, end)
    for number, (day, lines) in enumerate(sorted(days.items())):
        note(f"{day} ({number + 1} of {len(days)})")
        server.clock(f"{day}T22:00:00Z")
        upload = server.upload((header + "".join(lines)).encode())
        server.add(upload, mode="append")
        server.idle()
        for symbol in SYMBOLS:
            predict(server, symbol)
        if after_day and after_day(day):
            break
    note("")
    say(f"   {number + 1} trading days from {start} to {day}, "
        f"{(number + 1) * len(SYMBOLS)} predictions")


class Pandemic:
    """Tells alerts and retrains as they come; ends when the rule serves."""

    def __init__(self, server, last_run):
        self.server, self.last_run, self.told = server, last_run, set()

    def __call__(self, day):
        for alert in self.server.get("/api/v1/alerts")["alerts"]:
            if alert["id"] not in self.told:
                self.told.add(alert["id"])
                note("")
                say(f"   {day} ALERT, {alert['kind']}: {alert['reason']}")
        run = latest_run(self.server, "next-range", self.last_run)
        if run:
            self.last_run = run["id"]
            row = self.server.flow(run["id"])
            if row["state"] == "canary":
                row, _, _ = ride_canary(self.server, run["id"])
            say(f"   {day} automatic retrain, started by {row['trigger']}:")
            steps_words(row)
        state = self.server.get("/api/v1/deployments/next-range")
        return state["deployment"]["withdrawn"]


def act_two(server):
    head(11, "The same loop in 2020: a model of the end of 2019 meets the "
             "pandemic")
    yaml = (EXAMPLE / "slipway.yaml").read_text()
    for old, new in (("test: 180d", "test: 90d"),
                     ("new_data: 28d", "new_data: 120d"),
                     ("cooldown: 28d", "cooldown: 5d")):
        yaml = yaml.replace(old, new)
    server.call("PUT", "/api/v1/project?file=slipway.yaml", yaml.encode())
    upload = server.upload(PRICES.read_bytes())
    server.add(upload, until="2019-12-31")
    server.idle()
    run = server.post("/api/v1/flows", {"model": "next-range"})
    row = server.flow(run["run"])
    steps_words(row)
    if row["state"] != "promoted":
        raise Failed(f"the model of 2019 was not deployed: {row['reason']}")
    server.clock("2020-02-14T22:00:00Z")
    server.add(upload, until="2020-02-14")
    server.idle()
    pandemic = Pandemic(server, run["run"])
    replay(server, "2020-02-18", "2020-03-31", pandemic)
    if not pandemic.told:
        raise Failed("no alert was raised in spring 2020")
    windows = server.get("/api/v1/monitors/next-range?limit=1")["windows"]
    words_of_window(windows[0])
    _, params, version = predict(server, "AAPL")
    say(f"   now answering: the {params['served_by']}"
        + (f" ({params['fallback_reason']})"
           if params.get("fallback_reason") else f", version {version}"))

    head(12, "Until the end of August 2020: fresh data, another try")
    server.clock("2020-08-31T22:00:00Z")
    server.add(upload, until="2020-08-31")
    server.idle()
    last = latest_run(server, "next-range", pandemic.last_run)
    if not last:
        raise Failed("fresh data started no retrain")
    row = server.flow(last["id"])
    if row["state"] == "canary":
        row, _, _ = ride_canary(server, last["id"])
    steps_words(row)
    _, params, version = predict(server, "AAPL")
    say(f"   now answering: the {params['served_by']}, version {version}")


def act_three(binary, folder):
    head(13, "Was it worth it? Five years lived through again, by three "
         "policies")
    note("notebook: trees on raw prices, trained once at the end of 2018, "
         "never looked after. slipway: next-close as declared. rule: "
         "tomorrow's close is today's.")
    say(f"   $ slipway rehearse {YAML.relative_to(ROOT)} "
        "--from 2019-01-01 --to 2023-12-29")
    done = subprocess.run(
        [binary, "rehearse", str(YAML), "--from", "2019-01-01", "--to",
         "2023-12-29", "--data", str(folder / "rehearsal")],
        stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Failed("the rehearsal failed, see above")
    for line in done.stdout.splitlines():
        if not line.startswith(("training took", "each policy")):
            say(f"   {line}" if line else "")


def listen_address(once):
    """Where a person will look for it, unless something is there already."""
    if not once:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", 8080))
                return "127.0.0.1:8080"
            except OSError:
                pass
    return "127.0.0.1:0"


def where_to_look(server, folder, once):
    check = server.get("/api/v1/events/verify")
    say(f"\nThe event log holds {check['events']} events; its hash chain is "
        f"{'whole' if check['whole'] else 'BROKEN'}.")
    if once:
        say("Without DEMO_ONCE the server would now go on serving.")
        return
    say(f"""
Where to look (the server keeps running at {server.url}; Ctrl-C ends it):
   export SLIPWAY_URL={server.url}
   build/slipway status
   build/slipway data log prices
   build/slipway models lineage next-range 1
   build/slipway deployments show next-range
   build/slipway predict next-range AAPL TSLA
   curl $SLIPWAY_URL/metrics
   python -c "import pandas; print(pandas.read_parquet('{server.url}/api/v1/datasets/prices/versions/2023-08-31/data.parquet'))"
   MLFLOW_TRACKING_URI={server.url} mlflow runs list --experiment-id 1
   data and log: {folder}""")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=str(ROOT / "build" / "slipway"))
    parser.add_argument("--listen")
    args = parser.parse_args()
    once = bool(os.environ.get("DEMO_ONCE"))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="slipway-demo-"))
    servers = []
    begin = time.monotonic()
    try:
        say("Slipway: the loop of a machine-learning model, on eleven years "
            "of real prices of seven technology stocks.")
        servers.append(Server(args.bin, folder / "one",
                              "2023-08-31T22:00:00Z",
                              args.listen or listen_address(once)))
        act_one(servers[0])
        servers.append(Server(args.bin, folder / "two",
                              "2019-12-31T22:00:00Z"))
        act_two(servers[1])
        if servers[1].stop() != 0:
            raise Failed("the second server did not end cleanly")
        servers.pop()
        act_three(args.bin, folder)
        sys.stderr.write(f"(the story took {time.monotonic() - begin:.0f} s)\n")
        where_to_look(servers[0], folder, once)
        if not once:
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
        code = servers.pop().stop()
        if once:
            shutil.rmtree(folder)
        return 0 if code == 0 else 1
    except Failed as e:
        say(f"\ndemo: {e}\n(data and log in {folder})")
        return 1
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        return 130
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.process.terminate()
                server.process.wait(30)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, set())
    sys.exit(main())
