#!/usr/bin/env python3
"""Writes tests/fuzz/corpus/<target>/: small inputs that each target starts from.

    python3 tests/fuzz/make_corpus.py

The files are committed; run this again when a format or a grammar changes.
Files named found-* came out of fuzzing, are not made here and stay.
"""
import base64
import hashlib
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def u32(*values):
    return struct.pack(f"<{len(values)}I", *values)


def signed(data):
    return data + u32(crc32c(data))


# ---- text ----

JSON = ['{}', '[]', 'null', 'true', '0', '-0', '-0.0', '1.0', '1e300', '5e-324', '0.1',
        '9223372036854775807', '-9223372036854775808', '9223372036854775808', '1E+2', '""',
        r'"\u00e9\ud83d\ude00\n\t\"\\\/"', '"é😀"', r'"\u0000"', r'"\ud800"', '[1,2,[3,[4]]]',
        '{"a":1,"b":{"c":[null,false]},"n":"5"}', '{"a":1,"a":2}', '[1,]', '{"a"}', '{"b":true,"a":"x"}',
        '[' * 64 + ']' * 64, '[' * 65 + ']' * 65, ' \n {"inputs" : [ 1.5 , "NaN" ] }\r\n', '1 2', '"a', '\ufeff{}',
        '{"":0,"z":1,"a":2}', '[1e400]', '[123456789.123456789, 1e-7, 100000000000000000000000.0]']

YAML = ['', '# only\n', 'a: 1\nb: [x, "y", \'z\']\n', 'a:\n  - {k: v}\n  - |\n    two\n    lines\n  - >-\n    fold\n    ed\n',
        'a: &x {k: [1]}\nb: *x\n', 'a: 1\na: 2\n', '? q\n: v\n', '- - - 1\n', 'a: !!str 5\n', 'a: !t 5\n', '--- a\n--- b\n',
        'a: "\\u00e9\\x41\\n"\n', '"k k": ~\n', 'a: {b: {c: {d: {e: [[[[1]]]]}}}}\n', '[' * 70, '<<: {a: 1}\n', 'a: *nope\n',
        '%YAML 1.2\n---\na: 1\n...\n', 'key:\n', "a: 'it''s'\n", 'a:\tb\n', '- a\n b\n', 'é: ü\n', '\x00', 'a: b: c\n',
        'a: &a [*a]\n', 'x: |2\n   y\n', 'sources: {prices: {path: x, path: y}}\n', '{a, b: , c: 1}\n', '"a\n b": 1\n']

TIMES = ['2023-08-31', '2023-08-31T22:00:00Z', '2023-08-31 22:00:00', '2023-08-31T22:00', '2023-08-31T22:00:00.250+02:00',
         '2023-08-31T22:00:00.25-0930', '2023-08-31T22:00:00.123456789Z', '1693519200000', '0', '-1', '2024-02-29',
         '1900-02-29', '0001-01-01', '9999-12-31T23:59:59Z', '253402300800000', '-62135596800001', '0000-01-01', '1.5',
         '250ms', '30s', '5m', '12h', '90d', '2w', '0s', '106751991167d', '9223372036854775807ms', '-5s', '5 s', 'NaN', 'inf',
         '-Infinity', '1e308', '1e309', '5e-324', '2.2250738585072011e-308', '0.30000000000000004', '123456789012345678901234567890',
         '+1', '1e', '.5', '5.', '-0', '1' * 1100, '0.' + '0' * 400 + '1']

FILTERS = ['', 'a = 1', "metrics.loss >= 0.5 AND params.\"a b\" LIKE 'x%'", 'metrics.`a b` < -1e-3', "tags.mlflow.runName = 'x'",
           "tags.`mlflow.x.y` != \"q'q\"", "run_id IN ('a', \"b\",'c')", "run_id NOT IN ('d')", 'params.x IS NULL',
           'params.y is not null', "name ILIKE '%a_'", 'start_time DESC', 'metrics.loss ASC', 'metrics.`a b` desc', 'a = 1 OR b = 2',
           "a = 'b", 'a IN ()', "a IN ('b'", '`a = 1', 'a. = 1', '.a = 1', 'a == 1', "a NOT LIKE 'x'", "dataset.name = 'd'",
           'start_time < 1693519200000', "attributes.status = 'RUNNING' and attribute.user_id != ''", 'metrics.x != NaN',
           "tags.é = 'ü'", ' AND '.join(f'metrics.m{i} > {i}' for i in range(30)), "params.p LIKE '[*?]%_'", "a = 'x\\'y'",
           'tags."a" = "b" AND', "a IS NOT 3"]

PATHS = ['/', '/health', '/v2/models/next-range/infer', '/v2/models/a%20b', '/a/1/b/2', '/a/%2e%2e/b/x', '/a/../b/x', '/a//b/',
         '/files/a/b/c.txt', '/files/a/%2e%2e/b', '/files/a%2fb', '/files/', '/files', '/v2/models/%00', '/v2/models/%',
         '/v2/models/%zz', '/v2/models/%c3%a9', '/v2/models/%ff', 'bytes=0-499', 'bytes=-5', 'bytes=9-', 'bytes=5-2',
         'bytes=0-0,1-2', 'bytes=999999999999999999-', 'Bytes = 1 - 2', 'items=1-2', 'a+b%2Bc', 'health', '/./x', '/a/x/b/.']

TOKEN = 'slw_' + 'A' * 39
AUTHORIZATIONS = ['', 'Bearer ', 'Bearer ' + TOKEN, 'bearer x', 'Basic ', 'Basic =', 'Basic ====', 'Digest a="b"', 'reader',
                  'admin', 'none', 'Bearer  a b ', 'Basic ' + 'A' * 400] + [
    'Basic ' + base64.b64encode(text).decode() for text in
    (b'user:' + TOKEN.encode(), b':' + TOKEN.encode(), b'user', b'u:', b'u:' + b'p' * 127, b'u:' + b'p' * 128, b'u:' + b'p' * 250,
     b'\xff\x00:\x00')]

RULES = ['1', 'a', 'a + 1', '-a * "b c" / Close', 'CASE WHEN a > 1 THEN 2 ELSE NULL END', 'coalesce(a, 0)',
         'greatest(a, Close, 3)', 'ln(abs(a))', 'a IS NULL', 'a BETWEEN 1 AND 2', 'NOT a', 'a AND 1 OR 0', '((((1))))', 'a = ', '1e309',
         'power(a, 2)', 'round(a, 2)', 'a % 2', 'sqrt(-1)', 'nullif(a, 1)', "a || 'x'", '(' * 300, 'a' * 200, '1 + ' * 200 + '1']

HEADS = ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello',
         'GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n', 'GET / HTTP/1.1\nHost: x\n\n', 'GET / HTTP/1.0\r\n\r\n',
         'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
         'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n',
         'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\n', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\n',
         'GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n', 'GET / HTTP/1.1\r\nHost : x\r\n\r\n', 'GET /a b HTTP/1.1\r\nHost: x\r\n\r\n',
         'GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n', 'GET / HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n', 'GET / HTTP/2\r\nHost: x\r\n\r\n',
         'GET / HTTP/1.1\r\nHost: x\0\nB: c\r\n\r\n', 'GET / HTTP/1.1\r\n: v\r\n\r\n', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n',
         'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 'GET /%zz HTTP/1.1\r\nHost: x:80\r\n\r\n']

INFER = [{'inputs': [{'name': 'features', 'shape': [1, 2], 'datatype': 'FP64', 'data': [[1, 2.5]]}]},
         {'id': 'r 1', 'parameters': {'key': 'k', 'event_time': '2023-01-01'},
          'inputs': [{'name': 'symbol', 'shape': [1], 'datatype': 'BYTES', 'data': ['AAPL']}],
          'outputs': [{'name': 'prediction', 'parameters': {'binary_data': True}}]},
         {'inputs': [{'name': 'a', 'shape': [2, 1], 'datatype': 'INT64', 'data': [1, -2]},
                     {'name': 'b', 'shape': [2], 'datatype': 'BOOL', 'data': [True, False]}]},
         {'inputs': [{'name': 'x', 'shape': [0, 2], 'datatype': 'FP32', 'data': []}]},
         {'inputs': [{'name': 'x', 'shape': [-1], 'datatype': 'FP32', 'data': [1]}]},
         {'inputs': [{'name': 'x', 'shape': [9223372036854775807, 3], 'datatype': 'FP32', 'data': [1]}]},
         {'inputs': []}, {'inputs': [{'name': 'x'}]},
         {'inputs': [{'name': 'x', 'shape': [1], 'datatype': 'UINT8', 'data': [256]}]},
         {'inputs': [{'name': 'x', 'shape': [2], 'datatype': 'FP64', 'data': ['NaN', None]}]}]


def infer_bodies():
    for body in INFER:
        yield b'\0' + json.dumps(body).encode()
    binary = {'inputs': [{'name': 'features', 'shape': [1, 2], 'datatype': 'FP64', 'parameters': {'binary_data_size': 16}}],
              'parameters': {'binary_data_output': True}}
    text = json.dumps(binary).encode()
    for data in (struct.pack('<2d', 1, float('nan')), b'1234'):
        body = text + data
        share = next(b for b in range(1, 256) if len(body) * b // 256 >= len(text))
        text_padded = text + b' ' * (len(body) * share // 256 - len(text))
        yield bytes([share]) + text_padded + data
    texts = {'inputs': [{'name': 's', 'shape': [2], 'datatype': 'BYTES', 'parameters': {'binary_data_size': 11}}]}
    yield b'\xe4' + json.dumps(texts).encode() + u32(1) + b'a' + u32(2) + 'é'.encode()


def log_bodies():
    metric = {'run_id': 'ab12', 'run_uuid': 'ab12', 'key': 'loss', 'value': 0.25, 'timestamp': 1700000000000, 'step': -3}
    of_model = {**metric, 'model_id': 'm-1', 'dataset_name': 'd', 'dataset_digest': 'x'}
    for body in (metric, of_model, {**metric, 'value': 'NaN'}, {**metric, 'step': '7'}, {**metric, 'value': -0.0},
                 {**metric, 'value': 2 ** 63}, {**metric, 'timestamp': 1e3}, {**metric, 'key': 'a\\u00e9\n'}):
        yield b'\0' + json.dumps(body).encode()
    yield b'\0{"run_id":"a","run_id":"b","key":"k","value":1,"timestamp":1}'
    yield b'\0{"run_id":"a","key":"k","value":1e400,"timestamp":-0}'
    point = {k: v for k, v in of_model.items() if not k.startswith('run')}
    batch = {'run_id': 'ab12', 'metrics': [point, {'key': 'k', 'value': 1, 'timestamp': 2}],
             'params': [{'key': 'p', 'value': '1'}], 'tags': [{'key': 't', 'value': ''}]}
    for body in (batch, {**batch, 'metrics': []}, {**batch, 'tags': [{'key': 't'}]}, {**batch, 'other': 1},
                 {**batch, 'params': [{'key': '', 'value': 'x'}]}, {'metrics': [point] * 3, 'run_id': 'a'}):
        yield b'\1' + json.dumps(body).encode()


# ---- project files ----

def projects():
    example = (ROOT / 'examples/tech-stocks/slipway.yaml').read_text()
    yield example
    conftest = (ROOT / 'tests/conftest.py').read_text()
    shops = conftest.split('SHOPS_YAML = """')[1].split('"""')[0]
    yield shops
    yield 'project: p\n'
    yield ''
    sections, name = {}, None
    for line in shops.splitlines():
        if line and not line.startswith(' '):
            name = line.split(':')[0]
        sections.setdefault(name, []).append(line)
    for name in sections:  # each section left out, and each alone
        yield '\n'.join('\n'.join(lines) for key, lines in sections.items() if key != name) + '\n'
        yield '\n'.join(sections[name]) + '\n'
    yield shops.replace('amount >= 0', 'amonut >== 0')
    yield shops.replace('search:', 'serach:')
    yield shops.replace('0.05', 'x')
    yield shops + ('monitors:\n  next-amount: {window: 28d, every: 1d, drift: {alpha: 0.05, floor: 0.25},\n'
                   '    performance: {metric: mae, window: 14d, worse_than: fallback, confidence: 0.95, min_labels: 40}}\n'
                   'retrain:\n  next-amount: {on: [drift, "new_data: 28d"], cooldown: 28d, when_refused: fallback}\n'
                   'notify:\n  ops: {alertmanager: "http://127.0.0.1:9093", kinds: [drift]}\n')
    yield shops.replace('{model: next-amount, timeout: 2s}',
                        '\n    model: next-amount\n    timeout: 50ms\n    rollout: [{canary: 10%, requests: 100}]\n    shadow: [fallback]')
    yield shops.replace('xgboost: {eta', 'script: {command: [python3, train.py], params: {a: [1, 2]}}\n      xgboost: {eta')


# ---- bytes ----

def blob_head(kind, encoding, content_size, body, magic=b'SLWB\1'):
    head = magic + bytes([kind, encoding, 0]) + struct.pack('<QQ', content_size, len(body)) + u32(crc32c(body))
    return signed(head) + body


def blobs():
    zstd_a = bytes.fromhex('28b52ffd2001090000' '61')  # a frame with the raw block "a"
    yield b'\x00' + blob_head(1, 0, 5, b'hello')
    yield b'\x00' + blob_head(1, 0, 0, b'')
    yield b'\x00' + blob_head(1, 1, 1, zstd_a)
    yield b'\x00' + blob_head(1, 1, 1, zstd_a[:-1])
    entry = hashlib.sha256(b'hello').digest() + u32(5, 0)
    yield b'\x00' + blob_head(2, 0, 5, entry)
    yield b'\x00' + blob_head(2, 0, 10, entry * 2)
    yield b'\x00' + blob_head(2, 0, 0, b'')
    yield b'\x00' + blob_head(3, 0, 5, b'hello')
    yield b'\x00' + blob_head(1, 7, 5, b'hello')
    yield b'\x00' + blob_head(1, 0, 5, b'hello', b'SLWB\2')
    yield b'\x00' + blob_head(1, 0, 5, b'hello')[:-1]
    yield b'\x00' + blob_head(1, 0, 5, b'hello')[:20]
    yield b'\x00'
    yield b'\x0e' + bytes(32) + b'body'
    yield b'\x0e' + bytes(5) + b'\2\0' + bytes(25) + entry * 3
    yield b'\x0e' + bytes(5) + b'\1\1' + bytes(25) + zstd_a
    yield b'\x01' + b'content'
    yield b'\xff' + bytes(range(256)) * 16
    yield b'\x01'
    yield b'\x81' + b'a' * 3000


def record(columns=2, key=b'AAPL', ident=b'r-1', by=0, x=(1.5, float('nan'))):
    body = struct.pack('<qqq', 1693519200000, 1693440000000, 123456) + bytes(range(32))
    body += struct.pack('<4d', 0.5, 0.5, float('nan'), 0.25)
    body += struct.pack('<IHHII', columns, len(key), len(ident), by, 0)
    body += struct.pack(f'<{len(x)}d', *x) + key + ident
    length = 8 + len(body)
    whole = u32(length, crc32c(body)) + body
    return whole + bytes(-len(whole) % 8)


def segment_head(name=b'fuzz'):
    head = b'SLWPRED1' + u32(1, 256) + struct.pack('<qq', 7, 1693519200000) + u32(len(name)) + name.ljust(128, b'\0')
    return signed(head).ljust(256, b'\0')


def records():
    yield b'\0' + record()
    yield b'\0' + record() * 3
    yield b'\0' + record(0, b'', b'', 1, ())
    yield b'\0' + record(by=2) + bytes(200)
    yield b'\0' + record(by=77)
    yield b'\0' + record(columns=4096)
    yield b'\0' + record()[:-8]
    yield b'\1' + record()[:4] + bytes(4) + record()[8:]
    yield b'\1' + record(20, b'k' * 512, b'i' * 512, 1, tuple(range(20)))
    yield b'\1' + record(1, b'k' * 600, b'', 1, (3,))
    yield b'\2' + segment_head() + record()
    yield b'\3' + segment_head() + record(0, b'x', b'y', 0, ()) * 4
    yield b'\2' + segment_head(b'other') + record()
    yield b'\2' + segment_head()[:100]
    yield b'\1' + u32(0xffffffff) + bytes(120)
    yield b'\1' + u32(112) + bytes(108)
    yield b'\1' + b'00000001.seg'
    yield b'\0'


def profile(rows=3, columns=(b'range_lag0', b'prediction'), times=None):
    names = b''.join(u32(len(c)) + c for c in columns)
    names += bytes(-len(names) % 8)
    times = times or [i * 86400000 for i in range(rows)]
    values = [0.1, float('nan'), -0.0, 1e300, 2, 3] * (rows * len(columns))
    data = b'SLWPROF1' + struct.pack('<QII', rows, len(columns), len(names)) + names
    data += struct.pack(f'<{rows}q', *times) + struct.pack(f'<{rows * len(columns)}d', *values[:rows * len(columns)])
    return signed(data)


def profiles():
    yield b'\0' + profile()
    yield b'\0' + profile(0)
    yield b'\0' + profile(1, (b'prediction',))
    yield b'\0' + profile(5, tuple(b'c%d' % i for i in range(9)))
    yield b'\0' + profile(3, times=[2, 1, 0])
    yield b'\0' + profile()[:-1]
    yield b'\1' + profile()[:-4] + bytes(4)
    yield b'\1' + b'SLWPROF1' + struct.pack('<QII', 2**61, 4097, 0) + bytes(4)
    yield b'\1' + b'SLWPROF1' + struct.pack('<QII', 200000, 1, 8) + bytes(12)
    yield b'\1' + b'SLWPROF1' + struct.pack('<QII', 0, 1, 8) + u32(0xffffffff, 0) + bytes(4)
    yield b'\1' + b'SLWPROF1' + struct.pack('<QII', 0, 2, 8) + u32(0, 1) + bytes(4)
    yield b'\0'


def svr(columns=2, vectors=3, gamma=0.5, scale=1.0):
    data = b'SLWSVR1\n' + u32(columns, vectors) + struct.pack('<4d', gamma, 0.1, 3, 2)
    data += struct.pack(f'<{columns}d', *[0.5] * columns) + struct.pack(f'<{columns}d', *[scale] * columns)
    data += struct.pack(f'<{vectors}d', *[0.7] * vectors)
    return signed(data + struct.pack(f'<{vectors * columns}d', *[0.1] * (vectors * columns)))


def arnet(columns=2, used=(0, 1), hidden=2):
    n = len(used)
    data = b'SLWARN1\n' + u32(columns, n, hidden) + struct.pack(f'<{n}i', *used)
    for value, count in ((0.5, n), (2, n), (0.3, n), (1, 3), (0.1, hidden * n), (0.2, hidden), (-0.4, hidden)):
        data += struct.pack(f'<{count}f', *[value] * count)
    return signed(data)


def own_models():
    # how: bit 0 format, bit 1 mend, bits 2-3 columns less one
    for columns in (1, 2, 4):
        c = columns - 1 << 2
        yield bytes([c]) + svr(columns)
        yield bytes([c | 1]) + arnet(columns, tuple(range(columns)))
        yield bytes([c | 1]) + arnet(columns, (0,), 0)
        yield bytes([c]) + svr(columns, 0)
    yield bytes([4]) + svr(2, 3, -1)
    yield bytes([4]) + svr(2, 3, 1, 0)
    yield bytes([4]) + svr(2, 3, float('inf'))
    yield bytes([5]) + arnet(2, (0, 7))
    yield bytes([5]) + arnet(2, (-1, 0))
    yield bytes([5]) + arnet(2, (1, 1))
    yield bytes([4]) + svr()[:-5]
    yield bytes([7]) + arnet()[:60]
    yield bytes([6]) + b'SLWSVR1\n' + u32(2, 1048577) + bytes(32)
    yield bytes([7]) + b'SLWARN1\n' + u32(2, 2, 0xffffffff) + bytes(32)
    yield bytes([6]) + svr(4, 20)


def xgb_models():
    """Small ones only; the whole of tests/golden/xgboost is replayed too."""
    golden = ROOT / 'tests/golden/xgboost'
    small = sorted((p for p in golden.iterdir() if p.suffix in ('.json', '.ubj') and '.expect' not in p.name),
                   key=lambda p: (p.stat().st_size, p.name))[:4]
    for path in small:
        yield path.read_bytes()
    yield b'{"learner":{"gradient_booster":{"name":"gblinear","model":{"weights":[1,2]}}}}'
    yield b'{L\x00\x00\x00\x00\x00\x00\x00\x07learner{}}'
    yield b'{"learner":{"learner_model_param":{"base_score":"5E-1","num_feature":"5"},"gradient_booster":{"name":"gbtree",' \
          b'"model":{"gbtree_model_param":{"num_trees":"0"},"trees":[],"tree_info":[]}},"objective":{"name":"reg:squarederror"}},' \
          b'"version":[3,0,0]}'
    yield b'{'
    yield b'binf' + bytes(100)


def parquets():
    """Footers in Thrift's compact encoding, their length, the magic."""
    def tail(footer, size=None):
        return b'PAR1' + footer + u32(len(footer) if size is None else size) + b'PAR1'
    schema = b'\x19\x2c' + b'\x48\x06schema\x15\x02\x00' + b'\x15\x0c\x25\x02\x18\x01a\x00'
    rows = b'\x16\xe0\xd4\x03'
    yield tail(b'\x15\x02' + schema + rows + b'\x00')
    yield tail(b'\x15\x02' + schema + b'\x00')
    yield tail(b'\x15\x02\x19\x0c' + rows + b'\x00')
    yield tail(b'\x15\x02\x19\xf5\x90\x4e' + b'\x02' * 40 + rows)
    yield tail(b'\x06\x06' + rows[1:] + b'\x00')
    yield tail(b'\x1c' * 60 + rows)
    yield tail(b'\x18\xff\xff\xff\xff\xff\xff\xff\xff\x7f')
    yield tail(b'\x16' + b'\xff' * 12)
    yield tail(b'', 4000000000)
    yield b'PAR1'


def write(target, inputs):
    folder = HERE / 'corpus' / target
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob('seed-*'):
        old.unlink()
    count = 0
    for i, data in enumerate(inputs):
        (folder / f'seed-{i:02}').write_bytes(data if isinstance(data, bytes) else data.encode())
        count += 1
    print(f'{target}: {count}')


def main():
    for target, inputs in {
            'json': JSON, 'yaml': YAML, 'time': TIMES, 'filter': FILTERS, 'net_parts': PATHS, 'access': AUTHORIZATIONS,
            'expr': RULES, 'http_strict': HEADS, 'v2_body': infer_bodies(), 'log_body': log_bodies(), 'project': projects(), 'blob': blobs(),
            'record': records(), 'profile': profiles(), 'own_model': own_models(), 'xgb_model': xgb_models(),
            'parquet': parquets()}.items():
        write(target, inputs)


if __name__ == '__main__':
    main()
