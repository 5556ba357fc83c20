"""What `make bench` compares serving with: the same XGBoost model behind
FastAPI's framework, as one would write it by hand.

  python peer.py MODEL_FILE     prints the port, then serves until SIGTERM

It reads the V2 body of tests/bench/bench.py, predicts in place with XGBoost's
library and answers in V2.  It does none of what a model server does besides:
no checks, no record of the prediction, no fallback.  It is one process, as
frameworks start by default: on two cores a second one could at best double it.
"""
import socket
import sys

import numpy
import uvicorn
import xgboost
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

booster = xgboost.Booster(model_file=sys.argv[1])
booster.set_param({"nthread": 1})
booster.feature_names = None
app = FastAPI()


@app.get("/health")
async def health():
    return {}


@app.post("/v2/models/{name}/infer")
async def infer(name: str, request: Request):
    tensor = (await request.json())["inputs"][0]
    x = numpy.array(tensor["data"], dtype=numpy.float32)
    y = booster.inplace_predict(x.reshape(tensor["shape"]),
                                validate_features=False)
    return JSONResponse({"model_name": name, "outputs": [
        {"name": "prediction", "datatype": "FP64", "shape": [len(y)],
         "data": y.tolist()}]})


listener = socket.create_server(("127.0.0.1", 0), backlog=128)
# Accepted sockets inherit it; without it every answer waits 40 ms for an ACK.
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print(listener.getsockname()[1], flush=True)
server = uvicorn.Server(uvicorn.Config(app, log_level="error",
                                       access_log=False))
server.run(sockets=[listener])
