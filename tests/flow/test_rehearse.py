"""The loop lived through past days: right, the same every time, and without a
look into the future."""
import csv
import datetime
import io
import json
import signal
import subprocess
import time

import pytest

from conftest import BIN, SHOPS_YAML, Shops, shops_csv

POLICY = """
monitors:
  next-amount:
    window: 20d
    drift: {alpha: 0.05}
    performance: {metric: mae, window: 20d, worse_than: fallback, min_labels: 20}
retrain:
  next-amount: {on: [drift, performance, "new_data: 20d"], cooldown: 20d, search: reuse, when_refused: fallback}
"""
YAML = SHOPS_YAML.replace(
    "  sales:\n", "  sales:\n    path: sales.csv\n").replace(
    "next-amount: {model: next-amount, timeout: 2s}",
    "next-amount: {model: next-amount, timeout: 2s,"
    " rollout: [{canary: 30%, requests: 20}]}") + POLICY
FROM, TO = "2023-08-01", "2023-10-09"


def write(folder, yaml=YAML, rows=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "slipway.yaml").write_text(yaml)
    (folder / "sales.csv").write_text(rows or shops_csv())
    return folder


def command(folder, *args):
    return [str(BIN), "rehearse", str(folder / "slipway.yaml"), "--from", FROM,
            "--to", TO, "--requests", "4", "--data", str(folder / "d"),
            "--json", *map(str, args)]


def rehearse(folder, *args, check=True):
    done = subprocess.run(command(folder, *args), capture_output=True,
                          text=True, timeout=600)
    if not check:
        return done
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def policy(result, name):
    return next(p for p in result["policies"] if p["name"] == name)


def kept(result):
    """What must be the same each time."""
    return [{k: v for k, v in p.items() if k != "measured"}
            for p in result["policies"]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("whole"))
    return folder, rehearse(folder)


def rows_of(text):
    return [(r["shop"], datetime.date.fromisoformat(r["day"]),
             float(r["amount"])) for r in csv.DictReader(io.StringIO(text))]


def test_the_rule_has_the_error_that_can_be_counted_by_hand(whole):
    _, result = whole
    amounts = {(s, d): a for s, d, a in rows_of(shops_csv())}
    first, last = map(datetime.date.fromisoformat, (FROM, TO))
    losses, day = {}, datetime.timedelta(1)
    for (shop, d), a in amounts.items():
        if first <= d < last:  # the label of the last day is not known by then
            losses.setdefault(shop, []).append(abs(amounts[shop, d + day] - a))
    rule = policy(result, "rule")
    assert [y["year"] for y in rule["by_year"]] == [2023]
    for s in rule["by_year"][0]["symbols"]:
        mine = losses[s["symbol"]]
        assert s["rows"] == len(mine)
        assert s["error"] == pytest.approx(sum(mine) / len(mine), rel=1e-9)
    total = rule["total"]
    assert total["fallback_days"] == total["days"] == (last - first).days + 1
    assert total["retrains"] == total["alerts"] == 0


def test_policies_live_through_the_same_days_and_fare_as_declared(whole):
    _, result = whole
    assert result["complete"] and result["deployment"] == "next-amount"
    assert [p["name"] for p in result["policies"]] == ["notebook", "slipway",
                                                       "rule"]
    notebook, ours, rule = result["policies"]
    assert {p["total"]["days"] for p in result["policies"]} == {
        rule["total"]["days"]}
    assert {p["total"]["requests"] for p in result["policies"]} == {
        rule["total"]["requests"]}
    assert notebook["total"]["retrains"] == 0
    assert notebook["total"]["fallback_days"] == 0
    assert ours["total"]["retrains"] >= 2
    # The data swing as a model can learn and the rule cannot.
    assert ours["total"]["error"] < 0.8 * rule["total"]["error"]
    assert all(p["measured"]["training_minutes"] >= 0
               for p in result["policies"])


def test_one_worker_or_two_and_stopped_or_not_give_the_same_table(
        whole, tmp_path):
    _, result = whole
    begin = time.monotonic()
    alone = rehearse(write(tmp_path / "one"), "--workers", 1)
    took = time.monotonic() - begin
    assert kept(alone) == kept(result)

    folder = write(tmp_path / "stopped")
    stops = 0
    # One of them has no time to say goodbye.
    for share, how in [(0.35, signal.SIGINT), (0.3, signal.SIGKILL),
                       (0.25, signal.SIGINT)]:
        p = subprocess.Popen(command(folder), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        time.sleep(share * took)
        p.send_signal(how)
        out, err = p.communicate(timeout=120)
        stops += p.returncode != 0
        if p.returncode == 1:
            assert "the same command goes on from there" in err
            assert not json.loads(out)["complete"]
    assert stops >= 1
    assert kept(rehearse(folder)) == kept(result)


def test_what_comes_later_changes_nothing_before_it(whole, tmp_path):
    """Every row after the last day is another: no figure may notice."""
    _, result = whole
    lines = shops_csv().splitlines()
    garbled = [line if line.split(",")[1] <= TO or line.startswith("shop")
               else ",".join([*line.split(",")[:2], "987654"])
               for line in lines]
    assert garbled != lines
    other = rehearse(write(tmp_path, rows="\n".join(garbled) + "\n"))
    assert kept(other) == kept(result)


def test_a_view_that_looks_ahead_is_refused(tmp_path):
    yaml = YAML.replace(
        "sql: SELECT shop, day, amount FROM sales",
        "sql: SELECT shop, day, amount, lead(amount) OVER (PARTITION BY shop"
        " ORDER BY day) AS tomorrow FROM sales")
    done = rehearse(write(tmp_path, yaml), check=False)
    assert done.returncode == 1
    assert "'tomorrow'" in done.stderr and "looks into the future" in done.stderr


def test_a_planted_column_cannot_be_seen_before_it_was_known(tmp_path):
    """The file holds, beside each day, the amount of the day after, known on
    the day after: worth everything, were it seen a day too soon."""
    rows = rows_of(shops_csv())
    amounts = {(s, d): a for s, d, a in rows}
    day = datetime.timedelta(1)
    hints = ["shop,day,hint,published"] + [
        f"{s},{d},{amounts[s, d + day]},{d + day}T12:00:00"
        for s, d, _ in rows if (s, d + day) in amounts]
    leaky = YAML.replace("features:\n", """  hints:
    path: hints.csv
    entity: shop
    event_time: day
    known_time: published
features:
  hinted:
    entity: shop
    ttl: 7d
    sql: SELECT shop, day, hint FROM hints
""").replace("features: [recent]", "features: [recent, hinted]").replace(
        "rounds: 20", "rounds: 60")
    folder = write(tmp_path, leaky)
    (folder / "hints.csv").write_text("\n".join(hints) + "\n")
    result = rehearse(folder)
    rule, ours = policy(result, "rule"), policy(result, "slipway")
    honest = 3.0  # the noise that nobody can foresee: gauss(0, 4)
    assert ours["total"]["error"] > honest
    assert policy(result, "notebook")["total"]["error"] > honest
    assert rule["total"]["error"] > honest


def test_a_policy_of_ones_own_is_a_few_lines_of_the_project(whole, tmp_path):
    folder, _ = whole
    (tmp_path / "daily.yaml").write_text("""
start: rule
retrain:
  next-amount: {on: ["every: 10d"], cooldown: 1d, search: full}
""")
    (tmp_path / "wrong.yaml").write_text("retrian: {}\n")
    result = rehearse(folder, "--policy", tmp_path / "daily.yaml")
    own = policy(result, "daily")
    assert own["total"]["retrains"] >= 6
    assert own["total"]["promotions"] >= 1
    assert 0 < own["total"]["fallback_days"] < own["total"]["days"]
    done = rehearse(folder, "--policy", tmp_path / "wrong.yaml", check=False)
    assert done.returncode == 1
    assert "unknown key 'retrian'" in done.stderr and "wrong.yaml" in done.stderr
    (tmp_path / "often.yaml").write_text(
        "retrain: {next-amount: {on: [sometimes]}}\n")
    done = rehearse(folder, "--policy", tmp_path / "often.yaml", check=False)
    assert "often.yaml: a trigger is drift, performance" in done.stderr
    (tmp_path / "prose.txt").write_text("just text\n")
    done = rehearse(folder, tmp_path / "prose.txt", check=False)
    assert "prose.txt is neither a project file" in done.stderr


@pytest.mark.parametrize("args, sentence", [
    (["--from", "2023-10-01", "--to", "2023-09-01"], "must end after it begins"),
    (["--from", "soon"], "--from"),
    (["--deployment", "nothing"], "declares no deployment 'nothing'"),
    (["--requests", "0"], "--requests must be 1 to 1000"),
    (["--workers", "65"], "--workers must be 1 to 64"),
    (["--from", "2023-01-01", "--to", "2023-02-01"],
     "nothing was known before 2023-01-01"),
    (["--from", "2019-01-01", "--to", "2019-02-01"], "no rows until"),
])
def test_what_cannot_be_rehearsed_is_said_in_a_sentence(whole, args, sentence):
    folder, _ = whole
    done = rehearse(folder, *args, check=False)
    assert done.returncode == 1
    assert sentence in done.stderr


def test_the_server_rehearses_what_was_applied_to_it(whole, tmp_path):
    _, result = whole
    with Shops(tmp_path, yaml=YAML) as s:
        before = len(s.get("/api/v1/events?limit=1000")["events"])
        effects = s.post("/api/v1/rehearsals?dry_run=true",
                         {"from": FROM, "to": TO})
        assert "effects" in effects
        job = s.done(s.post("/api/v1/rehearsals",
                            {"from": FROM, "to": TO, "requests": 4}), 400)
        done = s.get("/api/v1/rehearsals/" + job["id"])
        listed = s.get("/api/v1/rehearsals")["rehearsals"]
        assert [r["id"] for r in listed] == [done["id"]]
        assert done["complete"]
        # The same data and project: the same table.
        assert [p["total"] for p in kept(done)] == [
            p["total"] for p in kept(result)]
        events = s.get("/api/v1/events?limit=1000")["events"][before:]
        assert not [e for e in events if e["kind"].startswith(
            ("serve.", "registry.", "flow.", "monitor."))]
        for body, said in [({"workers": 65}, "workers must be 1 to 64"),
                           ({"requests": 0}, "requests must be 1 to 1000")]:
            answer = s.call("POST", "/api/v1/rehearsals",
                            {"from": FROM, "to": TO, **body})
            assert answer.status == 400 and answer.json["error"] == said
        answer = s.call("POST", "/api/v1/rehearsals", {"from": FROM})
        assert answer.status == 400 and '"to"' in answer.json["error"]
