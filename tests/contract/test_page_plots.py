"""What the page's drawings of runs ask for: histories thinned to the pixels of
a chart, and the values of a whole search by columns."""
import math
import urllib.parse

import pytest

from conftest import Server

M = "/api/2.0/mlflow/"
T0 = 1_700_000_000_000
POINTS = 20_000


def value(step):
    return math.sin(step / 300) + step % 7 / 100 + (9 if step == 7_777 else 0)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("plots")) as s:
        s.run = s.post(M + "runs/create", {
            "experiment_id": "0", "run_name": "long",
            "start_time": T0 - 5000})["run"]["info"]["run_id"]
        for at in range(0, POINTS, 1000):
            s.post(M + "runs/log-batch", {"run_id": s.run, "metrics": [
                {"key": "loss", "value": value(i), "step": i,
                 "timestamp": T0 + 10 * i} for i in range(at, at + 1000)]})
        s.other = s.post(M + "runs/create", {
            "experiment_id": "0", "run_name": "odd",
            "start_time": T0})["run"]["info"]["run_id"]
        s.post(M + "runs/log-batch", {"run_id": s.other, "metrics": [
            {"key": "loss", "value": v, "step": i, "timestamp": T0 + i}
            for i, v in enumerate([3, "NaN", 0.5, "Infinity", -2, 1])],
            "params": [{"key": "depth", "value": "7"}]})
        yield s


def history(server, *runs, **query):
    query = {"metric": "loss", **query}
    text = urllib.parse.urlencode([("run", r) for r in runs] +
                                  list(query.items()))
    return server.get("/api/v1/runs/history?" + text)


def test_of_every_pixel_the_extremes_of_all_stored_points(one):
    answer = history(one, one.run, points=100)
    assert answer["points"] == 100 and answer["x"] == "step"
    run, = answer["runs"]
    assert run["total"] == run["shown"] == POINTS
    assert (run["from"], run["to"]) == (0, POINTS - 1)
    assert len(run["x"]) == len(run["y"]) <= 2 * 100 + 4
    assert run["x"] == sorted(run["x"])
    got = dict(zip(run["x"], run["y"]))
    assert 7_777 in got  # the spike
    for x, y in got.items():
        assert y == pytest.approx(value(x), rel=1e-8)
    width = POINTS // 100
    for bucket in range(100):
        steps = range(bucket * width, (bucket + 1) * width)
        assert max(value(i) for i in steps) == pytest.approx(
            max(y for x, y in got.items() if x in steps), rel=1e-8)
        assert min(value(i) for i in steps) == pytest.approx(
            min(y for x, y in got.items() if x in steps), rel=1e-8)
    assert answer == history(one, one.run, points=100)


def test_a_range_is_read_back_as_stored(one):
    run, = history(one, one.run, points=100, **{"from": 5000,
                                                "to": 5049})["runs"]
    assert run["x"] == list(range(4999, 5051))  # and its neighbours
    assert run["y"] == [value(i) for i in run["x"]]  # every digit
    assert (run["shown"], run["total"]) == (50, POINTS)


def test_the_mean_is_of_the_stored_points_and_debiased(one):
    want, total, weight = {}, 0.0, 0.0
    for i in range(POINTS):
        total = 0.9 * total + 0.1 * value(i)
        weight = 0.9 * weight + 0.1
        want[i] = total / weight
    for query in ({}, {"from": 9000, "to": 9100}):
        run, = history(one, one.run, smooth="0.9", points=50, **query)["runs"]
        assert 2 < len(run["smooth"]["x"]) <= 104
        for x, y in zip(run["smooth"]["x"], run["smooth"]["y"]):
            assert y == pytest.approx(want[x], rel=1e-6, abs=1e-7)
    assert "smooth" not in history(one, one.run)["runs"][0]


def test_what_is_no_number_is_apart_and_a_log_axis_says_what_it_hides(one):
    run, = history(one, one.other)["runs"]
    assert (run["x"], run["y"]) == ([0, 2, 4, 5], [3, 0.5, -2, 1])
    assert (run["nan"], run["above"], run["below"]) == (1, 1, 0)
    assert run["breaks"] == [[1, 1, 0, 0], [3, 0, 1, 0]]
    run, = history(one, one.other, log="1")["runs"]
    assert (run["x"], run["y"]) == ([0, 2, 5], [3, 0.5, 1])
    assert run["hidden"] == 1 and run["shown"] == 6


def test_axes_of_time_and_several_runs_in_the_order_asked(one):
    a, b = history(one, one.other, one.run, x="relative")["runs"]
    assert (a["id"], b["id"]) == (one.other, one.run)
    assert a["x"] == [0, 2, 4, 5] and b["to"] == 10 * (POINTS - 1)
    run, = history(one, one.other, x="time")["runs"]
    assert run["x"][0] == T0
    none, = history(one, one.other, metric="nothing")["runs"]
    assert none["total"] == 0 and none["x"] == []


@pytest.mark.parametrize("query,status,word", [
    ("metric=loss", 400, "run="), ("run={run}", 400, "metric="),
    ("run={run}&metric=loss&points=0", 400, "1 to 4000"),
    ("run={run}&metric=loss&points=5000", 400, "1 to 4000"),
    ("run={run}&metric=loss&x=date", 400, "step, time or relative"),
    ("run={run}&metric=loss&log=maybe", 400, "true or false"),
    ("run={run}&metric=loss&smooth=1", 400, "below 1"),
    ("run={run}&metric=loss&from=9&to=3", 400, "behind"),
    ("run=0123&metric=loss", 404, "0123")])
def test_a_wrong_question_gets_a_sentence(one, query, status, word):
    answer = one.call("GET", "/api/v1/runs/history?" +
                      query.format(run=one.run))
    assert answer.status == status
    assert word in answer.json["error"]


def test_at_most_a_hundred_runs_of_at_most_four_kilobytes_at_twenty(one):
    text = "&".join(f"run={one.run}" for _ in range(101))
    answer = one.call("GET", f"/api/v1/runs/history?metric=loss&{text}")
    assert answer.status == 400 and "100 runs" in answer.json["error"]
    text = "&".join(f"run={one.run}" for _ in range(20))
    answer = one.call("GET", f"/api/v1/runs/history?metric=loss&points=100&"
                      f"{text}")
    assert len(answer.body) <= 20 * 4096, len(answer.body)


def test_values_of_a_search_come_by_columns(one):
    answer = one.get("/api/v1/runs/values?limit=10000&sort=start_time&"
                     "cols=params.depth,metrics.loss,tags.none")
    assert answer["total"] == 2
    assert answer["ids"] == [one.run, one.other]
    assert answer["names"] == ["long", "odd"]
    assert answer["statuses"] == ["RUNNING", "RUNNING"]
    assert answer["started_at_ms"] == [T0 - 5000, T0]
    assert answer["columns"]["params.depth"] == [None, "7"]
    assert answer["columns"]["metrics.loss"] == [value(POINTS - 1), 1]
    assert answer["columns"]["tags.none"] == [None, None]
    few = one.get("/api/v1/runs/values?q=params.depth%20%3D%20%277%27")
    assert few["ids"] == [one.other] and few["columns"] == {}
    for bad in ("limit=10001", "limit=0", "cols=nothing", "q=metrics.",
                "sort=-"):
        assert one.call("GET",
                        f"/api/v1/runs/values?{bad}").status == 400, bad
