"""Fixtures of the black-box tests: a real server on a free port.

SLIPWAY_BIN is the binary under test (the sanitized one in `make test`).  Every
server runs in a temporary folder, is ended by SIGTERM and must exit with 0.
Nothing sleeps to wait: `eventually` polls with a limit.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = os.environ.get("SLIPWAY_BIN", str(ROOT / "build" / "slipway"))
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
        code = self.process.wait(60)
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


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path) as s:
        yield s


@pytest.fixture(scope="session")
def bin_path():
    return BIN
