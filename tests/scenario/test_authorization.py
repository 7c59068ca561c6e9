#!/usr/bin/python3
"""Who may: ip, cors, csrf and authorize, over HTTP/1.1 and HTTP/2 (THREATS.md F24, F25, F26, F29, F30)."""
import base64
import hashlib
import hmac
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Gateway, Upstream, answer, wait_until
from gateway import run as sluice
from tap import add, contains, equal, run, test
from web_client import connect

SECRET = b'thirty-two bytes at the very least'
CONFIG = '''
    version: 1
    workers: 1
    log: {fields: [status, route, code, detail, observed]}
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    trusted_proxies: 127.0.0.0/8
    services: {a: {endpoints: ["%s"], protocol: http1}}
    authenticators:
      shop: {jwt: {issuer: "https://id.test", audience: shop, key: "${secret('file:key')}", algorithms: [HS256]}}
    routes:
      - match: {path: /ip}
        ip: {allow: [10.0.0.0/8, "2001:db8::/32"]}
        routes:
          - {match: {path: /all}, to: a}
          - {match: {path: /less}, to: a, ip: {deny: 10.1.0.0/16}}
          - {match: {path: /more}, to: a, ip: {allow: 0.0.0.0/0}}
          - {match: {path: /anew}, to: a, ip: {inherit: false, allow: 127.0.0.1}}
          - {match: {path: /seen}, to: a, ip: {inherit: false, deny: 0.0.0.0/0, mode: observe}}
      - match: {path: /cors}
        cors: {origins: ["https://good.test", "https://*.good.test"], credentials: true, expose: X-Total}
        routes:
          - {match: {path: /post, method: POST}, to: a, authenticate: shop}
          - {match: {path: /get, method: GET}, to: a, cors: {headers: [X-A]}}
          - {match: {path: /plain, method: POST}, to: a, cors: false}
          - {match: {path: /seen}, to: a, cors: {mode: observe}}
      - {match: {path: /form}, to: a, csrf: {token: X-CSRF-Token}}
      - match: {path: /may}
        authenticate: shop
        authorize: 'claim.sub != "mallory"'
        routes:
          - {match: {path: /scope}, to: a, authorize: {methods: {GET: {scopes: read}, POST: {scopes: [read, write]}, "*": 'false'}}}
          - {match: {path: /loose}, to: a, authorize: 'true'}
          - {match: {path: /anew}, to: a, authorize: {inherit: false, allow: 'true'}}
          - {match: {path: /role}, to: a, authorize: {roles: ["admin|ops"], groups: staff}}
          - {match: {path: /body}, to: a, authorize: 'int(request.body.amount) <= 100'}
          - {match: {path: /fails}, to: a, authorize: 'claim.nothing == 1'}
          - {match: {path: /seen}, to: a, authorize: {scopes: none, mode: observe}}
          - {match: {path: /only, method: GET}, to: a}
      - {match: {path: /optional}, to: a, authenticate: {any: shop, optional: true}, authorize: {scopes: read}}
      - {match: {path: "/shop.Orders/Get"}, to: a, authenticate: shop, authorize: {scopes: grpc}}
'''


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def token(**claims):
    now = int(time.time())
    claims = {'iss': 'https://id.test', 'aud': 'shop', 'sub': 'ann', 'iat': now, 'exp': now + 600, **claims}
    text = b64(b'{"alg":"HS256"}') + '.' + b64(json.dumps(claims).encode())
    return 'Bearer ' + text + '.' + b64(hmac.new(SECRET, text.encode(), hashlib.sha256).digest())


def kinds(rows):
    def decorate(function):
        for kind in ('h1', 'h2'):
            for row in rows:
                add(f'{function.__name__} {kind} {" ".join(str(c) for c in row)[:90]}', function, kind, *row)
        return function
    return decorate


class World:
    """One gateway for all rows: it is started once, and each row looks at what it added."""
    def __init__(self):
        self.up = Upstream(answer(b'ok', '200 OK', 'Access-Control-Allow-Origin: *', 'X-Total: 7'))
        self.gw = Gateway(CONFIG % self.up.address, files={'key': SECRET})

    def ask(self, kind, method, path, fields=(), body=None):
        before = len(self.up.requests)
        with connect(kind, self.gw.port, None) as c:
            a = c.request(method, path, list(fields), body)
        return a, len(self.up.requests) - before


WORLD = []


def world():
    if not WORLD:
        WORLD.append(World())
    return WORLD[0]


def code(a):
    return json.loads(a.body)['code']


@kinds([('/ip/all', '10.1.2.3', 200), ('/ip/all', '11.0.0.1', 403), ('/ip/all', '2001:db8::7', 200),
        ('/ip/all', '::ffff:10.1.2.3', 200), ('/ip/all', None, 403), ('/ip/all', '10.1.2.3, 192.0.2.1', 403),
        ('/ip/less', '10.1.2.3', 403), ('/ip/less', '10.2.2.3', 200), ('/ip/more', '192.0.2.1', 403),
        ('/ip/anew', None, 200), ('/ip/anew', '10.1.2.3', 403), ('/ip/seen', '192.0.2.1', 200)])
def addresses(kind, path, told, status):
    a, reached = world().ask(kind, 'GET', path, [('x-forwarded-for', told)] if told else [])
    equal((a.status, reached), (status, status == 200))
    if status == 403:
        equal(code(a), 'address_refused')


GOOD, ACRM, ACRH = 'https://good.test', 'access-control-request-method', 'access-control-request-headers'


@kinds([('/cors/post', GOOD, 'POST', 204), ('/cors/post', 'https://a.b.good.test', 'POST', 204),
        ('/cors/post', 'https://good.test.evil', 'POST', 403), ('/cors/post', 'https://goodXtest', 'POST', 403),
        ('/cors/post', 'null', 'POST', 403), ('/cors/get', GOOD, 'GET', 204), ('/cors/get', GOOD, 'HEAD', 204),
        ('/cors/get', GOOD, 'POST', 405), ('/cors/get', GOOD, 'PROPFIND', 405), ('/cors/plain', GOOD, 'POST', 405)])
def preflights(kind, path, origin, method, status):
    a, reached = world().ask(kind, 'OPTIONS', path, [('origin', origin), (ACRM, method)])
    equal((a.status, reached), (status, 0))
    allowed = [origin] if status == 204 else []
    equal(a.all('access-control-allow-origin'), allowed)
    equal(a.all('access-control-allow-credentials'), ['true'] if allowed else [])
    equal(a.all('access-control-allow-methods'), [method] if allowed else [])
    if status == 403:
        equal(code(a), 'cors_refused')


@kinds([('X-A', 204), ('x-a,accept', 204), ('x-b', 403)])
def preflights_with_headers(kind, names, status):
    a, _ = world().ask(kind, 'OPTIONS', '/cors/get', [('origin', GOOD), (ACRM, 'GET'), (ACRH, names)])
    equal(a.status, status)


@kinds([('OPTIONS', [('origin', GOOD)], 405), ('OPTIONS', [(ACRM, 'POST')], 405), ('GET', [(ACRM, 'POST')], 405),
        ('HEAD', [], 405), ('PROPFIND', [], 405), ('get', [], 400)])
def no_way_round_by_method(kind, method, fields, status):
    """F24: a route's policies hold for all its methods, and nothing but a preflight is one."""
    a, reached = world().ask(kind, method, '/cors/post', fields)
    equal((a.status, reached), (status, 0))


@kinds([(GOOD, [GOOD]), ('https://evil.test', []), (None, [])])
def answers_and_errors_say_it_too(kind, origin, allowed):
    fields = [('origin', origin)] if origin else []
    for more, status in (([], 401), ([('authorization', token())], 200)):
        a, _ = world().ask(kind, 'POST', '/cors/post', fields + more, b'')
        equal((a.status, a.all('access-control-allow-origin')), (status, allowed))
        equal(a.all('access-control-expose-headers'), ['X-Total'] if allowed else [])
        contains(','.join(a.all('vary')), 'Origin')
        if status == 401:
            contains(a.header('www-authenticate'), 'Bearer')


@kinds([('GET', 'https://evil.test', 1, ['*']), ('GET', GOOD, 1, [GOOD]), ('OPTIONS', 'https://evil.test', 1, ['*'])])
def cors_that_only_observes(kind, method, origin, reached, allowed):
    a, n = world().ask(kind, method, '/cors/seen', [('origin', origin), (ACRM, 'GET')])
    equal((a.status, n, a.all('access-control-allow-origin')), (200, reached, allowed))


FORM = [('cookie', 'session=1; __Host-csrf=abc')]


@kinds([([], 200), (FORM, 403), (FORM + [('sec-fetch-site', 'same-origin')], 403),
        (FORM + [('sec-fetch-site', 'same-origin'), ('x-csrf-token', 'abc')], 200),
        (FORM + [('origin', 'http://gw.test'), ('x-csrf-token', 'abc')], 200),
        (FORM + [('origin', 'http://evil.test'), ('x-csrf-token', 'abc')], 403),
        (FORM + [('sec-fetch-site', 'cross-site'), ('x-csrf-token', 'abc')], 403),
        (FORM + [('referer', 'http://gw.test/form'), ('x-csrf-token', 'abd')], 403)])
def forms_of_other_sites(kind, fields, status):
    """F26: a session cookie alone changes nothing."""
    a, reached = world().ask(kind, 'POST', '/form', fields, b'')
    equal((a.status, reached), (status, status == 200))
    if status == 403:
        equal(code(a), 'csrf_refused')


@kinds([()])
def tokens_for_forms(kind):
    a, _ = world().ask(kind, 'GET', '/form')
    name, value = a.header('set-cookie').split(';')[0].split('=')
    equal(name, '__Host-csrf')
    more = [('cookie', f'{name}={value}'), ('x-csrf-token', value), ('sec-fetch-site', 'same-origin')]
    a, _ = world().ask(kind, 'POST', '/form', more, b'')
    equal((a.status, a.all('set-cookie')), (200, []))


@kinds([('GET', '/may/scope', {'scope': 'read'}, 200), ('HEAD', '/may/scope', {'scope': 'read'}, 200),
        ('GET', '/may/scope', {'scope': 'reader'}, 403), ('POST', '/may/scope', {'scope': 'write read'}, 200),
        ('POST', '/may/scope', {'scp': ['read', 'write']}, 200), ('POST', '/may/scope', {'scope': 'read'}, 403),
        ('PUT', '/may/scope', {'scope': 'read write'}, 403), ('OPTIONS', '/may/scope', {'scope': 'read write'}, 403),
        ('GET', '/may/loose', {}, 200), ('GET', '/may/loose', {'sub': 'mallory'}, 403),
        ('GET', '/may/anew', {'sub': 'mallory'}, 200), ('GET', '/may/fails', {}, 403),
        ('GET', '/may/role', {'roles': ['ops'], 'groups': ['staff']}, 200),
        ('GET', '/may/role', {'realm_access': {'roles': ['admin']}, 'groups': 'staff'}, 200),
        ('GET', '/may/role', {'roles': ['ops']}, 403), ('GET', '/may/role', {'groups': ['staff']}, 403),
        ('GET', '/may/seen', {}, 200), ('GET', '/shop.Orders/Get', {}, 403),
        ('GET', '/shop.Orders/Get', {'scope': 'grpc'}, 200)])
def callers(kind, method, path, claims, status):
    a, reached = world().ask(kind, method, path, [('authorization', token(**claims))], b'' if method == 'POST' else None)
    equal((a.status, reached), (status, status == 200))


@kinds([('{"amount": 100}', 200), ('{"amount": 101}', 403), ('{"amount": "x"}', 403), ('{}', 403), ('no json', 403)])
def what_the_body_says(kind, body, status):
    fields = [('authorization', token()), ('content-type', 'application/json')]
    a, reached = world().ask(kind, 'POST', '/may/body', fields, body.encode())
    equal((a.status, reached), (status, status == 200))
    if reached:
        equal(world().up.connections[-1].requests[-1].body, body.encode())


@kinds([()])
def what_a_refusal_tells(kind):
    a, _ = world().ask(kind, 'POST', '/may/scope', [('authorization', token(scope='read'))], b'')
    equal((a.status, code(a)), (403, 'insufficient_scope'))
    equal(a.all('www-authenticate'), ['Bearer error="insufficient_scope", scope="read write"'])
    a, _ = world().ask(kind, 'GET', '/may/role', [('authorization', token())])
    equal((a.status, code(a), a.all('www-authenticate')), (403, 'forbidden', []))
    a, _ = world().ask(kind, 'GET', '/optional')
    equal((a.status, code(a)), (401, 'credentials_missing'))
    contains(a.header('www-authenticate'), 'Bearer')
    a, _ = world().ask(kind, 'GET', '/optional', [('authorization', token(scope='read'))])
    equal(a.status, 200)


@kinds([()])
def refusals_look_alike(kind):
    """F30: who may not sees neither why nor what he sent."""
    bodies = set()
    for claims, path in (({'roles': ['ops']}, '/may/role'), ({'groups': ['staff']}, '/may/role'), ({}, '/may/fails'),
                         ({'sub': 'mallory'}, '/may/loose')):
        a, _ = world().ask(kind, 'GET', path, [('authorization', token(**claims)), ('x-evil', '<script>')])
        told = json.loads(a.body)
        told.pop('request_id')
        bodies.add(json.dumps(told, sort_keys=True))
        assert '<script>' not in a.body.decode()
    equal(len(bodies), 1, bodies)


@kinds([('/shop.Orders/Get', 'other'), ('/shop.Orders/Get', None)])
def grpc_calls_are_asked_too(kind, path, scope):
    """F29: one route owns the path; gRPC learns it as a status of its own."""
    if kind == 'h1':
        return
    fields = [('content-type', 'application/grpc'), ('te', 'trailers')]
    if scope:
        fields.append(('authorization', token(scope=scope)))
    a, reached = world().ask(kind, 'POST', path, fields, b'\0\0\0\0\0')
    equal((a.status, reached), (200, 0))
    equal(a.header('grpc-status') or dict(a.trailers)['grpc-status'], '7' if scope else '16')


@test
def zz_observed_is_logged_and_counted():
    w = world()
    wanted = {'ip address_refused', 'cors cors_refused', 'authorize insufficient_scope'}

    def read():
        lines = [json.loads(line) for line in w.gw.stdout().split('\n')[:-1]]
        return lines if {line['observed'] for line in lines} >= wanted else None
    lines = wait_until(read, 'the log of what was observed')
    assert w.gw.metrics()['sluice_refusals_observed_total'] >= 3
    w.gw.stop()
    w.up.close()
    details = {line['detail'] for line in lines if line['code'] == 'forbidden'}
    assert any('no role' in d for d in details) and any('failed' in d for d in details), details


REFUSED = [('cors: {origins: "*", credentials: true}', 'every website'),
           ('cors: {origins: "https://good.test/"}', 'no path'), ('ip: {}', 'allow'),
           ('authorize: {scopes: x}', 'authenticate'), ('authorize: \'claim.sub == "x"\'', 'authenticate'),
           ('authorize: {methods: {post: \'true\'}}', 'capitals'), ('csrf: {origins: good.test}', 'no origin')]


def checked(text, want):
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'sluice.yaml')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        done = sluice('check', '-c', path)
        equal(done.returncode, 78)
        contains((done.stdout + done.stderr).decode(), want)


BASE = '''version: 1
listeners: {p: "127.0.0.1:1"}
services: {a: "127.0.0.1:2"}
'''


@test([r[0] for r in REFUSED])
def refused_when_read(policy):
    checked(BASE + 'routes:\n  - match: {path: /x}\n    to: a\n    ' + policy + '\n', dict(REFUSED)[policy])


@test
def stars_and_credentials_of_two_levels():
    checked(BASE + '''routes:
  - match: {path: /x}
    cors: {origins: "*"}
    routes: [{match: {path: /y}, to: a, cors: {credentials: true}}]
''', 'every website')


run()
