#!/usr/bin/python3
"""What the gateway shows services of itself: fixed fields, fetched tokens, exchanged ones, signed ones."""
import base64
import concurrent.futures
import hashlib
import hmac
import json
import os
import signal
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from gateway import Gateway, Upstream, answer, wait_until
from h2_service import H2Service
from tap import add, contains, equal, run, test
from web_client import connect

CONFIG = '''
    version: 1
    workers: 1
    log: {fields: [status, code, detail]}
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    services: {a: {endpoints: ["%s"], credentials: %s}}
    routes: [{match: {path: /*}, to: a}]
'''
SECRET = 'kept for thirty-two bytes and more of it'


def gateway(up, credentials, **more):
    return Gateway(CONFIG % (up.address, credentials), files={'secret': SECRET, **more.pop('files', {})}, **more)


def kinds(function):
    """Over HTTP/1.1 and HTTP/2."""
    for kind in ('h1', 'h2'):
        add(f'{function.__name__} {kind}', function, kind)
    return function


def ask(kind, gw, *fields):
    with connect(kind, gw.port, None) as c:
        return c.request('GET', '/x', list(fields))


def code(a):
    return json.loads(a.body)['code']


FIXED = [('{header: {name: X-Key, value: "${secret(\'file:secret\')}"}}', 'x-key', SECRET),
         ('{bearer: "${secret(\'file:secret\')}"}', 'authorization', 'Bearer ' + SECRET),
         ('{basic: {user: gw, password: "${secret(\'file:secret\')}"}}', 'authorization',
          'Basic ' + base64.b64encode(f'gw:{SECRET}'.encode()).decode())]


@kinds
def fixed_fields_take_the_client_s_place(kind):
    for how, name, value in FIXED:
        with Upstream() as up, gateway(up, how) as gw:
            equal(ask(kind, gw, ('authorization', 'Bearer mine'), ('x-key', 'mine'), ('x-other', '1')).status, 200)
            got = up.requests[0]
            equal(got.all(name), [value])
            equal(got.all('x-other'), ['1'])
            equal(got.all('authorization'), ['Bearer mine'] if name == 'x-key' else [value])
            assert SECRET not in gw.log() + gw.stdout(), 'the secret was logged'


@test(['drop', 'pass'])
def the_caller_s_token(what):
    with Upstream() as up, gateway(up, '{caller: %s}' % what) as gw:
        equal(ask('h1', gw, ('authorization', 'Bearer mine')).status, 200)
        equal(up.requests[0].all('authorization'), ['Bearer mine'] if what == 'pass' else [])


class Issuer:
    """A token endpoint. reply(form, request, number) -> bytes; else token-NUMBER."""

    def __init__(self, reply=None, life=3600):
        self.reply, self.life, self.forms, self.lock = reply, life, [], threading.Lock()
        self.up = Upstream(self._one)
        self.url = f'http://{self.up.address}/token'

    def _one(self, request, _):
        form = dict(urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))
        with self.lock:
            self.forms.append(form)
            n = len(self.forms)
        return self.reply(form, request, n) if self.reply else self.token(f'token-{n}')

    def token(self, text, **more):
        body = {'access_token': text, 'token_type': 'Bearer', 'expires_in': self.life, **more}
        return answer(json.dumps(body), '200 OK', 'Content-Type: application/json')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.up.close()


CLIENT = '{client_credentials: {url: "%s", client_id: "g w", client_secret: "${secret(\'file:secret\')}"%s}}'


@kinds
def a_token_is_fetched_once_and_used_again(kind):
    with Upstream() as up, Issuer() as issuer:
        with gateway(up, CLIENT % (issuer.url, ', scopes: [read, "a&b"], audience: shop, resource: "urn:x"')) as gw:
            for _ in range(3):
                equal(ask(kind, gw, ('authorization', 'Bearer mine')).status, 200)
            equal([r.all('authorization') for r in up.requests], [['Bearer token-1']] * 3)
            equal(issuer.forms, [{'grant_type': 'client_credentials', 'scope': 'read a&b', 'audience': 'shop',
                                  'resource': 'urn:x'}])
            asked = issuer.up.requests[0]
            equal(asked.first, b'POST /token HTTP/1.1')
            equal(asked.header('content-type'), 'application/x-www-form-urlencoded')
            basic = base64.b64decode(asked.header('authorization').split(' ')[1]).decode()
            equal(basic, 'g%20w:' + urllib.parse.quote(SECRET, safe=''))


@test
def secrets_in_the_body():
    with Upstream() as up, Issuer() as issuer, gateway(up, CLIENT % (issuer.url, ', client_auth: post')) as gw:
        equal(ask('h1', gw).status, 200)
        equal(issuer.forms[0]['client_id'], 'g w')
        equal(issuer.forms[0]['client_secret'], SECRET)
        equal(issuer.up.requests[0].all('authorization'), [])


@test
def many_at_once_wait_for_one_fetch():
    gate = threading.Event()

    def slow(form, request, n):
        gate.wait(20)
        return issuer.token(f'token-{n}')
    with Upstream() as up, Issuer(slow) as issuer, gateway(up, CLIENT % (issuer.url, '')) as gw:
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(ask, 'h1', gw) for _ in range(20)]
            wait_until(lambda: gw.metrics()['sluice_exchanges_in_flight'] >= 20, 'requests that wait')
            gate.set()
            equal({a.result(20).status for a in asked}, {200})
        equal(len(issuer.forms), 1)
        equal({r.header('authorization') for r in up.requests}, {'Bearer token-1'})


@test
def renewed_before_it_expires():
    with Upstream() as up, Issuer(life=2) as issuer, gateway(up, CLIENT % (issuer.url, '')) as gw:
        equal(ask('h1', gw).status, 200)

        def newer():
            equal(ask('h1', gw).status, 200)  # never without a token meanwhile
            return up.requests[-1].header('authorization') == 'Bearer token-3'
        wait_until(newer, 'two renewals')


@test
def used_while_the_issuer_is_away():
    away = threading.Event()

    def reply(form, request, n):
        return answer('no', '500 Internal Server Error') if away.is_set() else issuer.token(f'token-{n}')
    with Upstream() as up, Issuer(reply, life=4) as issuer, gateway(up, CLIENT % (issuer.url, '')) as gw:
        equal(ask('h1', gw).status, 200)
        away.set()
        wait_until(lambda: ask('h1', gw).status == 200 and len(issuer.forms) >= 2, 'a renewal that fails')
        equal(ask('h1', gw).status, 200)
        equal(up.requests[-1].header('authorization'), 'Bearer token-1')
        failed = wait_until(lambda: [a for a in [ask('h1', gw)] if a.status != 200], 'the end of the token')[0]
        equal((failed.status, code(failed)), (503, 'service_credentials_unavailable'))
        away.clear()
        wait_until(lambda: ask('h1', gw).status == 200, 'the issuer is back')


WRONG = [('500', answer('oops', '500 Internal Server Error')), ('401', answer('{"error":"invalid_client"}', '401 No')),
         ('html', answer('<html>')), ('no token', answer('{"token_type":"Bearer"}')),
         ('another type', answer('{"access_token":"x","token_type":"mac"}')),
         ('CR LF', answer('{"access_token":"x\\r\\nA: b","token_type":"Bearer"}')),
         ('twice', answer('{"access_token":"x","access_token":"y","token_type":"Bearer"}')),
         ('number', answer('{"access_token":7,"token_type":"Bearer"}')),
         ('life', answer('{"access_token":"x","token_type":"Bearer","expires_in":-1}')),
         ('huge', answer('{"access_token":"' + 'x' * 9000 + '","token_type":"Bearer"}')),
         ('redirect', answer('', '302 Found', 'Location: http://169.254.169.254/')), ('closed', Upstream.CLOSE)]


@test([w[0] for w in WRONG])
def hostile_issuer(name):
    reply = dict(WRONG)[name]
    with Upstream() as up, Issuer(lambda *_: reply) as issuer, gateway(up, CLIENT % (issuer.url, '')) as gw:
        for _ in range(3):
            a = ask('h1', gw)
            equal((a.status, code(a)), (503, 'service_credentials_unavailable'))
        equal(up.requests, [])
        assert len(issuer.forms) <= 2, 'a failed fetch is not repeated at once'
        wait_until(lambda: 'credentials: ' in gw.stdout(), 'the cause in the log', 5)


@test
def a_client_that_leaves_meanwhile():
    gate = threading.Event()

    def slow(form, request, n):
        gate.wait(20)
        return issuer.token('late')
    with Upstream() as up, Issuer(slow) as issuer, gateway(up, CLIENT % (issuer.url, '')) as gw:
        c = gw.client()
        c.send(b'GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
        wait_until(lambda: len(issuer.forms) == 1, 'the fetch')
        c.close()
        gate.set()
        equal(ask('h1', gw).status, 200)
        equal(up.requests[-1].header('authorization'), 'Bearer late')


EXCHANGE = '{token_exchange: {url: "%s", client_id: gw, client_secret: "${secret(\'file:secret\')}", audience: a}}'


@kinds
def each_caller_has_a_token_of_his_own(kind):
    def reply(form, request, n):
        return issuer.token('for-' + form['subject_token'], issued_token_type='urn:x')
    with Upstream() as up, Issuer(reply) as issuer, gateway(up, EXCHANGE % issuer.url) as gw:
        for who in ('ann', 'bob', 'ann', 'bob'):
            equal(ask(kind, gw, ('authorization', 'Bearer ' + who)).status, 200)
        equal([r.header('authorization') for r in up.requests],
              ['Bearer for-ann', 'Bearer for-bob', 'Bearer for-ann', 'Bearer for-bob'])
        access = 'urn:ietf:params:oauth:token-type:access_token'
        equal(issuer.forms[0], {'grant_type': 'urn:ietf:params:oauth:grant-type:token-exchange', 'audience': 'a',
                                'subject_token': 'ann', 'subject_token_type': access,
                                'requested_token_type': access})
        equal(len(issuer.forms), 2)
        a = ask(kind, gw)
        equal((a.status, code(a), a.header('www-authenticate')), (401, 'credentials_missing', 'Bearer'))


@test([('invalid_grant', 403, 'forbidden'), ('invalid_client', 503, 'service_credentials_unavailable')])
def what_the_issuer_does_not_exchange(row):
    with Upstream() as up, Issuer(lambda *_: answer(json.dumps({'error': row[0]}), '400 Bad Request')) as issuer:
        with gateway(up, EXCHANGE % issuer.url) as gw:
            a = ask('h1', gw, ('authorization', 'Bearer ann'))
            equal((a.status, code(a)), row[1:])
            equal(up.requests, [])


def decoded(part):
    return base64.urlsafe_b64decode(part + '=' * (-len(part) % 4))


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


RSA = rsa.generate_private_key(65537, 2048)
EC = {'ES256': ec.generate_private_key(ec.SECP256R1()), 'ES384': ec.generate_private_key(ec.SECP384R1()),
      'ES512': ec.generate_private_key(ec.SECP521R1())}
ED = ed25519.Ed25519PrivateKey.generate()
HASH = {'256': hashes.SHA256(), '384': hashes.SHA384(), '512': hashes.SHA512()}


def verify(alg, text, sig):
    h = HASH.get(alg[2:])
    if alg == 'EdDSA':
        ED.public_key().verify(sig, text)
    elif alg[:2] == 'HS':
        equal(sig, hmac.new(SECRET.encode() * 2, text, getattr(hashlib, 'sha' + alg[2:])).digest())
    elif alg[:2] == 'RS':
        RSA.public_key().verify(sig, text, padding.PKCS1v15(), h)
    elif alg[:2] == 'PS':
        RSA.public_key().verify(sig, text, padding.PSS(padding.MGF1(h), h.digest_size), h)
    else:
        n = {'ES256': 32, 'ES384': 48, 'ES512': 66}[alg]
        equal(len(sig), 2 * n)
        der = encode_dss_signature(int.from_bytes(sig[:n], 'big'), int.from_bytes(sig[n:], 'big'))
        EC[alg].public_key().verify(der, text, ec.ECDSA(h))


def key_of(alg):
    key = ED if alg == 'EdDSA' else EC.get(alg, RSA)
    return SECRET * 2 if alg[:2] == 'HS' else pem(key)


SIGNED = '''{jwt: {algorithm: %s, key: "${secret('file:key')}", kid: 'k"1', issuer: gw, audience: [a, b],
    subject: "${header['x-who']}", claims: {way: "${request.method}", list: [1, "x"]}, ttl: 1m}}'''


@test(['HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', *EC, 'EdDSA'])
def signed_by_the_gateway(alg):
    with Upstream() as up, gateway(up, SIGNED % alg, files={'key': key_of(alg)}) as gw:
        for who in ('ann', 'bob', 'ann'):
            equal(ask('h1', gw, ('x-who', who)).status, 200)
        tokens = [r.header('authorization').removeprefix('Bearer ') for r in up.requests]
        assert tokens[0] == tokens[2] != tokens[1], 'one for each caller, kept'
        for token, who in zip(tokens, ('ann', 'bob', 'ann')):
            head, payload, sig = token.split('.')
            equal(json.loads(decoded(head)), {'alg': alg, 'typ': 'JWT', 'kid': 'k"1'})
            claims = json.loads(decoded(payload))
            made = claims.pop('iat')
            equal(claims.pop('exp'), made + 60)
            assert abs(time.time() - made) < 30
            equal(claims, {'iss': 'gw', 'aud': ['a', 'b'], 'sub': who, 'way': 'GET', 'list': [1, 'x']})
            verify(alg, f'{head}.{payload}'.encode(), decoded(sig))


@test
def a_header_of_its_own():
    how = '''{caller: pass, jwt: {algorithm: HS256, key: "${secret('file:secret')}", header: X-Gateway}}'''
    with Upstream() as up, gateway(up, how) as gw:
        equal(ask('h1', gw, ('authorization', 'Bearer mine'), ('x-gateway', 'forged')).status, 200)
        equal(up.requests[0].all('authorization'), ['Bearer mine'])
        told = up.requests[0].all('x-gateway')
        equal((len(told), told[0].count('.')), (1, 2))


@test
def a_client_s_text_stays_a_text():
    with Upstream() as up, gateway(up, SIGNED % 'HS256', files={'key': SECRET}) as gw:
        equal(ask('h1', gw, ('x-who', 'a","admin":"yes')).status, 200)
        claims = json.loads(decoded(up.requests[0].header('authorization').split('.')[1]))
        equal((claims['sub'], 'admin' in claims), ('a","admin":"yes', False))


@test
def over_http2_to_the_service():
    with Issuer() as issuer, H2Service() as service:
        config = CONFIG.replace('credentials:', 'protocol: h2c, credentials:') % (service.address, CLIENT % (issuer.url, ''))
        with Gateway(config, files={'secret': SECRET}) as gw:
            with connect('h2', gw.port, None) as c:
                for _ in range(2):
                    a = c.request('POST', '/headers', [('authorization', 'Bearer mine')], b'body')
                    told = json.loads(a.body)
                    equal([v for n, v in told['headers'] if n == 'authorization'], ['Bearer token-1'])
                    equal(told['length'], 4)  # the body waited for the token


@test
def a_reload_keeps_what_stays_right():
    with Upstream() as up, Issuer() as issuer, gateway(up, CLIENT % (issuer.url, '')) as gw:
        def reload(more, generation, wanted):
            gw.configure(CONFIG % (up.address, CLIENT % (issuer.url, more)))
            gw.send_signal(signal.SIGHUP)
            wait_until(lambda: gw.metrics()['sluice_config_generation'] == generation, 'the reload')
            wait_until(lambda: ask('h1', gw).status == 200 and
                       up.requests[-1].header('authorization') == wanted, wanted)
        equal(ask('h1', gw).status, 200)
        reload('', 2, 'Bearer token-1')
        reload(', scopes: other', 3, 'Bearer token-2')
        equal(len(issuer.forms), 2)


WHO = '''
    version: 1
    workers: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    services:
      a:
        endpoints: ["%s"]
        credentials: {jwt: {algorithm: HS256, key: "${secret('file:secret')}", subject: "${consumer.name}", claims: {plan: "${claim.sub}"}}}
    authenticators: {keys: {api_key: {in: header, name: X-Key}}}
    consumers: [{name: acme, keys: ["sha256:%s"]}]
    routes:
      - {match: {path: /known}, to: a, authenticate: keys}
      - {match: {path: /unknown}, to: a}
'''


@kinds
def of_who_was_recognised(kind):
    config = WHO % ('%s', hashlib.sha256(b'acme-key').hexdigest())
    with Upstream() as up, Gateway(config % up.address, files={'secret': SECRET}) as gw:
        with connect(kind, gw.port, None) as c:
            equal(c.request('GET', '/known', [('x-key', 'acme-key')]).status, 200)
            claims = json.loads(decoded(up.requests[0].header('authorization').split('.')[1]))
            equal((claims['sub'], claims['aud'], claims['plan']), ('acme', 'a', 'acme'))
            a = c.request('GET', '/unknown', [])
            equal((a.status, code(a), len(up.requests)), (503, 'service_credentials_unavailable', 1))


REFUSED = [('{bearer: "${secret(\'file:secret\')}", caller: pass}', 'both be Authorization'),
           ('{header: {name: "X Y", value: "${secret(\'file:secret\')}"}}', 'none that can be set'),
           ('{header: {name: Content-Length, value: "${secret(\'file:secret\')}"}}', 'none that can be set'),
           ('{basic: {user: "a:b", password: "${secret(\'file:secret\')}"}}', 'no colon'),
           ('{client_credentials: {url: "http://127.0.0.1:1/t", client_id: x}}', 'client_secret'),
           ('{jwt: {algorithm: RS256, key: "${secret(\'file:secret\')}"}}', 'PEM'),
           ('{jwt: {algorithm: HS512, key: "${secret(\'file:secret\')}"}}', 'shorter than the hash'),
           ('{bearer: "${secret(\'file:secret\')}", basic: {user: u, password: "${secret(\'file:secret\')}"}}', 'bearer'),
           ('{}', 'neither')]


@test([r[0] for r in REFUSED])
def refused_when_read(how):
    from gateway import run as sluice
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'secret'), 'w', encoding='utf-8') as f:
            f.write(SECRET)
        path = os.path.join(folder, 'sluice.yaml')
        with open(path, 'w', encoding='utf-8') as f:
            f.write((CONFIG % ('127.0.0.1:1', how)).replace('@PORT@', '1').replace('@ADMIN@', '2'))
        done = sluice('check', '-c', path)
        said = (done.stdout + done.stderr).decode()
        equal(done.returncode, 78, said)
        contains(said, dict(REFUSED)[how])
        assert SECRET not in said, said


run()
