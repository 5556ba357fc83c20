"""Features over HTTP: what was known when, and Feast's online request."""
import datetime
import random

import pytest

from conftest import Server

CLOCK = "2023-10-01T12:00:00Z"
CSV = "day,shop,amount\n" + "".join(
    f"2023-09-{d:02d},{s},{d * 10 + k}\n"
    for d in range(1, 21) for k, s in enumerate("AB"))


@pytest.fixture
def feats(tmp_path):
    with Server(tmp_path, "--clock", CLOCK) as s:
        source(s)
        s.added("sales", CSV, known_at="2023-09-25")
        view(s)
        yield s


def source(s, **more):
    s.post("/api/v1/sources/sales", {"entity": "shop", "event_time": "day",
                                     **more}, "PUT")


def put(s, name="recent", **more):
    return s.call("PUT", f"/api/v1/features/{name}", {
        "entity": "shop", "event_time": "day", "ttl_ms": 3 * 86400000,
        "sql": "SELECT shop, day, amount AS now, lag(amount) OVER (PARTITION "
               "BY shop ORDER BY day) AS before FROM sales", **more})


def view(s, name="recent", **more):
    answer = put(s, name, **more)
    assert answer.status == 200, answer.text


def history(s, rows, views=("recent",), **more):
    answer = s.post("/api/v1/features/historical",
                    {"views": list(views), "rows": rows, **more})
    return [dict(zip(answer["columns"], row)) for row in answer["rows"]]


def test_rows_in_are_rows_out_in_their_order_with_their_columns(feats):
    rows = [{"shop": "B", "event_time": "2023-09-10", "mine": 7},
            {"shop": "A", "event_time": "2023-09-02", "mine": 8},
            {"shop": "nobody", "event_time": "2023-09-02", "mine": 9},
            {"shop": "B", "event_time": "2023-09-10", "mine": 10}]
    got = history(feats, rows)
    assert [r["mine"] for r in got] == [7, 8, 9, 10]
    assert [r["now"] for r in got] == [101, 20, None, 101]
    assert [r["before"] for r in got] == [91, 10, None, 91]


def test_the_newest_row_up_to_the_instant_is_taken_and_never_a_later(feats):
    got = history(feats, [
        {"shop": "A", "event_time": "2023-09-05T00:00:00Z"},
        {"shop": "A", "event_time": "2023-09-04T23:59:59Z"},
        {"shop": "A", "event_time": "2023-08-31"}])
    assert [r["now"] for r in got] == [50, 40, None]


def test_what_was_known_only_later_is_not_seen(feats):
    source(feats, known_after_ms=2 * 86400000)
    feats.added("sales", CSV.replace("2023-09-20,A,200", "2023-09-20,A,201"))
    got = history(feats, [{"shop": "A", "event_time": "2023-09-10T12:00:00Z"}])
    assert got[0]["now"] == 80, "a row is known two days after it happened"


def test_as_of_takes_the_versions_known_by_then(feats):
    feats.added("sales", CSV.replace("2023-09-10,A,100", "2023-09-10,A,999"),
                known_at="2023-09-28")
    row = [{"shop": "A", "event_time": "2023-09-10"}]
    assert history(feats, row)[0]["now"] == 999
    assert history(feats, row, as_of="2023-09-27")[0]["now"] == 100


def test_older_than_its_time_to_live_is_missing(feats):
    got = history(feats, [{"shop": "A", "event_time": "2023-09-22"},
                          {"shop": "A", "event_time": "2023-09-29"}])
    assert [r["now"] for r in got] == [200, None]


def test_a_view_that_looks_ahead_is_refused_by_the_name_of_the_feature(feats):
    view(feats, "peek", sql="SELECT shop, day, lead(amount) OVER (PARTITION BY"
         " shop ORDER BY day) AS tomorrow FROM sales")
    answer = feats.call("POST", "/api/v1/features/historical", {
        "views": ["peek"], "rows": [{"shop": "A",
                                     "event_time": "2023-09-10"}]})
    assert answer.status == 400
    assert "tomorrow" in answer.json["error"]
    assert "future" in answer.json["error"]
    row = feats.job(feats.post("/api/v1/features/materialize",
                               {"views": ["peek"]})["job"])
    assert row["state"] == "failed" and "tomorrow" in row["error"]["message"]


@pytest.mark.parametrize("sql, word", [
    ("SELECT shop, day, amont FROM sales", "amont"),
    ("SELECT shop, amount FROM sales", "day"),
    ("SELECT shop, day, note FROM (SELECT *, 'x' AS note FROM sales)", "note"),
    ("SELECT shop, day, amount FROM other", "other"),
    ("SELECT shop, day, amount FROM sales; DROP TABLE sales", "one SELECT"),
    ("SELECT shop, day, amount FROM sales UNION ALL SELECT shop, day, amount "
     "FROM sales", "there must be one"),
    ("SELECT shop, day, 1 AS x FROM read_csv('/etc/passwd')", "")])
def test_sql_that_cannot_be_a_view_is_refused_in_words(feats, sql, word):
    answer = put(feats, "bad", sql=sql)
    if answer.status == 200:
        answer = feats.call("POST", "/api/v1/features/historical", {
            "views": ["bad"], "rows": [{"shop": "A",
                                        "event_time": "2023-09-10"}]})
    assert answer.status == 400, answer.text
    assert word in answer.json["error"] and "root:" not in answer.text


def test_bad_rows_are_refused_by_their_number(feats):
    for rows, word in ([], "rows"), ([{"shop": "A"}], "row 1"), \
            ([{"shop": "A", "event_time": "2023-09-10"},
              {"event_time": "2023-09-10"}], "row 2"):
        answer = feats.call("POST", "/api/v1/features/historical",
                            {"views": ["recent"], "rows": rows})
        assert answer.status == 400 and word in answer.json["error"], rows
    answer = feats.call("POST", "/api/v1/features/historical", {
        "views": ["none"], "rows": [{"shop": "A", "event_time": "2023-09-10"}]})
    assert answer.status == 404 and "none" in answer.json["error"]


def test_online_features_have_the_shape_of_feast(feats):
    # Inside the time to live of the newest row, or nothing would be served.
    view(feats, ttl_ms=30 * 86400000)
    done = feats.done(feats.post("/api/v1/features/materialize"))
    assert done["views"][0]["entities"] == 2
    got = feats.post("/get-online-features", {
        "features": ["recent:before", "recent:now"],
        "entities": {"shop": ["B", "nobody", "A"]}})
    assert got["metadata"]["feature_names"] == ["shop", "before", "now"]
    shop, before, now = got["results"]
    assert shop["values"] == ["B", "nobody", "A"]
    assert now["values"] == [201, None, 200]
    assert before["values"] == [191, None, 190]
    assert now["statuses"] == ["PRESENT", "NOT_FOUND", "PRESENT"]
    assert now["event_timestamps"][0].startswith("2023-09-20")
    for r in got["results"][1:]:
        assert len(r["values"]) == len(r["statuses"]) == 3


def test_online_values_equal_the_historical_ones_of_the_same_instant(feats):
    view(feats, ttl_ms=30 * 86400000)
    feats.done(feats.post("/api/v1/features/materialize"))
    online = feats.post("/get-online-features", {
        "features": ["recent"], "entities": {"shop": ["A", "B"]}})
    names = online["metadata"]["feature_names"][1:]
    past = history(feats, [{"shop": s, "event_time": "2023-09-20"}
                           for s in "AB"])
    for name, result in zip(names, online["results"][1:]):
        assert result["values"] == [r[name] for r in past]


def test_what_is_too_old_is_not_served(feats):
    feats.done(feats.post("/api/v1/features/materialize"))
    got = feats.post("/get-online-features", {
        "features": ["recent:now"], "entities": {"shop": ["A"]}})
    assert got["results"][1]["values"] == [None]
    assert got["results"][1]["statuses"][0] != "PRESENT"


def test_a_wrong_online_request_is_refused(feats):
    for body, status in [
            ({"features": ["none:x"], "entities": {"shop": ["A"]}}, 404),
            ({"features": ["recent:none"], "entities": {"shop": ["A"]}}, 404),
            ({"features": [], "entities": {"shop": ["A"]}}, 400),
            ({"features": ["recent"]}, 400),
            ({"features": ["recent"], "entities": {"shop": "A"}}, 400),
            ({"features": ["recent"], "entities": {"town": ["A"]}}, 400),
            ({"features": ["recent"], "entities": {"shop": [{}]}}, 400)]:
        answer = feats.call("POST", "/get-online-features", body)
        assert answer.status == status, (body, answer.text)
        assert answer.json["error"]


def test_a_view_that_was_never_materialized_says_so(feats):
    assert feats.get("/api/v1/features/recent")["materialized_at_ms"] is None
    answer = feats.call("POST", "/get-online-features", {
        "features": ["recent:now"], "entities": {"shop": ["A"]}})
    assert answer.status == 404
    assert "'recent' has no values yet: materialize it" in answer.json["error"]


def test_whole_numbers_are_keys_too(tmp_path):
    with Server(tmp_path, "--clock", CLOCK) as s:
        s.post("/api/v1/sources/sales", {"entity": "shop", "event_time": "day"},
               "PUT")
        s.added("sales", "day,shop,amount\n2023-09-30,7,1\n2023-09-30,10,2\n")
        view(s)
        s.done(s.post("/api/v1/features/materialize"))
        got = s.post("/get-online-features", {
            "features": ["recent:now"], "entities": {"shop": [10, 7, "7"]}})
        assert got["results"][0]["values"] == [10, 7, "7"]
        assert got["results"][1]["values"] == [2, 1, 1]


def test_a_broken_view_does_not_hold_up_the_others(feats):
    view(feats, ttl_ms=30 * 86400000)
    view(feats, "broken", sql="SELECT shop, day, nothing FROM sales")
    more = CSV + "2023-09-22,A,999\n"
    feats.added("sales", more, known_at="2023-09-30")
    feats.idle()
    got = feats.post("/get-online-features", {
        "features": ["recent:now"], "entities": {"shop": ["A"]}})
    assert got["results"][1]["values"] == [999]
    job = [j for j in feats.get("/api/v1/jobs")["jobs"]
           if j["kind"] == "flow.refresh"][0]
    views = {v["name"]: v for v in feats.get(
        f"/api/v1/jobs/{job['id']}")["result"]["views"]}
    assert "nothing" in views["broken"]["error"]
    # Asked for by hand, it is an error.
    row = feats.job(feats.post("/api/v1/features/materialize")["job"])
    assert row["state"] == "failed" and "broken" in row["error"]["message"]


def test_the_join_equals_one_written_by_hand(tmp_path):
    """Late rows, a time to live and shuffled rows against a plain loop."""
    rng = random.Random(5)
    start = datetime.datetime(2023, 1, 1)
    rows = []
    for s in "ABC":
        for d in sorted(rng.sample(range(200), 60)):
            at = start + datetime.timedelta(hours=12 * d)
            late = rng.choice([1, 1, 1, 5, 90])
            rows.append((s, at, at + datetime.timedelta(hours=late),
                         rng.randrange(1000)))
    text = "shop,at_time,known,amount\n" + "".join(
        f"{s},{at}Z,{known}Z,{v}\n" for s, at, known, v in rows)
    asked = [(rng.choice("ABCD"),
              start + datetime.timedelta(hours=rng.randrange(2600)))
             for _ in range(400)]
    with Server(tmp_path, "--clock", CLOCK) as s:
        s.post("/api/v1/sources/sales", {
            "entity": "shop", "event_time": "at_time", "known_time": "known"},
            "PUT")
        s.added("sales", text)
        view(s, event_time="at_time", ttl_ms=2 * 86400000,
             sql="SELECT shop, at_time, amount FROM sales")
        got = history(s, [{"shop": e, "event_time": f"{t}Z".replace(" ", "T")}
                          for e, t in asked])
    want = []
    for entity, t in asked:
        known, best = start, None
        for _, at, k, v in (r for r in rows if r[0] == entity):
            known = max(known, k)  # a feature row waits for its late rows
            if at <= t and known <= t:
                best = (at, v)
        fresh = best and t - best[0] <= datetime.timedelta(days=2)
        want.append(best[1] if fresh else None)
    assert [r["amount"] for r in got] == want
    assert 50 < sum(v is not None for v in want) < 400


def test_a_whole_view_can_be_downloaded_and_leaves_nothing_behind(feats):
    text = feats.call("GET", "/api/v1/features/recent/data.csv").text
    assert len(text.splitlines()) == 41
    assert feats.tmp_files() == []
