"""Small XGBoost models and the library's own answers, for tests/unit/model.

Run once a version, each with that version's Python package on the path:

    python make.py OUT_FOLDER

Versions whose files are kept: 1.2.1, 1.5.2, 1.7.6, 2.1.4, 3.0.5, 3.2.0 (one
each for: trees summed before the base score; the old sigmoid; UBJSON with the
attributes of early stopping; iteration_indptr; base_score limits; base_score
as a list).  A case is <version>_<name>.json or .ubj, the model, beside
<version>_<name>.expect.json: columns, and rows and answers as the bits of
float32, so that NaN, infinities and the last bit survive.
"""
import json
import struct
import sys

import numpy as np
import xgboost as xgb

OUT = sys.argv[1]
VERSION = xgb.__version__
V = tuple(int(p) for p in VERSION.split(".")[:2])
COLUMNS = 5


def bits(values):
    return [struct.unpack("<I", struct.pack("<f", float(v)))[0] for v in values]


def training(seed=7, n=240):
    rng = np.random.RandomState(seed)
    x = rng.normal(size=(n, COLUMNS)).astype(np.float32)
    x[:, 3] = rng.randint(0, 6, size=n)
    y = 2 * x[:, 0] - x[:, 1] * x[:, 2] + 0.3 * (x[:, 3] % 3) + rng.normal(size=n) * 0.1
    x[rng.uniform(size=x.shape) < 0.1] = np.nan
    return x, y.astype(np.float32)


def thresholds(dump):
    found = []
    for line in dump:
        for part in line.split("<")[1:]:
            try:
                found.append(float(part.split("]")[0]))
            except ValueError:
                pass
    return np.array(sorted(set(found)), dtype=np.float32)


def probes(booster, infinities):
    rng = np.random.RandomState(11)
    rows = rng.normal(size=(24, COLUMNS)).astype(np.float32) * 2
    rows[:, 3] = rng.randint(-1, 9, size=24)
    rows[rng.uniform(size=rows.shape) < 0.15] = np.nan
    special = [0.0, -0.0, 1e-45, -1e-45, 0.7, 1.999, -0.5, 16777216.0, 3e38, 31, 32, 33]
    cuts = thresholds(booster.get_dump())
    if len(cuts):
        some = cuts[:: max(1, len(cuts) // 4)]
        special += list(some) + list(np.nextafter(some, np.float32(np.inf)))
        special += list(np.nextafter(some, np.float32(-np.inf)))
    if infinities:
        special += [np.inf, -np.inf]
    more = []
    for value in special:
        row = rows[rng.randint(0, 24)].copy()
        row[rng.randint(0, COLUMNS)] = value
        row[3] = value if rng.uniform() < 0.4 else row[3]
        more.append(row)
    return np.vstack([rows, np.array(more, dtype=np.float32)])


def write(name, booster, rows, answers, endings):
    for ending in endings:
        booster.save_model("%s/%s_%s.%s" % (OUT, VERSION, name, ending))
    with open("%s/%s_%s.expect.json" % (OUT, VERSION, name), "w") as f:
        json.dump({"xgboost": VERSION, "columns": COLUMNS, "rows": bits(rows.ravel()),
                   "answers": bits(np.asarray(answers).ravel())}, f, separators=(",", ":"))
        f.write("\n")


def case(name, params, label, rounds=8, **more):
    x, y = training()
    params = dict({"max_depth": 3, "seed": 3, "nthread": 1, "verbosity": 0}, **params)
    booster = xgb.train(params, xgb.DMatrix(x, label=label(y), **more), rounds)
    rows = probes(booster, False)
    answers = booster.predict(xgb.DMatrix(rows, **more))
    write(name, booster, rows, answers, ["json", "ubj"] if V >= (1, 6) else ["json"])


def sklearn_case():
    x, y = training()
    early = {"early_stopping_rounds": 3}
    if V >= (1, 6):
        model = xgb.XGBRegressor(n_estimators=60, max_depth=3, learning_rate=0.5, n_jobs=1, **early)
        early = {}
    else:
        model = xgb.XGBRegressor(n_estimators=60, max_depth=3, learning_rate=0.5, n_jobs=1)
    model.fit(x[:160], y[:160], eval_set=[(x[160:], y[160:])], verbose=False, **early)
    rows = probes(model.get_booster(), False)
    write("sklearn", model, rows, model.predict(rows), ["json"])


case("squared", {"objective": "reg:squarederror", "base_score": 0.7321}, lambda y: y)
case("logistic", {"objective": "binary:logistic"}, lambda y: (y > 0) * 1.0)
case("poisson", {"objective": "count:poisson"}, lambda y: np.round(np.abs(y)))
case("dart", {"booster": "dart", "rate_drop": 0.4, "objective": "reg:squarederror"}, lambda y: y)
case("forest", {"num_parallel_tree": 3, "subsample": 0.5, "objective": "binary:logitraw"},
     lambda y: (y > 0) * 1.0, rounds=3)
if V >= (1, 6):
    kinds = ["q", "q", "q", "c", "q"]
    case("category", {"tree_method": "approx" if V < (1, 7) else "hist", "max_cat_to_onehot": 2},
         lambda y: y, feature_types=kinds, enable_categorical=True)
sklearn_case()
if V >= (3, 2):
    case("linear", {"booster": "gblinear"}, lambda y: y, rounds=2)
    case("multi", {"objective": "multi:softprob", "num_class": 3}, lambda y: np.clip(np.round(y), 0, 2),
         rounds=2)
