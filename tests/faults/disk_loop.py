#!/usr/bin/env python3
"""A disk that fails at each call in turn.

    tests/faults/disk_loop.py                  every call of a short session
    tests/faults/disk_loop.py --every 10       each tenth, for a first look

A short session (uploads, a run with an artifact, predictions, deployments,
a new day with its ingest, refresh, labels and window) makes some hundreds of
calls that change files.  It is repeated with call number 1, 2, 3 … failing:
no space, an I/O error, a write cut short, a sync that fails, the disk full
from there on, or the process dead.  The same for a start of the server.

Each answer must acknowledge, or refuse with one sentence and a status that
says who is to blame; the server lives on and works again when the disk does;
after a start on a good disk `slipway verify` finds no fault and everything
that was acknowledged is there.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from kill_loop import (ALL_CLASSES, HAND, IO_ERROR, NO_SPACE,  # noqa
                       NO_SYNC, ROOT, SHORT_WRITE, Broken, Caller,
                       Gone, Life, workplace)

LASTING = 1 << 40
KINDS = {"no space": (NO_SPACE, 0), "I/O error": (IO_ERROR, 0),
         "short write": (SHORT_WRITE, 1), "no sync": (NO_SYNC, 0),
         "full from there on": (NO_SPACE, LASTING), "dead": (0, 0),
         "dead at a sync": (0, 0)}
CLASSES = {"no sync": 2, "short write": 1, "dead at a sync": 2}
DEAD = ("dead", "dead at a sync")


class Refused(Exception):
    pass


class Polite(Caller):
    """A refusal is an outcome, if it is a proper one."""

    def ok(self, method, path, body=None, also=(), kind="application/json"):
        began = time.monotonic()
        status, raw = self.call(method, path, body, kind)
        if time.monotonic() - began > 40:
            raise Broken(f"{method} {path} took {time.monotonic() - began} s")
        if status in also:
            return None
        if status in (200, 201, 202):
            return json.loads(raw) if raw else {}
        if status not in (500, 503, 507):
            raise Broken(f"{method} {path} answered {status} {raw[:300]!r}")
        said = json.loads(raw)
        said = said.get("message") or said.get("error")
        said = said if isinstance(said, str) else (said or {}).get("message")
        if not said or "\n" in said or len(said) < 15:
            raise Broken(f"{method} {path}: {status} with no sentence: {raw!r}")
        raise Refused(f"{status} {said}")


class Session(Life):
    """One copy of the template, one fault, one session."""

    def __init__(self, args, number, template):
        super().__init__(args, number, template)
        self.refused = []
        self.acked = 0
        self.lasting = False

    def step(self, c, fn):
        try:
            fn(c)
            self.acked += 1
        except Refused as e:
            self.refused.append(f"{fn.__name__}: {e}")

    def deploy(self, c):
        for what, body in (("deploy", {"version": 2}), ("rollback", {})):
            answer = c.call("POST", f"/api/v1/deployments/{HAND}/{what}",
                            {"why": "by hand", **body}, also=(409,))
            if answer:
                d = answer["deployment"]
                self.ledger.hand = (d["revision"], d["champion_version"])

    def declare(self, c):
        c.call("PUT", "/api/v1/sources/other",
               {"entity": "shop", "event_time": "day"})

    def day_or_why(self, c):
        day = self.day
        self.new_day(c)
        if self.day == day:  # the job failed, with a sentence
            raise Refused("500 the ingest failed")

    def job(self, c, started, seconds=60):
        """On a disk that stays full its end cannot be written either."""
        end = time.monotonic() + (3 if self.lasting else seconds)
        while time.monotonic() < end:
            with contextlib.suppress(Refused):
                row = c.ok("GET",
                           f"/api/v1/jobs/{started['job']}?wait_ms=1000")
                if row["state"] == "failed":
                    said = row["error"]["message"]
                    if len(said) < 10 or "\n" in said:
                        raise Broken(f"a job failed without a reason: {row}")
                    row["attempt"] = 3
                if row["state"] not in ("queued", "running"):
                    return row
        if self.lasting:
            raise Refused("503 the job waits for the disk")
        raise Broken(f"job {started['job']} does not end")

    def steps(self, lasting):
        c = ClientLike(self)
        for fn in (self.declare, self.manage_upload, self.log_run,
                   self.infer, self.infer, self.deploy, self.log_run,
                   self.day_or_why, self.infer):
            self.step(c, fn)
        if not lasting:
            with contextlib.suppress(Refused):
                self.rest(c.caller, 60)

    def manage_upload(self, c):
        for size in (100, 300000):
            raw = c.rng.randbytes(size)
            upload = c.call("POST", "/api/v1/uploads", raw,
                            kind="application/octet-stream")["upload"]
            self.ledger.uploads.add(upload)

    def recovers(self):
        """On a good disk everything works again, in the same process."""
        end = time.monotonic() + 20
        while True:
            try:
                c = ClientLike(self)
                for fn in (self.manage_upload, self.log_run, self.infer,
                           self.deploy):
                    fn(c)
                self.rest(c.caller, 60)
                return
            except Refused as e:
                if time.monotonic() > end:
                    raise Broken(f"it does not recover: {e}") from e
                time.sleep(0.1)

    def run(self, first, kind):
        """The session with one fault; how many calls it counted."""
        code, span = KINDS[kind]
        shim, p = self.program.shim, self.program
        lasting = self.lasting = span == LASTING
        if not p.start():
            raise Broken("it does not start: " + p.stderr_tail())
        shim.set(count=0, classes=CLASSES.get(kind, ALL_CLASSES), kind=code,
                 hits=0, victim=0)
        if kind in DEAD:
            shim.set(kill_at=first)
        else:
            shim.set(first=first, last=first + span)
        try:
            self.steps(lasting)
        except Gone:
            if kind not in DEAD:
                raise Broken("the server died: " + p.stderr_tail()) from None
        counted = shim.get("count")
        shim.set(first=0, kill_at=0, classes=0)
        self.lasting = False
        if shim.get("victim") == p.process.pid:
            p.process.wait(30)
        if p.process.poll() is not None:
            p.ended()
            if kind not in DEAD:
                raise Broken("the server died: " + p.stderr_tail())
        else:
            if kind not in DEAD:
                self.recovers()
            p.stop()
        self.after()
        return counted, shim.get("hits") + (shim.get("victim") != 0)

    def after(self):
        self.program.shim = None
        if not self.program.start():
            raise Broken("it does not start again: " +
                         self.program.stderr_tail())
        c = Caller(self.program)
        self.rest(c)
        self.check()
        self.program.stop()
        report = self.verify("the folder")
        if report["notes"]:
            raise Broken(f"notes at rest: {report['notes']}")

    def start_with(self, first, kind):
        """The fault hits while the server starts."""
        code, span = KINDS[kind]
        p, shim = self.program, self.program.shim
        shim.set(classes=CLASSES.get(kind, ALL_CLASSES), kind=code)
        if kind in DEAD:
            shim.set(kill_at=first)
        else:
            shim.set(first=first, last=first + span)
        began = p.start()
        if not began and kind not in DEAD:
            said = p.stderr_tail().strip().splitlines()
            if not said or not said[-1].startswith("slipway: ") or \
                    p.process.poll() != 1:
                raise Broken(f"it ends with {p.process.poll()} and says "
                             f"{said[-3:]}")
        counted = shim.get("count")
        shim.set(first=0, kill_at=0, classes=0)
        if shim.get("victim") == p.process.pid:
            p.process.wait(30)
        if p.process.poll() is None:
            p.stop()
        else:
            p.process.stdout.close()
            p.process.wait()
        self.after()
        return counted, shim.get("hits") + (shim.get("victim") != 0)


class ClientLike:
    """What the clients' steps of the kill loop take."""

    def __init__(self, session):
        self.caller, self.rng = Polite(session.program), session.rng
        self.name = "Thread-0"

    def call(self, *args, **kw):
        return self.caller.ok(*args, **kw)


def one(args, template, number, what, first, kind):
    session = Session(args, number, template)
    try:
        fn = session.run if what == "session" else session.start_with
        counted, hits = fn(first, kind)
    except Exception as e:  # noqa: BLE001
        with contextlib.suppress(Exception):
            session.program.process.kill()
        text = f"{what}, {kind} at call {first}: {type(e).__name__} {e}"
        return 0, 0, text + f" (folder {session.dir})", session
    session.program.log.close()
    shutil.rmtree(session.dir)
    (session.dir.parent / "data.shim").unlink(missing_ok=True)
    return counted, hits, None, session


def calls_of(count, every, last, rng):
    first = rng.randrange(1, every + 1)
    calls = range(first, count + 1, every)
    return calls[-last:] if last else calls


def sweep(args, tell=print):
    """All calls, or each args.every-th; (runs, hits, refusals, broken)."""
    first = Life(args, 0, None)
    first.shim = None
    first.prepare()
    template, rng = first.dir, random.Random(args.seed)
    (template / "data.shim").unlink(missing_ok=True)
    runs = hits = refusals = 0
    broken, number = [], 0
    for what in args.what.split(","):
        for kind in args.kinds:
            # How many calls there are, from a run that nothing happens to.
            count, _, why, _ = one(args, template, number, what, 0, kind)
            if why:
                return runs, hits, refusals, broken + [f"no fault: {why}"]
            few = what == "start" or CLASSES.get(kind) == 2
            every = max(1, args.every // 5) if few else args.every
            for at in calls_of(count, every, args.last, rng):
                number += 1
                _, hit, why, session = one(args, template, number, what, at,
                                           kind)
                runs, hits = runs + 1, hits + (hit > 0)
                refusals += len(session.refused)
                if why:
                    broken.append(why)
                    tell(f"BROKEN {why}")
            tell(f"  {what}, {kind}: {count} calls; so far {runs} runs, {hits}"
                 f" hit, {refusals} answers refused, {len(broken)} broken")
    if not broken:
        shutil.rmtree(template)
    return runs, hits, refusals, broken


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--every", type=int, default=1)
    p.add_argument("--last", type=int, default=0,
                   help="only so many calls, the last ones")
    p.add_argument("--what", default="session,start")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--kinds", default=",".join(KINDS))
    p.add_argument("--bin", default=os.environ.get(
        "SLIPWAY_RELEASE_BIN", str(ROOT / "build" / "slipway")))
    p.add_argument("--work", default=None)
    args = p.parse_args()
    args.bin = str(pathlib.Path(args.bin).resolve())
    args.shim = str(pathlib.Path(args.bin).parent / "tests" / "shim.so")
    args.kinds = args.kinds.split(",")
    args.work = args.work or workplace("slipway-disk-")
    began = time.monotonic()
    runs, hits, refusals, broken = sweep(
        args, lambda text: print(text, flush=True))
    print(f"{runs} runs, {hits} of them hit, {refusals} answers refused, "
          f"{len(broken)} broken, in {time.monotonic() - began:.0f} s")
    if not broken:
        shutil.rmtree(args.work, ignore_errors=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
