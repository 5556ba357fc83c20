"""Rule expressions and DuckDB's answers, for tests/unit/model/test_expr.c.

    python make.py        (DuckDB 1.5.6; writes answers.json)

Columns a, b, c, "odd name" and Close are DOUBLE; rows hold NULL, zeros,
fractions and large values.  An answer that DuckDB gives as NULL, NaN or an
infinity is null here: the rule language answers NaN for all of them.  "error"
marks rows where DuckDB stops, as for ln(-1): it then has no answer to equal.
Expressions: a fixed list, then random ones from the grammar.
"""
import json
import math
import random

import duckdb

NAMES = ["a", "b", "c", "odd name", "Close"]
ROWS = [
    [1.0, 2.0, 3.0, 4.0, 100.5], [0.0, -1.5, 0.1, -0.0, 99.0], [None, 1.0, 2.0, 3.0, 4.0],
    [1.0, None, -2.5, 0.3, None], [None, None, None, None, None], [0.1, 0.2, 0.3, 1e-9, 1e9],
    [-3.0, 3.0, -3.0, 3.0, -3.0], [1e200, 1e200, -1e200, 1e-200, 1e308],
    [2.5, -2.5, 0.5, 1.005, 2.675], [123.456, 9.87e-5, 7.0, 1 / 3, 2 / 3],
]
FIXED = """
a
a + b * c
(a + b) * c
-a * -b
- - a
a / b
a / 0
0 / a
1 / (a / 0)
a - b - c
a / b / c
0.1 + 0.2
0.1 * 3 * a
(0.1 + 0.2) * a
0.1 * 0.1
1 / 3
1 / 3.0 + a
CASE WHEN a > 1 THEN 0.1 ELSE 0.2 END * 0.3
CASE WHEN a > 1 THEN 3 ELSE 2 END * 0.1
CASE WHEN a > 1 THEN 3 ELSE b END * 0.1
CASE WHEN a > b THEN a WHEN b > c THEN b ELSE c END
CASE WHEN a > b THEN 1 END
CASE WHEN a / 0 > 1e308 THEN 1 ELSE 0 END
CASE WHEN NOT (a > 1 AND b > 1) OR c IS NULL THEN 1 ELSE 0 END
CASE WHEN a IS NOT NULL AND b = b THEN 1 ELSE 2 END
CASE WHEN a <> b OR NULL THEN 1 ELSE 2 END
CASE WHEN a >= 0 AND NULL THEN 1 ELSE 2 END
case when a <= 1 then -1 else +1 end
CASE WHEN (a > 1) = (b > 1) THEN 1 ELSE 2 END
CASE WHEN TRUE THEN 1 ELSE 2 END
CASE WHEN 0 / a = 0 / a THEN 1 ELSE 2 END
abs(a) + ABS(-2.5)
ln(a)
log10(abs(b))
exp(a)
exp(a / 10)
sqrt(abs(c))
sqrt(c)
pow(a, 2)
power(b, 0.5)
pow(a, b)
least(a, b, c)
greatest(a, b, c)
least(a, 0.5)
greatest(1, 0.25, a)
greatest(1, 2.5)
coalesce(a, b, 7)
coalesce(a, 0.1) * 0.1
coalesce(NULL, 0.1) * 0.1
coalesce(a / b, 1)
nullif(a, b)
nullif(a, 1) + 1
nullif(0, 0)
round(a)
round(b)
round("odd name", 2)
round(Close, 2)
round(a, -1)
round(2.675, 2)
round(0.125, 2)
round(-0.125, 2)
round(-2.5)
round(1234.5, -2)
round(50, -2)
floor(b) + ceil(b)
floor(-2.5)
ceil(2.1) * 0.1
floor(0.5) + ceiling(-0.5)
"odd name" + "Close"
close + CLOSE + "close"
A + B
1e-3 * a
1.5E2 + .5 + 5.
123456789.123456789 * a
0.12345678901234567 * a
99999999999999999.5 + a
12345678901234567890 * a
a * 3.141592653589793238462643383
1000000000000000000000 / a
NULL
NULL + a
a = b
""".strip().splitlines()


def number(rng):
    kind = rng.randrange(5)
    if kind == 0:
        return str(rng.randrange(100))
    if kind == 1:
        return "%.*f" % (rng.randrange(1, 6), rng.uniform(0, 20))
    if kind == 2:
        return repr(rng.uniform(0, 1))
    if kind == 3:
        return "%de%d" % (rng.randrange(1, 9), rng.randrange(-5, 5))
    return rng.choice(["0", "1", "0.1", "0.5", "2"])


def value(rng, depth):
    if depth == 0:
        return rng.choice([number(rng), rng.choice(["a", "b", "c", '"odd name"', "Close"]), "a", "b"])
    d = depth - 1
    kind = rng.randrange(11)
    if kind < 4:
        return "(%s %s %s)" % (value(rng, d), rng.choice("+-*/"), value(rng, d))
    if kind == 4:
        return "%s %s %s" % (value(rng, d), rng.choice("+-*/"), value(rng, d))
    if kind == 5:
        return "(- %s)" % value(rng, d)
    if kind == 6:
        return "%s(%s)" % (rng.choice(["abs", "exp", "round", "floor", "ceil", "sqrt", "ln", "log10"]), value(rng, d))
    if kind == 7:
        return "%s(%s, %s)" % (rng.choice(["least", "greatest", "coalesce", "nullif", "pow"]), value(rng, d), value(rng, d))
    if kind == 8:
        return "round(%s, %d)" % (value(rng, d), rng.randrange(-2, 5))
    if kind == 9:
        return "CASE WHEN %s THEN %s ELSE %s END" % (truth(rng, d), value(rng, d), value(rng, d))
    return "CASE WHEN %s THEN %s WHEN %s THEN %s END" % (truth(rng, d), value(rng, d), truth(rng, d), value(rng, d))


def truth(rng, depth):
    kind = rng.randrange(6)
    if kind == 0 and depth > 0:
        return "(%s %s %s)" % (truth(rng, depth - 1), rng.choice(["AND", "OR"]), truth(rng, depth - 1))
    if kind == 1 and depth > 0:
        return "NOT %s" % truth(rng, depth - 1)
    if kind == 2:
        return "%s IS %s" % (value(rng, 0), rng.choice(["NULL", "NOT NULL"]))
    return "%s %s %s" % (value(rng, depth), rng.choice(["=", "<>", "<", "<=", ">", ">="]), value(rng, depth))


def main():
    db = duckdb.connect()
    db.execute('CREATE TABLE t(n INTEGER, a DOUBLE, b DOUBLE, c DOUBLE, "odd name" DOUBLE, "Close" DOUBLE)')
    for n, row in enumerate(ROWS):
        db.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", [n] + row)
    rng = random.Random(5)
    texts = FIXED + [value(rng, 1 + i % 3) for i in range(900)]
    cases = []
    for text in texts:
        answers, errors, kind = [], 0, ""
        for n in range(len(ROWS)):
            try:
                got, kind = db.execute(
                    "SELECT CAST(v AS DOUBLE), typeof(v) FROM (SELECT (%s) AS v FROM t WHERE n = ?)" % text, [n]).fetchone()
                answers.append(got if got is not None and math.isfinite(got) else None)
            except duckdb.Error as why:
                errors += 1
                kind = type(why).__name__
                answers.append("error")
        # What DuckDB does not bind, or whose constants overflow an INTEGER, says nothing about values.
        if errors == len(ROWS) and kind in ("BinderException", "ParserException", "OutOfRangeException", "ConversionException"):
            continue
        if kind == "BOOLEAN":
            continue
        cases.append({"sql": text, "type": kind, "answers": answers})
    json.dump({"duckdb": duckdb.__version__, "names": NAMES, "rows": ROWS, "cases": cases}, open("answers.json", "w"),
              separators=(",", ":"))
    print(len(cases), "of", len(texts))


main()
