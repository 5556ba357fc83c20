"""Alerts leave the house: to a webhook that sometimes fails, and to a real
Alertmanager where tools/setup.sh has unpacked one."""
import http.server
import json
import pathlib
import socket
import subprocess
import threading
import urllib.request

import pytest

from conftest import ROOT, SHOPS_YAML, Shops, eventually

FOLDER = ROOT / ".deps" / "alertmanager"
MONITORED = SHOPS_YAML + """
monitors:
  next-amount:
    window: 30d
    min_rows: 10
    columns: [amount_lag0, amount_lag1, amount_lag2]
    drift: {alpha: 0.05, floor: 0.25}
"""


class Receiver:
    """A webhook's other side: keeps what comes, answers as told."""

    def __init__(self):
        self.got, self.answers = [], []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answers.pop(0) if receiver.answers else 200
                if status == 200:
                    receiver.got.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    r = Receiver()
    yield r
    r.close()


@pytest.fixture
def watched(tmp_path):
    with Shops(tmp_path, yaml=MONITORED) as s:
        s.train().deploy(1)
        yield s


def columns_of(s):
    return s.get("/v2/models/next-amount")["parameters"]["columns"]


def predict_days(s, first_day, days, level, swing):
    """A row a shop and day, with features around a level."""
    names = columns_of(s)
    for i in range(days):
        day = f"2023-11-{first_day + i:02d}"
        for k in range(6):
            value = level + swing * (k - 2.5) + i
            s.post("/v2/models/next-amount/infer", {
                "parameters": {"key": f"S{k}", "event_time": day},
                "inputs": [{"name": n, "shape": [1], "datatype": "FP64",
                            "data": [value + j]}
                           for j, n in enumerate(names)]})


def judge(s, start, end):
    return s.post("/api/v1/monitors/next-amount/window",
                  {"from": start, "to": end})


def raise_drift(s):
    predict_days(s, 1, 8, level=900, swing=30)
    window = judge(s, "2023-11-01", "2023-11-08")
    assert window["verdict"] == "drift", window
    alerts = s.get("/api/v1/alerts?state=open")["alerts"]
    assert [a["kind"] for a in alerts] == ["drift"]
    return alerts[0]


def test_an_alert_is_raised_once_sent_once_and_can_be_taken_on(watched,
                                                               receiver):
    watched.post("/api/v1/notify", {"webhooks": [receiver.url]}, "PUT")
    alert = raise_drift(watched)
    eventually(lambda: receiver.got, 30, "the webhook to be called")
    sent = receiver.got[0]
    assert sent["kind"] == "monitor.alert"
    assert sent["deployment"] == "next-amount"
    assert sent["alert"]["reason"] == alert["reason"]
    judge(watched, "2023-11-01", "2023-11-08")
    again = watched.get("/api/v1/alerts")["alerts"]
    assert len(again) == 1, "an open alert is not raised twice"
    taken = watched.cli_json("alerts", "ack", alert["id"], "--who", "anna")
    assert "anna" in json.dumps(taken) or "anna" in json.dumps(
        watched.get("/api/v1/alerts")["alerts"])
    watched.idle()
    assert len([g for g in receiver.got if g["kind"] == "monitor.alert"]) == 1


def test_a_webhook_that_fails_is_tried_again(watched, receiver):
    receiver.answers = [500, 503]
    watched.post("/api/v1/notify", {"webhooks": [receiver.url]}, "PUT")
    raise_drift(watched)
    eventually(lambda: receiver.got, 60, "the third attempt")
    assert receiver.answers == []


def test_a_webhook_that_never_answers_keeps_nobody_waiting(watched):
    with socket.create_server(("127.0.0.1", 0)) as hole:
        watched.post("/api/v1/notify", {"webhooks": [
            f"http://127.0.0.1:{hole.getsockname()[1]}/"]}, "PUT")
        raise_drift(watched)
        assert watched.call("GET", "/api/v1/alerts", timeout=3).status == 200
        assert watched.call("GET", "/health", timeout=3).status == 200


def test_the_alert_is_in_the_metrics(watched):
    raise_drift(watched)
    text = watched.call("GET", "/metrics").text
    lines = [x for x in text.splitlines()
             if "alert" in x and not x.startswith("#")]
    assert any("next-amount" in x and x.endswith(" 1") for x in lines), lines


def test_an_address_that_is_none_is_refused(server):
    for body in ({"webhooks": ["ftp://x"]}, {"webhooks": ["x"]},
                 {"alertmanager": "nowhere"}):
        answer = server.call("PUT", "/api/v1/notify", body)
        assert answer.status == 400 and "http" in answer.json["error"], body


# ---- the real ones ----

def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


@pytest.fixture
def alertmanager(tmp_path):
    program = FOLDER / "alertmanager"
    if not program.exists():
        pytest.skip("tools/setup.sh test has not unpacked Alertmanager")
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    url = f"http://127.0.0.1:{free_port()}"
    with open(tmp_path / "alertmanager.log", "wb") as log:
        p = subprocess.Popen(
            [program, f"--config.file={config}",
             f"--storage.path={tmp_path / 'am'}", "--cluster.listen-address=",
             f"--web.listen-address={url.removeprefix('http://')}"],
            stdout=log, stderr=log)

    def ready():
        try:
            return urllib.request.urlopen(url + "/-/ready").status == 200
        except OSError:
            return False
    eventually(ready, 30, "Alertmanager")
    yield url
    p.terminate()
    p.wait(20)


def test_the_real_alertmanager_gets_the_alert(watched, alertmanager):
    watched.post("/api/v1/notify", {"alertmanager": alertmanager + "/"}, "PUT")
    # Alertmanager forgets what ended: the alert must be young by its clock,
    # and it is a manual clock that stamps it.
    alert = raise_drift(watched)

    def listed():
        with urllib.request.urlopen(alertmanager + "/api/v2/alerts") as r:
            return json.load(r)
    got = eventually(listed, 30, "the alert in Alertmanager")
    assert len(got) == 1
    assert got[0]["labels"] == {
        "alertname": "SlipwayDrift", "deployment": "next-amount",
        "kind": "drift", "severity": "warning"}
    assert got[0]["annotations"]["summary"] == alert["reason"]
    assert got[0]["status"]["state"] == "active"


def test_promtool_finds_nothing_wrong_with_the_metrics(watched):
    program = FOLDER / "promtool"
    if not program.exists():
        pytest.skip("tools/setup.sh test has not unpacked promtool")
    raise_drift(watched)
    text = watched.call("GET", "/metrics").body
    done = subprocess.run([program, "check", "metrics"], input=text,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, (done.stdout, done.stderr)
