#!/usr/bin/env python3
"""The keys of `limits` that hold for a request: at the limit it passes, one more is refused with the code of
that limit, which is counted, and nothing of it reaches the service."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Gateway, Upstream, answer, wait_until
from tap import contains, equal, run, test

CONFIG = '''
    version: 1
    listeners:
      public:
        address: "127.0.0.1:@PORT@"
        limits:
          request_line_max: 512B
          header_total_max: 2KiB
          header_field_max: 600B
          header_name_max: 20B
          header_count_max: 8
          method_max: 8B
          trailers_count_max: 2
          trailers_total_max: 256B
          query_params_max: 3
          keepalive_requests: 3
    admin: {address: "127.0.0.1:@ADMIN@"}
    log: false
    limits: {max_forwards_depth: 2}
    services: {a: %s}
    routes:
      - {match: {path: "/*"}, to: a}
      - {match: {path: "/small/*"}, to: a, max_body: 10B}
      - {match: {path: "/few/*"}, to: a, limits: {response_header_count_max: 8, interim_responses_max: 2}}
      - {match: {path: "/large/*"}, to: a, limits: {response_header_total_max: 256KiB}}
'''


def reply(request, _):
    fields = int(request.header('x-fields', '0'))
    early = b'HTTP/1.1 102 Processing\r\n\r\n' * int(request.header('x-interim', '0'))
    return early + answer('ok', '200 OK', *(['X: a'] * fields), 'Y: ' + 'a' * int(request.header('x-long', '0')))


up = Upstream(reply)
gw = None
HOST = b' HTTP/1.1\r\nHost: gw.test\r\n'


def line(n):
    return b'GET /' + b'a' * (n - 14) + HOST + b'\r\n'  # the limit is for what stands before the version


def fields(*lines):
    return b'GET /' + HOST + b''.join(f + b'\r\n' for f in lines) + b'\r\n'


def head(n):
    """A whole head of n bytes."""
    rest = n - len(fields(b'A: ', b'B: ', b'C: ', b'D: '))
    return fields(*(name + b': ' + b'a' * (rest // 4 + (i < rest % 4)) for i, name in enumerate(b'A B C D'.split())))


def trailers(*lines):
    return b'POST /' + HOST + b'Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n' + \
        b''.join(f + b'\r\n' for f in lines) + b'\r\n'


def ask(path, field=b''):
    return b'GET ' + path + HOST + field + b'\r\n'


def post(path, n):
    return b'POST ' + path + HOST + b'Content-Length: %d\r\n\r\n' % n + b'x' * n


# key, what is just within it, what is not, status, code, whether the service is asked all the same
LIMITS = [
    ('request_line_max', line(520), line(521), 414, 'target_too_long', False),
    ('header_total_max', head(2048), head(2050), 431, 'headers_too_large', False),
    ('header_field_max', fields(b'X: ' + b'a' * 590), fields(b'X: ' + b'a' * 600), 431, 'header_too_long', False),
    ('header_name_max', fields(b'X' * 20 + b': a'), fields(b'X' * 21 + b': a'), 431, 'header_name_too_long', False),
    ('header_count_max', fields(*[b'X: a'] * 7), fields(*[b'X: a'] * 8), 431, 'too_many_headers', False),
    ('method_max', b'A' * 8 + b' /' + HOST + b'\r\n', b'A' * 9 + b' /' + HOST + b'\r\n', 400, 'bad_method', False),
    ('trailers_count_max', trailers(b'X: a', b'Y: b'), trailers(b'X: a', b'Y: b', b'Z: c'), 431, 'too_many_headers',
     False),
    ('trailers_total_max', trailers(b'X: ' + b'a' * 245), trailers(b'X: ' + b'a' * 120, b'Y: ' + b'a' * 140), 431,
     'headers_too_large', False),
    ('query_params_max', ask(b'/?a&b&c'), ask(b'/?a&b&c&d'), 400, 'too_many_query_parameters', False),
    ('max_forwards_depth', ask(b'/', b'CDN-Loop: sluice, sluice\r\n'),
     ask(b'/', b'CDN-Loop: sluice, sluice, sluice\r\n'), 508, 'loop_detected', False),
    ('max_body', post(b'/small/x', 10), post(b'/small/x', 11), 413, 'body_too_large', False),
    ('response_header_count_max', ask(b'/few/x', b'X-Fields: 6\r\n'), ask(b'/few/x', b'X-Fields: 7\r\n'), 502,
     'upstream_header_too_large', True),
    ('interim_responses_max', ask(b'/few/x', b'X-Interim: 2\r\n'), ask(b'/few/x', b'X-Interim: 3\r\n'), 502,
     'upstream_too_many_interim', True),
    ('response_header_total_max', ask(b'/large/x', b'X-Long: 200000\r\n'), ask(b'/x', b'X-Long: 66000\r\n'), 502,
     'upstream_header_too_large', True),
]


def counted(code):
    return sum(v for k, v in gw.metrics().items() if k.startswith('sluice_faults_total{') and f'code="{code}"' in k)


@test(LIMITS)
def a_limit(row):
    _, within, above, status, code, asked = row
    before, sent = counted(code), len(up.requests)
    with gw.client() as c:
        equal(c.request(within).status, 200, 'at the limit')
    with gw.client() as c:
        got = c.request(above)
        equal(got.status, status, 'above it')
        contains(got.body.decode(), f'"code":"{code}"')
    wait_until(lambda: counted(code) == before + 1, f'{code} is counted, once')  # when the answer has left
    equal(len(up.requests), sent + 1 + asked, 'requests at the service')


@test
def keepalive_requests():
    with gw.client() as c:
        equal([c.request(ask(b'/')).header('connection') for _ in range(3)], [None, None, 'close'])
        c.expect_close()


with Gateway(CONFIG % up.address) as gw:
    run()
