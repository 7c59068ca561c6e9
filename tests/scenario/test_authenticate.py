#!/usr/bin/python3
# suite: tsan
"""Who calls: API keys, passwords, certificates, signatures, and how they combine, over HTTP/1.1 and HTTP/2."""
import base64
import hashlib
import hmac
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from certs import Authority, client_context
from gateway import Client, Gateway, Upstream, answer, run as sluice, wait_until
from tap import contains, equal, run, skip, test
try:
    from web_client import connect
except ImportError:
    connect = None

SECRET = b'a shared secret of more than 32 bytes'
CONFIG = '''
    version: 1
    listeners:
      public: {address: "127.0.0.1:@PORT@"}
      %s
    admin: "127.0.0.1:@ADMIN@"
    workers: 2
    services: {a: "%s"}
    log: {file: access.log, fields: [target, query, referer, consumer, authenticator, auth_error, detail, status]}
    authenticators:
      key: {api_key: {in: [header, query, cookie], name: X-API-Key}, headers: {X-User-ID: "${claim.sub}"}}
      kept: {api_key: X-Kept-Key, forward_credential: true, headers: {X-Kept: "${consumer.name}"}}
      people: {basic: {realm: shop, file: htpasswd}, headers: {X-User-ID: "${claim.sub}", X-Plan: "${consumer.plan}"}}
      signed: {signature: {}}
      once: {signature: {components: ["@method", date], nonce: true, max_body: 1KiB}}
      cert: {mtls: {consumers_only: true}, headers: {X-Subject: "${claim.subject}", X-User-ID: "${consumer.name}"}}
      anycert: {mtls: {}, consumer: "${claim.san}", headers: {X-User-ID: "${consumer.name}"}}
      team: {api_key: X-Team-Key, consumer: {name: "${claim.sub}", plan: free, groups: ["${claim.sub}s", staff]}}
    consumers:
      acme:
        plan: gold
        groups: [partners]
        tags: {region: eu}
        keys: ["%s", {key: "%s", not_after: "2001-01-31"}, {key: "%s", not_after: "2999-01-31"}]
        certificates: ["CN=ann", "uri:spiffe://test/bob"]
        signature_keys: [{id: acme-1, algorithm: hmac-sha256, key: "%s"}]
      ann: {plan: silver, password: "%s"}
    plans: {gold: {}, silver: {}, free: {}}
    routes:
      - {match: {path: /key/*}, to: a, authenticate: key}
      - {match: {path: /get/*, method: GET}, to: a, authenticate: key}
      - {match: {path: /kept/*}, to: a, authenticate: kept}
      - {match: {path: /people/*}, to: a, authenticate: people}
      - {match: {path: /any/*}, to: a, authenticate: [key, people]}
      - {match: {path: /all/*}, to: a, authenticate: {all: [people, kept]}}
      - {match: {path: /maybe/*}, to: a, authenticate: {any: [key, people], optional: true}}
      - {match: {path: /watch/*}, to: a, authenticate: {any: key, mode: observe}}
      - {match: {path: /some/*}, to: a, authenticate: {any: key, when: 'request.method == "POST"'}}
      - {match: {path: /signed/*}, to: a, authenticate: signed}
      - {match: {path: /once/*}, to: a, authenticate: once}
      - {match: {path: /cert/*}, to: a, authenticate: cert}
      - {match: {path: /anycert/*}, to: a, authenticate: anycert}
      - {match: {path: /open/*}, to: a}
      - {match: {path: /team}, respond: "${consumer.name} ${consumer.plan} ${consumer.groups} ${consumer.tags}", authenticate: team}
      - {match: {path: /who}, respond: "${consumer.name}/${consumer.plan}/${consumer.tags.region}", authenticate: key}
'''


def sha(text):
    return 'sha256:' + hashlib.sha256(text.encode()).hexdigest()


HASHES = {}


def hashed(password):
    """By the gateway's own command."""
    if password not in HASHES:
        p = sluice('hash', 'bcrypt', stdin=password.encode())
        equal(p.returncode, 0)
        HASHES[password] = p.stdout.decode().strip()
    return HASHES[password]


clients = Authority('clients')
ann, bob, eve = clients.issue('ann', client=True), clients.issue('bob', names=['spiffe://test/bob'], client=True), \
    clients.issue('eve', names=['spiffe://test/eve'], client=True)
servers = Authority('servers')


def text(headers):
    return [(n.decode('latin-1').lower(), v.decode('latin-1')) for n, v in headers]


def echo(request, _):
    fields = text(request.headers)
    return answer(json.dumps({'fields': fields, 'target': request.target}).encode())


def gateway(up):
    web = servers.issue('web.test')
    files = {'web.pem': web.chain_pem, 'web.key': web.key_pem, 'ca.pem': clients.pem,
             'htpasswd': f'# users\nbob:{hashed("pw")}\n'}
    for name, cert in (('ann', ann), ('bob', bob), ('eve', eve)):
        files |= {name + '.pem': cert.chain_pem, name + '.key': cert.key_pem}
    secure = 'secure: {address: "127.0.0.1:@TLS@", tls: {certificate: web.pem, private_key: web.key, ' \
        'client_certificate: {ca: ca.pem, mode: request}}}'
    return Gateway(CONFIG % (secure, up.address, sha('secret'), sha('expired'), sha('lasting'), SECRET.decode(),
                             hashed('secret')), ports=['TLS'], files=files)


def basic(text):
    return 'Authorization: Basic ' + base64.b64encode(text.encode()).decode()


class Got:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name]

    def code(self):
        return json.loads(self.body)['code'] if self.status >= 400 else ''

    def seen(self, name):
        """What the service got under this name."""
        return [v for n, v in json.loads(self.body)['fields'] if n == name]

    def target(self):
        return json.loads(self.body)['target']


def ask(gw, kind, path, *headers, method='GET', body=b''):
    """kind: h1 or h2."""
    pairs = [tuple(p.strip() for p in h.split(':', 1)) for h in headers]
    if kind == 'h2' and not connect:
        skip('python3-h2 is not here')
    if kind == 'h2':
        with connect('h2', gw.port, None) as c:
            a = c.request(method, path, [(n.lower(), v) for n, v in pairs], body or None, authority='a.test')
            return Got(a.status, a.headers, a.body)
    with Client(gw.port) as c:
        lines = [f'{method} {path} HTTP/1.1', 'Host: a.test', *headers]
        lines += [f'Content-Length: {len(body)}'] if body else []
        c.send('\r\n'.join([*lines, '', '']).encode('latin-1') + body)
        a = c.read_response(method)
        return Got(a.status, text(a.headers), a.body)


KEY = 'X-API-Key: '
ROWS = [  # path, headers, status, code; X-User-ID at the service
    ('/key/', [], 401, 'credentials_missing'),
    ('/key/', [KEY + 'secret'], 200, 'acme'),
    ('/key/', [KEY + 'lasting'], 200, 'acme'),
    ('/key/', [KEY + 'expired'], 401, 'invalid_credentials'),
    ('/key/', [KEY + 'secre'], 401, 'invalid_credentials'),
    ('/key/', [KEY + 'Secret'], 401, 'invalid_credentials'),
    ('/key/', [KEY], 401, 'credentials_malformed'),
    ('/key/', [KEY + 'x' * 2000], 401, 'credentials_malformed'),
    ('/key/?X-API-Key=secret', [], 200, 'acme'),
    ('/key/?X-API-Key=s%65cret', [], 200, 'acme'),
    ('/key/?X-API-Key=secret%00', [], 401, 'invalid_credentials'),
    ('/key/?X-API-Key=%zz', [], 401, 'credentials_malformed'),
    ('/key/?x-api-key=secret', [], 401, 'credentials_missing'),
    ('/key/?X-API-Key=secret&X-API-Key=secret', [], 401, 'ambiguous_credentials'),
    ('/key/?X-API-Key=secret', [KEY + 'secret'], 401, 'ambiguous_credentials'),
    ('/key/', [KEY + 'secret', KEY + 'secret'], 401, 'ambiguous_credentials'),
    ('/key/', ['Cookie: a=1; X-API-Key=secret; b=2'], 200, 'acme'),
    ('/key/', [basic('ann:secret')], 401, 'credentials_missing'),
    # passwords (F22)
    ('/people/', [], 401, 'credentials_missing'),
    ('/people/', [basic('ann:secret')], 200, 'ann'),
    ('/people/', [basic('bob:pw')], 200, 'bob'),
    ('/people/', [basic('ann:secre')], 401, 'invalid_credentials'),
    ('/people/', [basic('acme:secret')], 401, 'invalid_credentials'),
    ('/people/', [basic('nobody:secret')], 401, 'invalid_credentials'),
    ('/people/', [basic('ann:')], 401, 'invalid_credentials'),
    ('/people/', [basic(':secret')], 401, 'invalid_credentials'),
    ('/people/', [basic('ann')], 401, 'credentials_malformed'),
    ('/people/', [basic('ann:sec\0ret')], 401, 'credentials_malformed'),
    ('/people/', [basic('ann:' + 'x' * 9000)], 401, 'credentials_malformed'),
    ('/people/', ['Authorization: Basic !!!!'], 401, 'credentials_malformed'),
    ('/people/', ['Authorization: Basic'], 401, 'credentials_malformed'),
    ('/people/', ['Authorization: Bearer abc'], 401, 'credentials_missing'),
    ('/people/', ['Authorization: basic ' + base64.b64encode(b'ann:secret').decode()], 200, 'ann'),
    # combinations (F27)
    ('/any/', [], 401, 'credentials_missing'),
    ('/any/', [KEY + 'secret'], 200, 'acme'),
    ('/any/', [basic('ann:secret')], 200, 'ann'),
    ('/any/', [KEY + 'wrong', basic('ann:secret')], 401, 'invalid_credentials'),
    ('/all/', [basic('ann:secret')], 401, 'credentials_missing'),
    ('/all/', [basic('ann:secret'), 'X-Kept-Key: secret'], 200, 'ann'),
    ('/all/', [basic('ann:secret'), 'X-Kept-Key: wrong'], 401, 'invalid_credentials'),
    ('/all/', ['X-Kept-Key: secret'], 401, 'credentials_missing'),
    ('/maybe/', [], 200, None),
    ('/maybe/', [KEY + 'secret'], 200, 'acme'),
    ('/maybe/', [KEY + 'wrong'], 401, 'invalid_credentials'),
    ('/maybe/', [KEY + 'expired'], 401, 'invalid_credentials'),
    ('/maybe/', [basic('ann:wrong')], 401, 'invalid_credentials'),
    ('/maybe/', ['Authorization: Basic !!!!'], 401, 'credentials_malformed'),
    ('/watch/', [], 200, None),
    ('/watch/', [KEY + 'wrong'], 200, None),
    ('/watch/', [KEY + 'secret'], 200, 'acme'),
    ('/some/', [], 200, None),
    ('/some/', [KEY + 'wrong'], 200, None),
    # without a certificate
    ('/cert/', ['X-Client-Cert: CN=ann'], 401, 'credentials_missing'),
]


@test(['h1', 'h2'])
def who_may_come(kind):
    with Upstream(echo) as up, gateway(up) as gw:
        for path, headers, status, code in ROWS:
            got = ask(gw, kind, path, *headers)
            what = f'{path} {[h[:60] for h in headers]}'
            equal((got.status, got.code()), (status, code if status >= 400 else ''), what)
            if status == 200:
                equal(got.seen('x-user-id'), [code] if code else [], what)
            else:
                assert got.all('www-authenticate'), what
                assert 'secre' not in got.body.decode(), what


@test(['HEAD', 'OPTIONS', 'POST', 'PROPFIND', 'get', 'DELETE'])
def every_method_is_asked(method):
    """F24: a policy is for all methods of its route; others than the route's are refused."""
    with Upstream(echo) as up, gateway(up) as gw:
        equal(ask(gw, 'h1', '/key/', method=method).status, 400 if method == 'get' else 401)
        equal(ask(gw, 'h1', '/get/', method=method).status,
              401 if method == 'HEAD' else 400 if method == 'get' else 405)
        equal(len(up.requests), 0)


@test
def conditions():
    with Upstream(echo) as up, gateway(up) as gw:
        equal(ask(gw, 'h1', '/some/', method='POST').status, 401)
        equal(ask(gw, 'h1', '/some/', KEY + 'secret', method='POST').status, 200)


@test(['h1', 'h2'])
def challenges_of_all(kind):
    with Upstream(echo) as up, gateway(up) as gw:
        equal(ask(gw, kind, '/any/').all('www-authenticate'),
              ['ApiKey in="header", name="X-API-Key"', 'Basic realm="shop", charset="UTF-8"'])


@test(['h1', 'h2'])
def uniform_refusals(kind):
    """F30: nothing tells a key that was good once from one that never was."""
    with Upstream(echo) as up, gateway(up) as gw:
        def told(*headers):
            got = ask(gw, kind, '/key/', *headers)
            body = json.loads(got.body)
            body.pop('request_id')
            return got.status, sorted(n for n, v in got.headers), body
        equal(told(KEY + 'expired'), told(KEY + 'never was'))
        body = ask(gw, kind, '/people/', basic('ann:wrong'))
        other = ask(gw, kind, '/people/', basic('nobody:wrong'))
        equal(body.code(), other.code())


SPELLINGS = ['X-User-ID: evil', 'x-user-id: evil', 'X-USER-ID: evil', 'X-User-Id: evil']


@test(['h1', 'h2'])
def identity_headers_are_the_gateway_s(kind):
    """In every spelling, whether the route authenticates or not; twins with underscores are refused or stripped."""
    with Upstream(echo) as up, gateway(up) as gw:
        for spelling in SPELLINGS:
            for path, headers, want in (('/open/', [], []), ('/maybe/', [], []), ('/watch/', [], []),
                                        ('/key/', [KEY + 'secret'], ['acme'])):
                got = ask(gw, kind, path, spelling, spelling, 'X-Plan: evil', 'X-Kept: evil', *headers)
                equal(got.status, 200)
                equal(got.seen('x-user-id'), want, f'{path} {spelling}')
                equal(got.seen('x-plan') + got.seen('x-kept'), [], path)
        for twin in ('X_User_ID: evil', 'x_user-id: evil', 'X-Plan_: x', 'X_Kept: evil'):
            got = ask(gw, kind, '/open/', twin)
            names = [n for n, _ in json.loads(got.body)['fields']] if got.status == 200 else []
            assert not any(n.replace('_', '-') in ('x-user-id', 'x-kept') for n in names), twin


@test(['h1', 'h2'])
def credentials_stay_here(kind):
    with Upstream(echo) as up, gateway(up) as gw:
        got = ask(gw, kind, '/key/?a=1&X-API-Key=secret&b=2')
        equal(got.target(), '/key/?a=1&b=2')
        got = ask(gw, kind, '/key/', KEY + 'secret')
        equal((got.seen('x-api-key'), got.target()), ([], '/key/'))
        got = ask(gw, kind, '/key/', 'Cookie: a=1; X-API-Key=secret; b=2')
        equal(got.seen('cookie'), ['a=1; b=2'])
        equal(ask(gw, kind, '/people/', basic('ann:secret')).seen('authorization'), [])
        got = ask(gw, kind, '/kept/', 'X-Kept-Key: secret')
        equal((got.seen('x-kept-key'), got.seen('x-kept')), (['secret'], ['acme']))
        got = ask(gw, kind, '/any/', basic('ann:secret'), 'X-Kept-Key: secret')
        equal((got.seen('authorization'), got.seen('x-kept-key')), ([], ['secret']))


@test
def what_is_known_of_consumers():
    with Upstream(echo) as up, gateway(up) as gw:
        equal(ask(gw, 'h1', '/who', KEY + 'secret').body, b'acme/gold/eu')
        equal(ask(gw, 'h1', '/team', 'X-Team-Key: secret').body, b'acme free ["acmes","staff"] {"region":"eu"}')
        got = ask(gw, 'h1', '/people/', basic('ann:secret'))
        equal(got.seen('x-plan'), ['silver'])
        equal(ask(gw, 'h1', '/people/', basic('bob:pw')).seen('x-plan'), [''])


ORDER = ['/key/', '/key/?', '/none', '/maybe/']  # two workers write


@test
def logs_and_metrics():
    with Upstream(echo) as up, gateway(up) as gw:
        ask(gw, 'h1', '/key/?X-API-Key=secret', 'Referer: http://a.test/?X-API-Key=secret')
        ask(gw, 'h1', '/key/?X-API-Ke%79=secret2')
        ask(gw, 'h1', '/none?X-API-Key=secret')
        ask(gw, 'h1', '/maybe/')
        path = os.path.join(gw.dir, 'access.log')
        wait_until(lambda: os.path.exists(path) and len(open(path).readlines()) == 4, 'four lines of log')
        lines = [json.loads(line) for line in open(path)]
        lines.sort(key=lambda line: ORDER.index(line['target'].split('?')[0] + '?' * ('Ke%79' in line['target'])))
        equal(lines[0], {'target': '/key/?X-API-Key=***', 'query': 'X-API-Key=***',
                         'referer': 'http://a.test/?X-API-Key=***', 'consumer': 'acme', 'authenticator': 'key',
                         'auth_error': None, 'detail': None, 'status': 200})
        equal((lines[1]['target'], lines[1]['auth_error'], lines[1]['consumer'], lines[1]['authenticator']),
              ('/key/?X-API-Ke%79=***', 'invalid_credentials', None, 'key'))
        equal(lines[1]['detail'], 'no consumer has this key')
        equal((lines[3]['auth_error'], lines[3]['authenticator'], lines[3]['status']),
              ('credentials_missing', None, 200))
        assert 'X-API-Key=***' in gw.log() and 'Key=secret' not in gw.log(), 'the error log holds a key'
        metrics = gw.metrics()
        for result, n in (('accepted', 1), ('invalid_credentials', 1), ('credentials_missing', 1)):
            equal(metrics[f'sluice_authentications_total{{authenticator="key",result="{result}"}}'], n)


@test
def a_password_is_verified_once():
    with Upstream(echo) as up, gateway(up) as gw:
        with Client(gw.port) as c:  # one connection: one worker
            for _ in range(5):
                a = c.request(f'GET /people/ HTTP/1.1\r\nHost: a.test\r\n{basic("ann:secret")}\r\n\r\n'.encode())
                equal(a.status, 200)
        equal(gw.metrics()['sluice_authentication_waits_total{authenticator="people"}'], 1)


@test
def a_client_that_leaves_meanwhile():
    """F20: nobody is told, nothing is lost; the verdict is kept."""
    with Upstream(echo) as up, gateway(up) as gw:
        for i in range(20):
            with Client(gw.port) as c:
                c.send(f'GET /people/ HTTP/1.1\r\nHost: a.test\r\n{basic(f"ann:wrong{i}")}\r\n\r\n'.encode())
                c.reset()
        equal(ask(gw, 'h1', '/people/', basic('ann:secret')).status, 200)


# --- certificates (F23) ---

def ask_tls(gw, who, path):
    pair = [os.path.join(gw.dir, f'{who}.{kind}') for kind in ('pem', 'key')] if who else None
    context = client_context(servers, pair, ['http/1.1'], '1.3')
    with Client(gw.ports['TLS']) as c:
        c.sock = context.wrap_socket(c.sock, server_hostname='web.test')
        a = c.request(f'GET {path} HTTP/1.1\r\nHost: web.test\r\nX-Subject: CN=root\r\n\r\n'.encode())
        return Got(a.status, text(a.headers), a.body)


@test([('ann', '/cert/', 200, 'CN=ann', 'acme'), ('bob', '/cert/', 200, 'CN=bob', 'acme'),
       ('eve', '/cert/', 401, 'client_certificate_needed', None), (None, '/cert/', 401, 'credentials_missing', None),
       ('eve', '/anycert/', 200, None, 'spiffe://test/eve')])
def certificates(row):
    who, path, status, told, name = row
    with Upstream(echo) as up, gateway(up) as gw:
        got = ask_tls(gw, who, path)
        equal(got.status, status)
        if status == 200:
            equal((got.seen('x-subject'), got.seen('x-user-id')), ([told] if told else [], [name]))
        else:
            equal(got.code(), told)


# --- signatures ---

def signed(method, path, covered, created=None, nonce=None, keyid='acme-1', secret=SECRET, fields=(), expires=None,
           alg=None):
    """The two fields for a request to a.test."""
    given = dict(fields)
    target, _, query = path.partition('?')
    values = {'@method': method, '@authority': 'a.test', '@path': target, '@query': '?' + query,
              '@target-uri': 'http://a.test' + path, **given}
    params = ' '.join(f'"{c}"' for c in covered)
    params = f'({params});created={int(time.time()) if created is None else created};keyid="{keyid}"'
    params += f';nonce="{nonce}"' if nonce else ''
    params += f';expires={expires}' if expires else ''
    params += f';alg="{alg}"' if alg else ''
    base = ''.join(f'"{c}": {values[c]}\n' for c in covered) + f'"@signature-params": {params}'
    mac = base64.b64encode(hmac.new(secret, base.encode(), hashlib.sha256).digest()).decode()
    return [*(f'{n}: {v}' for n, v in fields), f'Signature-Input: s={params}', f'Signature: s=:{mac}:']


ALL = ['@method', '@authority', '@path', '@query']
NOW = int(time.time())
BODY = b'{"hello": "world"}'
DIGEST = ('content-digest', 'sha-256=:' + base64.b64encode(hashlib.sha256(BODY).digest()).decode() + ':')
SIGNED = [  # path, fields, method, body, status, code
    ('/signed/x?a=1', signed('GET', '/signed/x?a=1', ALL), 'GET', b'', 200, ''),
    ('/signed/x?a=1', signed('GET', '/signed/x?a=1', ['@method', '@target-uri']), 'GET', b'', 200, ''),
    ('/signed/%41', signed('GET', '/signed/%41', ALL, alg='hmac-sha256'), 'GET', b'', 200, ''),
    ('/signed/', [], 'GET', b'', 401, 'credentials_missing'),
    ('/signed/x?a=2', signed('GET', '/signed/x?a=1', ALL), 'GET', b'', 401, 'signature_invalid'),
    ('/signed/y?a=1', signed('GET', '/signed/x?a=1', ALL), 'GET', b'', 401, 'signature_invalid'),
    ('/signed/x?a=1', signed('GET', '/signed/x?a=1', ALL), 'POST', b'', 401, 'signature_invalid'),
    ('/signed/', signed('GET', '/signed/', ['@method', '@path', '@query']), 'GET', b'', 401, 'signature_invalid'),
    ('/signed/', signed('GET', '/signed/', ALL, secret=b'x' * 32), 'GET', b'', 401, 'signature_invalid'),
    ('/signed/', signed('GET', '/signed/', ALL, keyid='nobody'), 'GET', b'', 401, 'signature_invalid'),
    ('/signed/', signed('GET', '/signed/', ALL, alg='ed25519'), 'GET', b'', 401, 'signature_invalid'),
    ('/signed/', signed('GET', '/signed/', ALL, created=NOW - 3600), 'GET', b'', 401, 'signature_expired'),
    ('/signed/', signed('GET', '/signed/', ALL, created=NOW + 3600), 'GET', b'', 401, 'signature_expired'),
    ('/signed/', signed('GET', '/signed/', ALL, expires=NOW - 300), 'GET', b'', 401, 'signature_expired'),
    ('/signed/', signed('GET', '/signed/', ALL)[:1], 'GET', b'', 401, 'signature_invalid'),
    ('/signed/', signed('GET', '/signed/', ALL)[1:], 'GET', b'', 401, 'signature_invalid'),
    ('/signed/', signed('POST', '/signed/', [*ALL, 'content-digest'], fields=[DIGEST]), 'POST', BODY, 200, ''),
    ('/signed/', signed('POST', '/signed/', [*ALL, 'content-digest'], fields=[DIGEST]), 'POST', BODY + b' ', 401,
     'signature_invalid'),
    ('/signed/', signed('POST', '/signed/', ALL), 'POST', BODY, 401, 'signature_invalid'),
    ('/once/', signed('POST', '/once/', ['@method', 'date', 'content-digest'], nonce='large',
                      fields=[DIGEST, ('date', 'now')]), 'POST', BODY * 100, 413, 'body_too_large'),
    ('/once/', signed('GET', '/once/', ['@method', 'date'], fields=[('date', 'now')]), 'GET', b'', 401,
     'signature_invalid'),
]


@test(['h1', 'h2'])
def signatures(kind):
    with Upstream(echo) as up, gateway(up) as gw:
        for path, fields, method, body, status, code in SIGNED:
            got = ask(gw, kind, path, *fields, method=method, body=body)
            equal((got.status, got.code()), (status, code), f'{method} {path} {fields}')


@test(['h1', 'h2'])
def a_nonce_is_good_once(kind):
    with Upstream(echo) as up, gateway(up) as gw:
        def send(nonce):
            fields = signed('GET', '/once/', ['@method', 'date'], nonce=nonce, fields=[('date', 'now')])
            return ask(gw, kind, '/once/', *fields)
        equal(send('a').status, 200)
        equal((send('a').status, send('a').code()), (401, 'signature_expired'))
        equal(send('b').status, 200)
        wrong = signed('GET', '/once/', ['@method', 'date'], nonce='c', fields=[('date', 'now')], secret=b'x' * 32)
        equal(ask(gw, kind, '/once/', *wrong).code(), 'signature_invalid')
        equal(send('c').status, 200)  # a wrong signature uses up no nonce


@test
def a_reload_takes_keys_away():
    with Upstream(echo) as up, gateway(up) as gw:
        with Client(gw.port) as c:
            ask_again = f'GET /key/ HTTP/1.1\r\nHost: a.test\r\n{KEY}secret\r\n\r\n'.encode()
            equal(c.request(ask_again).status, 200)
            with open(gw.config_path, encoding='utf-8') as f:
                text = f.read()
            gw.write('sluice.yaml', text.replace(sha('secret'), sha('another')))
            gw.send_signal(1)
            wait_until(lambda: ask(gw, 'h1', '/key/', KEY + 'another').status == 200, 'the new key')
            wait_until(lambda: c.request(ask_again).status == 401, 'the old key refused')


run()
