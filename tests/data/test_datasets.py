"""Datasets over HTTP: formats in, versions, what other people's readers get
back, and what is refused."""
import gzip
import io
import json

import duckdb
import pandas
import pyarrow
import pyarrow.parquet
import pytest

from conftest import PRICES, Server

CLOCK = "2023-10-01T12:00:00Z"
CSV = """day,shop,amount,note
2023-09-01,A,1.5,one
2023-09-01,B,2.25,"two, with comma"
2023-09-02,A,3,
2023-09-02,B,4.125,"a ""quoted"" word"
2023-09-03,A,5,ünïcode
"""


@pytest.fixture
def data(tmp_path):
    """A server with one declared source, `sales`."""
    with Server(tmp_path, "--clock", CLOCK) as s:
        declare(s)
        yield s


def declare(s, **more):
    s.post("/api/v1/sources/sales", {
        "entity": "shop", "event_time": "day", **more}, "PUT")


def url(s, ref, file):
    return f"{s.url}/api/v1/datasets/sales/versions/{ref}/{file}"


def frame(text=CSV):
    f = pandas.read_csv(io.StringIO(text), parse_dates=["day"])
    return f.sort_values(["day", "shop"]).reset_index(drop=True)


def same(a, b):
    """Equal rows; dates may be dates or instants."""
    a, b = a.copy(), b.copy()
    for f in (a, b):
        f["day"] = pandas.to_datetime(f["day"]).astype("datetime64[ms]")
        if "note" in f:
            f["note"] = f["note"].astype(object).where(f["note"].notna(), None)
    pandas.testing.assert_frame_equal(a, b[list(a.columns)], check_dtype=False)


def refused(row, *words):
    assert row["state"] == "failed", row
    for word in words:
        assert word in row["error"]["message"], row["error"]
    return row["error"]["message"]


def no_version(s):
    answer = s.call("GET", "/api/v1/datasets/sales")
    assert answer.status == 404 and "no version yet" in answer.json["error"]


# ---- in and out ----

def test_pandas_reads_parquet_and_csv_from_the_address_as_they_went_in(data):
    made = data.added("sales", CSV)
    assert (made["version"], made["row_count"]) == (1, 5)
    same(frame(), pandas.read_parquet(url(data, "1", "data.parquet")))
    same(frame(), pandas.read_csv(url(data, "1", "data.csv"),
                                  parse_dates=["day"]))


def test_csv_parquet_and_json_of_the_same_rows_are_the_same_version(data):
    first = data.added("sales", CSV)
    table = io.BytesIO()
    f = frame()
    f["day"] = f["day"].dt.date
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pandas(f, preserve_index=False), table)
    again = data.added("sales", table.getvalue(), "rows.parquet")
    assert again["unchanged"] is True and again["hash"] == first["hash"]
    rows = json.loads(frame().assign(
        day=frame()["day"].dt.strftime("%Y-%m-%d")).to_json(orient="records"))
    lines = "\n".join(json.dumps(r) for r in rows)
    for name, text in (("rows.jsonl", lines), ("rows.json", json.dumps(rows))):
        row = data.added("sales", text, name)
        assert row["unchanged"] is True, (name, row)
    assert len(data.get("/api/v1/datasets/sales")["versions"]) == 1


def test_gzip_goes_in_as_what_it_holds(data):
    first = data.added("sales", CSV)
    rows = [{"day": d, "shop": "A", "amount": 1.5} for d in
            ("2023-09-01", "2023-09-02")]
    lines = "\n".join(json.dumps(r) for r in rows).encode()
    again = data.added("sales", gzip.compress(CSV.encode()), "rows.csv.gz")
    assert again["unchanged"] is True and again["hash"] == first["hash"]
    again = data.added("sales", gzip.compress(CSV.encode()), "rows")
    assert again["unchanged"] is True
    made = data.added("sales", gzip.compress(lines), "rows.jsonl.gz")
    assert (made["version"], made["row_count"]) == (2, 2)


def test_gzip_that_was_cut_off_is_refused_and_not_read_in_part(data):
    text = "day,shop,amount\n" + "".join(
        f"2023-09-01,S{i * 7919 % 100003},{i}\n" for i in range(20000))
    whole = gzip.compress(text.encode())
    damaged = whole[:-6] + bytes(6)
    for bytes_ in (whole[:len(whole) // 2], whole[:-4], damaged):
        refused(data.add("sales", bytes_, "rows.csv.gz"),
                "rows.csv.gz: the gzip file is damaged or was cut off")
    no_version(data)


def test_times_written_as_text_in_parquet_are_times(data):
    table = io.BytesIO()
    pandas.DataFrame({"day": ["2023-09-01", "2023-09-02"], "shop": ["A", "A"],
                      "note": ["2023-09-01", "x"]}).to_parquet(table)
    made = data.added("sales", table.getvalue(), "rows.parquet")
    kinds = {c["name"]: c["type"] for c in data.get(
        "/api/v1/datasets/sales/versions/1")["schema"]}
    assert made["row_count"] == 2
    assert kinds == {"day": "DATE", "shop": "VARCHAR", "note": "VARCHAR"}


def test_a_declared_type_reads_the_text_of_json_and_parquet(data):
    declare(data, types={"amount": "number"})
    data.added("sales", '[{"day": "2023-09-01", "shop": "A", "amount": "12"}]',
               "rows.json")
    table = io.BytesIO()
    pandas.DataFrame({"day": ["2023-09-01"], "shop": ["A"],
                      "amount": ["12"]}).to_parquet(table)
    again = data.added("sales", table.getvalue(), "rows.parquet")
    assert again["unchanged"] is True
    refused(data.add("sales", '[{"day": "2023-09-01", "shop": "A",'
                     ' "amount": "much"}]', "rows.json"),
            "rows.json, row 1, column 'amount': 'much' is not a number")


def test_duckdb_reads_the_file_of_a_version(data, tmp_path):
    data.added("sales", CSV)
    path = tmp_path / "f.parquet"
    path.write_bytes(data.call("GET", url(data, "latest", "data.parquet")[
        len(data.url):]).body)
    db = duckdb.connect()
    count, total = db.execute(
        f"SELECT count(*), sum(amount) FROM '{path}'").fetchone()
    assert (count, total) == (5, 15.875)
    kinds = dict(db.execute(f"DESCRIBE SELECT * FROM '{path}'").df()[
        ["column_name", "column_type"]].values)
    assert kinds["day"] == "DATE" and kinds["amount"] == "DOUBLE"


def test_a_part_of_a_file_can_be_asked_for_as_parquet_readers_do(data):
    data.added("sales", CSV)
    path = url(data, "1", "data.parquet")[len(data.url):]
    whole = data.call("GET", path).body
    part = data.call("GET", path, headers={"Range": "bytes=-4"})
    assert (part.status, part.body) == (206, b"PAR1")
    part = data.call("GET", path, headers={"Range": "bytes=4-9"})
    assert (part.status, part.body) == (206, whole[4:10])


def test_the_real_prices_go_in_and_come_out_whole(data):
    data.post("/api/v1/sources/prices", {
        "entity": "symbol", "event_time": "date",
        "expect": ["close > 0", "high >= low", "unique(symbol, date)"]}, "PUT")
    made = data.added("prices", PRICES.read_bytes(), "prices.csv",
                      until="2023-08-31")
    whole = pandas.read_csv(PRICES)
    wanted = whole[whole["date"] <= "2023-08-31"].sort_values(
        ["date", "symbol"]).reset_index(drop=True)
    assert made["row_count"] == len(wanted)
    got = pandas.read_csv(f"{data.url}/api/v1/datasets/prices/versions/1/"
                          "data.csv")
    pandas.testing.assert_frame_equal(wanted, got[list(wanted.columns)],
                                      check_dtype=False)


# ---- versions ----

def test_versions_are_named_by_number_date_hash_and_latest(data):
    one = data.added("sales", CSV, known_at="2023-09-10")
    two = data.added("sales", CSV.replace("1.5", "1.75"),
                     known_at="2023-09-20T10:00:00Z")
    assert (one["version"], two["version"], two["parent"]) == (1, 2, 1)

    def version(ref):
        return data.get(f"/api/v1/datasets/sales/versions/{ref}")["version"]
    assert version("latest") == version("2") == version(two["hash"]) == 2
    assert version("1") == version(one["hash"]) == 1
    assert version("2023-09-10") == version("2023-09-19") == 1
    assert version("2023-09-20") == 2
    assert version("2023-09-20T09:00:00Z") == 1
    for ref, word in (("2023-09-09", "2023-09-09"), ("7", "7"),
                      ("0" * 64, "0000")):
        answer = data.call("GET", f"/api/v1/datasets/sales/versions/{ref}")
        assert answer.status == 404 and word in answer.json["error"]


def test_the_same_rows_again_make_no_version(data):
    data.added("sales", CSV)
    shuffled = CSV.splitlines()
    shuffled = "\n".join([shuffled[0], *reversed(shuffled[1:])]) + "\n"
    assert data.added("sales", shuffled)["unchanged"] is True
    assert len(data.get("/api/v1/datasets/sales")["versions"]) == 1


def test_append_adds_rows_and_replaces_those_of_the_same_key(data):
    data.added("sales", CSV)
    made = data.added("sales", "day,shop,amount,note\n2023-09-03,A,50,new\n"
                      "2023-09-03,B,6,more\n", mode="append")
    assert (made["version"], made["row_count"]) == (2, 6)
    got = pandas.read_parquet(url(data, "2", "data.parquet"))
    last = got[got["day"].astype(str) == "2023-09-03"].set_index("shop")
    assert last.loc["A", "amount"] == 50 and last.loc["B", "note"] == "more"
    same(frame(), pandas.read_parquet(url(data, "1", "data.parquet")))


def test_until_cuts_by_event_time(data):
    made = data.added("sales", CSV, until="2023-09-02")
    assert made["row_count"] == 4


def test_a_version_shares_the_bytes_it_has_in_common_with_the_one_before(
        tmp_path, data):
    data.post("/api/v1/sources/prices", {"entity": "symbol",
                                         "event_time": "date"}, "PUT")
    raw = PRICES.read_bytes()
    one = data.added("prices", raw, until="2023-08-30")
    two = data.added("prices", raw, until="2023-08-31")
    assert one["new_size"] > 0
    assert two["new_size"] < one["new_size"] / 4, (one["new_size"],
                                                   two["new_size"])


def test_the_difference_of_two_versions_is_counted(data):
    data.added("sales", CSV)
    changed = CSV.replace("5,ünïcode", "7,ünïcode").replace(
        "2023-09-02,A,3,\n", "") + "2023-09-04,B,1,\n"
    data.added("sales", changed)
    rows = data.get("/api/v1/datasets/sales/diff?from=1&to=2")["rows"]
    assert (rows["added"], rows["removed"], rows["changed"]) == (1, 1, 1)
    rows = data.get("/api/v1/datasets/sales/diff?from=2")["rows"]
    assert (rows["added"], rows["removed"], rows["changed"]) == (0, 0, 0)


def test_the_profile_says_what_pandas_says(data):
    data.added("sales", CSV)
    profile = data.get("/api/v1/datasets/sales/versions/1")["profile"]
    text = json.dumps(profile)
    amounts = frame()["amount"]
    columns = profile.get("columns", profile)
    if isinstance(columns, list):
        columns = {c["name"]: c for c in columns}
    amount = columns["amount"]
    assert amount["mean"] == pytest.approx(amounts.mean()), text
    assert (amount["min"], amount["max"]) == (1.5, 5)
    assert columns["note"]["nulls"] == 1


def test_known_at_may_not_lie_in_the_future_or_before_the_version_before(data):
    started = data.call("POST", "/api/v1/datasets/sales/versions", {
        "uploads": [data.upload(CSV.encode())], "known_at": "2024-01-01"})
    assert started.status == 400 and "future" in started.json["error"]
    data.added("sales", CSV, known_at="2023-09-20")
    refused(data.add("sales", CSV.replace("1.5", "1"), known_at="2023-09-10"),
            "known")


# ---- refused, and kept out ----

def test_a_broken_line_is_refused_with_file_and_line(data):
    broken = CSV.replace("2023-09-02,A,3,\n", "2023-09-02,A,3,x,y,z,zz\n")
    refused(data.add("sales", broken, "august.csv"), "august.csv", "4")
    no_version(data)


@pytest.mark.parametrize("name, content, message", [
    ("a.csv", b"day,shop,caf\xe9\n2023-09-01,A,1\n",
     "a.csv, line 1 is not UTF-8: convert the file first"),
    ("a.csv", b"\n\nday,shop\n2023-09-01,A\n",
     "a.csv, line 1 is empty: the first line must be a header"),
    ("a.csv", CSV.encode("utf-16"),
     "a.csv: neither UTF-8 text nor Parquet: convert the file first"),
    ("a.bin", bytes(range(256)),
     "a.bin: neither UTF-8 text nor Parquet: convert the file first"),
    ("a.jsonl", b'{"day": "2023-09-01"}\n{"day" "x"}\n{"day": "2023-09-02"}\n',
     """a.jsonl, line 2 is no JSON: '{"day" "x"}'"""),
    ("a.json", b'[{"day": "2023-09-01"}, {"day": "2023',
     "a.json: not readable as JSON: Malformed JSON, unexpected end of data"),
    ("a.json", b"[]", "a.json holds no rows: a list of objects is wanted, or"
     " one object a line"),
    ("a.parquet", b"PAR1" + bytes(100),
     "a.parquet: not readable as Parquet: No magic bytes found at end"),
])
def test_what_cannot_be_read_is_refused_by_the_name_of_the_users_file(
        data, name, content, message):
    assert refused(data.add("sales", content, name)) == message
    no_version(data)


def test_a_value_of_the_wrong_type_is_refused_with_file_and_line(data):
    declare(data, types={"amount": "number"})
    broken = CSV.replace("4.125", "four")
    refused(data.add("sales", broken, "august.csv"), "august.csv", "amount")


def test_a_failing_expectation_names_count_and_first_rows(data):
    declare(data, expect=["amount < 4", "unique(shop, day)"])
    said = refused(data.add("sales", CSV), "amount < 4", "2 rows")
    assert "4.125" in said and "2023-09-02" in said and "B" in said
    declare(data, expect=["unique(shop, day)"])
    refused(data.add("sales", CSV + "2023-09-01,A,9,\n"),
            "unique(shop, day)", "2023-09-01")
    no_version(data)


def test_few_bad_rows_are_set_aside_with_the_reason(data):
    declare(data, expect=["amount < 5"], quarantine_max=0.5)
    made = data.added("sales", CSV)
    assert (made["row_count"], made["quarantined_count"]) == (4, 1)
    bad = pandas.read_csv(url(data, "1", "quarantine.csv"))
    assert len(bad) == 1 and bad["amount"][0] == 5
    assert "amount < 5" in bad["slw_reason"][0]
    assert 5 not in pandas.read_csv(url(data, "1", "data.csv"))[
        "amount"].values
    bad = pandas.read_parquet(url(data, "1", "quarantine.parquet"))
    assert len(bad) == 1


def test_a_version_without_bad_rows_has_no_quarantine_file(data):
    data.added("sales", CSV)
    answer = data.call("GET", "/api/v1/datasets/sales/versions/1/"
                       "quarantine.csv")
    assert answer.status == 404 and "quarantined" in answer.json["error"]


def test_stale_data_are_refused_by_fresh(data):
    declare(data, expect=["fresh(5d)"])
    refused(data.add("sales", CSV), "fresh(5d)", "2023-09-03")


def test_history_until_a_day_is_fresh_when_it_reaches_that_day(data):
    declare(data, expect=["fresh(1d)"])
    refused(data.add("sales", CSV, until="2023-09-20"), "fresh(1d)")
    assert data.add("sales", CSV, until="2023-09-03")["state"] == "succeeded"


@pytest.mark.parametrize("check", ["price > 0", "not_null(price)",
                                   "unique(price)"])
def test_a_check_of_a_column_that_is_not_there_names_it(data, check):
    declare(data, expect=[check])
    refused(data.add("sales", CSV), "price")


def test_a_missing_event_time_column_is_named(data):
    refused(data.add("sales", "shop,amount\nA,1\n"), "day")


@pytest.mark.parametrize("check", [
    "amount > (SELECT count(*) FROM read_csv('/etc/passwd'))",
    "1 IN (SELECT 1 FROM read_text('/etc/hostname'))"])
def test_a_check_cannot_read_files_of_the_machine(data, check):
    declare(data, expect=[check])
    row = data.add("sales", CSV)
    assert row["state"] == "failed" and "root:" not in str(row["error"]), row


def test_an_empty_upload_is_refused(data):
    answer = data.call("POST", "/api/v1/uploads", b"", {
        "Content-Type": "application/octet-stream"})
    assert answer.status == 400 and "empty" in answer.json["error"]
    refused(data.add("sales", "day,shop,amount,note\n"), "no rows")


def test_an_unknown_dataset_is_refused_at_once_and_names_those_there_are(data):
    upload = data.upload(CSV.encode())
    answer = data.call("POST", "/api/v1/datasets/sale/versions",
                       {"uploads": [upload]})
    assert answer.status == 404 and "sales" in answer.json["error"]
    for path in ("sale", "sale/versions/1", "sale/versions/1/data.csv",
                 "sale/diff?from=1"):
        assert data.call("GET", "/api/v1/datasets/" + path).status == 404, path


def test_an_upload_that_was_never_sent_is_refused(data):
    answer = data.call("POST", "/api/v1/datasets/sales/versions",
                       {"uploads": ["0" * 64]})
    assert answer.status == 404 and "upload" in answer.json["error"]
    for body in ({}, {"uploads": []}, {"uploads": ["x"]},
                 {"uploads": [{"name": "n"}]}, {"uploads": 3}):
        answer = data.call("POST", "/api/v1/datasets/sales/versions", body)
        assert answer.status == 400, body


@pytest.mark.parametrize("definition, word", [
    ({"event_time": "day", "expct": []}, "expct"),
    ({"entity": "shop"}, "event_time"),
    ({"event_time": "day", "quarantine_max": 2}, "quarantine_max"),
    ({"event_time": "day", "expect": ["fresh(soon)"]}, "fresh"),
    ({"event_time": "day", "types": {"amount": "money"}}, "amount")])
def test_a_bad_declaration_of_a_source_is_refused(data, definition, word):
    answer = data.call("PUT", "/api/v1/sources/other", definition)
    assert answer.status == 400 and word in answer.json["error"]
    assert data.call("GET", "/api/v1/sources/other").status == 404


def test_downloads_leave_no_temporary_file(data):
    data.added("sales", CSV)
    for file in ("data.csv", "data.parquet"):
        assert data.call("GET", url(data, "1", file)[len(data.url):]).status \
            == 200
    assert data.tmp_files() == []
