"""The loop closes by itself: new data bring features online and label past
predictions, windows are judged, triggers decide, and a retrain run walks
through gate and canary; or the rule serves.

Days are appended one by one under a clock set by hand; what the world does is
made here, so what has to happen is known."""
import contextlib
import datetime
import random

import pytest

from conftest import SHOPS, SHOPS_YAML, Server, Shops, shops_csv

NAME = "next-amount"
PATH = f"/api/v1/deployments/{NAME}"
START = datetime.date(2023, 1, 1)
DAYS = 330  # of shops_csv(): the last one is 2023-11-26
CLOCK = "2023-11-26T20:00:00Z"

# Few trials are a lottery: a wide margin, so that the retrain gets through.
LOOP = SHOPS_YAML.replace("champion: -0.05", "champion: -0.3").replace(
    "{model: next-amount, timeout: 2s}",
    "{model: next-amount, timeout: 2s, rollout: [{canary: 50%, requests: 4},"
    " {canary: 90%, requests: 4}]}") + """
monitors:
  next-amount:
    window: 14d
    every: 1d
    min_rows: 10
    drift: {alpha: 0.01, floor: 5}
    performance: {metric: mae, window: 14d, worse_than: fallback, confidence: 0.95, min_labels: 20}
retrain:
  next-amount: {on: [performance, "new_data: 5d"], cooldown: 3d, when_refused: fallback}
"""
# Short windows, and only the alarm: what happens when the world changes.
BROKEN = LOOP.replace("validate: 40d, test: 60d", "validate: 20d, test: 20d") \
    .replace('[performance, "new_data: 5d"]', "[performance]")


def date_of(day):
    return START + datetime.timedelta(day)


class World:
    """Goes on day by day where shops_csv() ends."""

    def __init__(self, server, csv):
        self.server, self.rng, self.day = server, random.Random(5), DAYS
        rows = [line.split(",") for line in csv.strip().splitlines()[-3:]]
        self.amount = {shop: float(amount) for shop, _, amount in rows}

    def swing(self):
        for k, s in enumerate(SHOPS):
            level = 100.0 + 20 * k
            self.amount[s] = level - 0.7 * (self.amount[s] - level) + \
                self.rng.gauss(0, 4)

    def climb(self):
        """The rule "as today" is off by 10; what was learned is far off."""
        for s in SHOPS:
            self.amount[s] += 10 + self.rng.gauss(0, 1)

    def next_day(self, change, predict=True):
        change()
        day = date_of(self.day)
        self.day += 1
        text = "shop,day,amount\n" + "".join(
            f"{s},{day},{self.amount[s]:.4f}\n" for s in SHOPS)
        self.server.post("/api/v1/clock", {"now": f"{day}T20:00:00Z"})
        self.server.added("sales", text, mode="append")
        self.server.idle()
        if predict:
            self.server.infer(NAME, "shop", *SHOPS)
        return day


def decisions(s):
    return s.get(f"/api/v1/decisions?model={NAME}&limit=100")["decisions"]


def steps(run):
    return [step["step"] for step in run["steps"]]


@contextlib.contextmanager
def live(folder, yaml):
    """A server with data until CLOCK and a first champion of its own run."""
    with Server(folder, "--clock", CLOCK) as s:
        s.applied(yaml)
        s.added("sales", shops_csv(days=DAYS))
        s.idle()
        run = s.flow(s.post("/api/v1/flows", {"model": NAME})["run"])
        assert run["state"] == "promoted", run
        yield s


def test_new_data_retrain_gate_and_canary_without_a_hand(tmp_path):
    with live(tmp_path, LOOP) as s:
        world = World(s, shops_csv(days=DAYS))
        s.infer(NAME, "shop", *SHOPS)
        for i in range(4):
            world.next_day(world.swing)
        said = decisions(s)
        assert [d["fired"] for d in said] == [False] * 4, said
        assert "4 days of new data since sales@1, 5 are wanted" in \
            said[0]["reason"]

        # Labels of past predictions came with the data.
        windows = s.get(f"/api/v1/monitors/{NAME}")["windows"]
        assert windows[0]["labelled"] == 4 * len(SHOPS), windows[0]
        assert windows[0]["performance"]["model"] < \
            windows[0]["performance"]["other"]
        assert len({w["to_ms"] for w in windows}) == len(windows), \
            "each window is judged once"

        world.next_day(world.swing, predict=False)
        fired = decisions(s)[0]
        assert fired["fired"] and fired["trigger"] == "new_data", fired
        run = s.get(f"/api/v1/flows/{fired['run']}")
        assert (run["trigger"], run["state"]) == ("new_data", "canary"), \
            [x["reason"] for x in run["steps"]]
        assert "sales@6" in next(x["reason"] for x in run["steps"]
                                 if x["step"] == "snapshot")
        assert s.get(PATH)["deployment"]["canary_version"] == 2

        # A canary lives on requests: ever new keys, by the features of one.
        names = s.get(f"/v2/models/{NAME}")["parameters"]["columns"]
        for i in range(200):
            s.post(f"/v2/models/{NAME}/infer", {
                "parameters": {"key": f"customer {i}"},
                "inputs": [{"name": n, "shape": [1], "datatype": "FP64",
                            "data": [100.0 + j]}
                           for j, n in enumerate(names)]})
            if i % 10 == 9:
                s.idle()
                run = s.get(f"/api/v1/flows/{fired['run']}")
                if run["ended"]:
                    break
        assert run["state"] == "promoted", run
        assert steps(run) == ["start", "snapshot", "train", "gate", "canary",
                              "canary", "promote"], run
        assert s.get(PATH)["deployment"]["champion_version"] == 2

        # The next new data are counted from what this one was trained on.
        world.next_day(world.swing)
        last = decisions(s)[0]
        assert not last["fired"]
        assert "1 day of new data since sales@6" in last["reason"], last


def test_worse_than_the_rule_and_refused_the_rule_serves(tmp_path):
    with live(tmp_path, BROKEN) as s:
        world = World(s, shops_csv(days=DAYS))
        s.infer(NAME, "shop", *SHOPS)
        for i in range(5):
            world.next_day(world.swing)
        assert decisions(s) == [], "nothing is wrong yet"
        for i in range(14):
            world.next_day(world.climb)
            if s.get(PATH)["deployment"]["withdrawn"]:
                break
        said = [d for d in decisions(s) if d["fired"]]
        assert [d["trigger"] for d in said] == ["performance"], decisions(s)
        assert "of the rule" in said[0]["reason"]
        run = s.get(f"/api/v1/flows/{said[0]['run']}")
        assert run["state"] == "refused", run
        assert steps(run)[-2:] == ["gate", "fallback"], run
        assert "does not beat the rule" in run["steps"][-2]["reason"]
        assert s.get(PATH)["deployment"]["withdrawn"] is True
        world.next_day(world.climb, predict=False)
        values, answer = s.infer(NAME, "shop", *SHOPS)
        assert answer["parameters"]["served_by"] == "fallback"
        assert values == pytest.approx([world.amount[x] for x in SHOPS],
                                       abs=1e-3)


def test_a_killed_server_goes_on_with_its_run(tmp_path):
    with Server(tmp_path, "--clock", CLOCK) as s:
        s.applied(LOOP)
        s.added("sales", shops_csv(days=DAYS))
        run = s.post("/api/v1/flows", {"model": NAME, "trials": 3})["run"]
        s.kill()
        s.start()
        row = s.flow(run)
        assert row["state"] == "promoted", row
        assert steps(row) == ["start", "snapshot", "train", "gate", "promote"]
        versions = s.get(f"/api/v1/models/{NAME}")["versions"]
        assert len(versions) == 1, "registered once"
        assert s.get("/api/v1/events/verify")["whole"] is True


def test_one_run_a_model_and_until_ends_it_early(shops):
    first = shops.post("/api/v1/flows", {"model": NAME, "until": "gate"})
    again = shops.call("POST", "/api/v1/flows", {"model": NAME})
    assert again.status == 409, again.text
    assert f"run {first['run']} of" in again.json["error"]
    row = shops.flow(first["run"])
    assert row["state"] == "passed" and row["ended"], row
    assert not shops.get(PATH)["deployment"]["champion"]
    bad = shops.call("POST", "/api/v1/flows", {"model": NAME, "until": "tea"})
    assert bad.status == 400 and "'tea'" in bad.json["error"]


def test_the_gate_says_what_it_compared(shops):
    shops.train(2).deploy(1)
    gate = shops.done(shops.post(
        f"/api/v1/models/{NAME}/versions/2/gate", {}))
    checks = {c["name"]: c for c in gate["checks"]}
    assert set(checks) == {"beats fallback", "beats champion", "finite",
                           "latency"}
    assert checks["beats fallback"]["passed"]
    assert checks["beats fallback"]["p"] < 0.01
    assert checks["beats fallback"]["value"] < \
        checks["beats fallback"]["limit"]
    assert gate["champion"] == 1
    assert [s["slice"] for s in gate["slices"]] == list(SHOPS)
    for s in gate["slices"]:
        assert s["candidate"] < s["fallback"] and s["rows"] > 0
    version = shops.get(f"/api/v1/models/{NAME}/versions/2")["version"]
    assert version["gate_verdict"] == gate["verdict"]


def test_a_version_is_made_again_byte_for_byte(shops):
    shops.train()
    result = shops.done(shops.post(
        f"/api/v1/models/{NAME}/versions/1/reproduce", {}))
    assert result["equal"] is True and result["first_difference"] == ""
    assert result["model"] == result["rebuilt"]


def test_a_model_with_no_past_to_learn_from_fails_with_the_reason(tmp_path):
    with Shops(tmp_path, yaml=SHOPS_YAML.replace("test: 60d",
                                                 "test: 900d")) as s:
        row = s.flow(s.post("/api/v1/flows", {"model": NAME})["run"])
        assert row["state"] == "failed"
        assert row["reason"].startswith("training failed:"), row
        assert "split" in row["reason"]
