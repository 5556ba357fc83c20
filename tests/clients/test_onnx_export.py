"""An exported network answers in ONNX Runtime as it does here.

The networks come from the test tool arnet_tool, built beside the unit tests;
SLIPWAY_TEST_TOOLS is the absolute path of that folder.
"""
import json
import os
import subprocess

import numpy
import onnx
import onnxruntime
import pytest

from conftest import SHOPS_YAML, Shops


def tool(*args):
    folder = os.environ["SLIPWAY_TEST_TOOLS"]
    done = subprocess.run([os.path.join(folder, "arnet_tool"), *map(str, args)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run_file(path, rows):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session, session.run(["output"], {"input": numpy.array(rows, dtype=numpy.float32)})[0]


@pytest.mark.parametrize("hidden, used", [(0, 1), (0, 9), (1, 1), (1, 4), (16, 9), (300, 7)])
def test_onnx_runtime_answers_as_our_own_evaluator(tmp_path, hidden, used):
    path = tmp_path / "net.onnx"
    ours = tool("make", hidden, used, 5 + hidden, path)
    _, theirs = run_file(path, ours["rows"])
    assert theirs.shape == (50, 1)
    spread = numpy.std(ours["answers"])
    assert spread > 0.1  # the network says something
    # Float32 sums of up to 300 terms in another order: some 1e-6 of their size.
    numpy.testing.assert_allclose(theirs[:, 0], ours["answers"], rtol=1e-5, atol=1e-5 * max(1, spread))


def test_the_file_is_valid_onnx_of_the_promised_shape(tmp_path):
    path = tmp_path / "net.onnx"
    tool("make", 8, 5, 1, path)
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 13)]
    session, _ = run_file(path, [[0.0] * 9])
    (given,), (answer,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == ("input", ["N", 9], "tensor(float)")
    assert (answer.name, answer.shape, answer.type) == ("output", ["N", 1], "tensor(float)")


def test_one_row_and_many_rows_agree(tmp_path):
    path = tmp_path / "net.onnx"
    ours = tool("make", 16, 9, 3, path)
    _, many = run_file(path, ours["rows"])
    for row, answer in zip(ours["rows"], many):
        numpy.testing.assert_allclose(run_file(path, [row])[1][0], answer, rtol=1e-5)


def test_a_trained_network_leaves_an_onnx_file_that_answers_as_the_server(
        tmp_path):
    yaml = SHOPS_YAML.replace(
        "xgboost: {eta: [0.05, 0.3, log], max_depth: [2, 4], rounds: 20}",
        "arnet: {lags: [2, 3], lag_prefix: amount_lag, hidden: 4, epochs: 10}")
    with Shops(tmp_path, yaml=yaml) as s:
        s.train().deploy(1)
        run = s.get("/api/v1/models/next-amount/versions/1")["version"]["run_id"]
        path = tmp_path / "net.onnx"
        path.write_bytes(s.call(
            "GET", f"/get-artifact?run_uuid={run}&path=model/model.onnx").body)
        names = s.get("/v2/models/next-amount")["parameters"]["columns"]
        rows = numpy.random.default_rng(1).uniform(80, 160, (20, len(names)))
        answer = s.post("/v2/models/next-amount/infer", {"inputs": [{
            "name": "features", "shape": list(rows.shape), "datatype": "FP64",
            "data": rows.ravel().tolist()}]})
        assert answer["parameters"]["served_by"] == "champion"
        _, theirs = run_file(path, rows)
        numpy.testing.assert_allclose(theirs[:, 0],
                                      answer["outputs"][0]["data"], rtol=1e-5)
