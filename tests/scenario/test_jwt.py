#!/usr/bin/python3
"""Signed tokens against the binary, over HTTP/1.1 and HTTP/2: THREATS.md F01 to F17, F27, row by row."""
import base64
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from gateway import Gateway, Upstream, run as command, wait_until
from tap import add, equal, run
from tokens import Key, KeyServer, b64, compact, hs, hs_token, jwks, now
from web_client import connect

CONFIG = '''
    version: 1
    workers: 1
    log: {fields: [status, code, detail, target]}
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    authenticators: {shop: {jwt: {%s}}}
    services: {a: %s}
    routes:
    - {match: {path: /open/*}, authenticate: {any: shop, optional: true}, to: a}
    - {match: {path: /*}, authenticate: shop, to: a}
'''
SECRET = '0123456789abcdef0123456789abcdef'
HS = 'key: "${secret(\'file:secret\')}", issuer: me, audience: us, headers: {X-User-ID: "${claim.sub}"}'
RSA, ES, ED = Key.rsa(kid='rsa'), Key.es('256', 'es'), Key.ed('ed')


def kinds(function):
    """Over HTTP/1.1 and HTTP/2."""
    for kind in ('h1', 'h2'):
        add(f'{function.__name__} {kind}', function, kind)
    return function


def claims(**more):
    out = {'sub': 'bob', 'iss': 'me', 'aud': 'us', 'exp': now() + 600, **more}
    return {k: v for k, v in out.items() if v is not None}


def gateway(up, how, **files):
    return Gateway(CONFIG % (how, up.address), files={'secret': SECRET, **files})


def ask(c, token, path='/x', *fields):
    a = c.request('GET', path, [('authorization', f'Bearer {token}'.rstrip()), *fields])
    return a.status if a.status == 200 else json.loads(a.body)['code']


def table(kind, how, rows, **files):
    """(what, token, code or 200): one connection, one service that must see what passes and nothing else."""
    with Upstream() as up, gateway(up, how, **files) as gw, connect(kind, gw.port, None) as c:
        for what, token, wanted in rows:
            equal(ask(c, token), wanted, what)
        equal(len(up.requests), sum(wanted == 200 for _, _, wanted in rows), 'requests that passed')


def signed(header, body=None):
    return compact(header, body or claims(), lambda text: hs('HS256', SECRET, text))


@kinds
def f01_no_algorithm(kind):
    rows = [('right', signed({'alg': 'HS256'}), 200)]
    for alg in ('none', 'None', 'nOnE', '', 'hs256', None):
        text = b64(json.dumps({'alg': alg})) + '.' + b64(json.dumps(claims()))
        rows += [(f'{alg} unsigned', text + '.', 'jwt_alg'), (f'{alg} signed', signed({'alg': alg}), 'jwt_alg')]
    table(kind, HS, [*rows, ('no signature', signed({'alg': 'HS256'}).rsplit('.', 1)[0] + '.', 'jwt_format')])


@kinds
def f02_public_key_as_secret(kind):
    pem = RSA.pem()
    rows = [('right', Key.token(Key('RS256', RSA.private, None), claims()), 200)]
    for secret in (pem, pem.strip(), pem + '\n'):
        rows.append(('HS256 by its PEM', hs_token(secret, claims()), 'jwt_key'))
    how = HS.replace('file:secret', 'file:key.pem')
    table(kind, how, rows, **{'key.pem': pem})
    table(kind, how + ', algorithms: [RS256]', [(w, t, 200 if c == 200 else 'jwt_alg') for w, t, c in rows],
          **{'key.pem': pem})


@kinds
def f03_kids(kind):
    other = Key.es('256', 'two')
    how = 'jwks: "file:keys.json", issuer: me, audience: us'
    rows = [('one', ES.token(claims()), 200), ('two', other.token(claims()), 200),
            ('missing, with two keys', ES.token(claims(), kid=None), 200),
            ('of the other', ES.token(claims(), kid='two'), 'jwt_signature'),
            ('of another kind', RSA.token(claims(), kid='two'), 'jwt_alg')]
    for kid in ('../../dev/null', "'; drop table keys", 'x' * 257, 'two\0', 'TWO', ''):
        rows.append((kid[:20], ES.token(claims(), kid=kid), 'jwt_key'))
    rows += [('long', ES.token(claims(), kid='x' * 8192), 'jwt_format'),
             ('no text', ES.token(claims(), kid=1), 'jwt_format')]
    table(kind, how, rows, **{'keys.json': jwks(ES, other)})


@kinds
def f04_keys_that_tokens_bring(kind):
    evil = Key.es('256', 'es')
    with KeyServer([evil]) as trap, Upstream() as up, \
            gateway(up, 'jwks: "file:keys.json"', **{'keys.json': jwks(ES)}) as gw, \
            connect(kind, gw.port, None) as c:
        for brings in ({'jku': trap.url}, {'x5u': trap.url}, {'jwk': evil.jwk()}, {'x5c': ['AAAA']}):
            equal(ask(c, evil.token(claims(), **brings)), 'jwt_signature', str(brings)[:20])
            equal(ask(c, ES.token(claims(), **brings)), 200, str(brings)[:20])
        equal(trap.paths, [], 'fetches from the attacker')
        equal(gw.metrics()['sluice_tokens_with_keys_total'], 8)


@kinds
def f05_crit(kind):
    rows = [(str(more), signed({'alg': 'HS256', **more}), 'jwt_crit')
            for more in ({'crit': ['b64'], 'b64': False}, {'b64': False}, {'crit': ['x'], 'x': 1}, {'crit': []},
                         {'crit': 'exp'}, {'crit': None})]
    table(kind, HS, rows)


@kinds
def f06_times(kind):
    def raw(text):
        return signed({'alg': 'HS256'}, '{"sub":"bob","iss":"me","aud":"us",' + text + '}')
    rows = [(text, raw(text), 'jwt_claims')
            for text in (f'"exp":"{now() + 600}"', f'"exp":{now() + 600}.5', '"exp":-1', '"exp":1e400',
                         '"exp":1e999999999', '"exp":9223372036854775808', '"exp":null', '"x":1')]
    rows += [('NaN', raw('"exp":NaN'), 'jwt_format'),
             ('past', signed({'alg': 'HS256'}, claims(exp=now() - 61)), 'jwt_expired'),
             ('past within leeway', signed({'alg': 'HS256'}, claims(exp=now() - 30)), 200),
             ('nbf', signed({'alg': 'HS256'}, claims(nbf=now() + 120)), 'jwt_not_yet_valid'),
             ('nbf within leeway', signed({'alg': 'HS256'}, claims(nbf=now() + 30)), 200),
             ('iat', signed({'alg': 'HS256'}, claims(iat=now() + 120)), 'jwt_not_yet_valid')]
    table(kind, HS, rows)


@kinds
def f07_duplicates(kind):
    good = json.dumps(claims())
    rows = [('alg', signed('{"alg":"HS256","alg":"none"}'), 'jwt_format'),
            ('alg the other way', signed('{"alg":"none","alg":"HS256"}'), 'jwt_format'),
            ('alg escaped', signed('{"alg":"HS256","\\u0061lg":"HS256"}'), 'jwt_format'),
            ('sub', signed({'alg': 'HS256'}, good[:-1] + ',"sub":"admin"}'), 'jwt_format'),
            ('deeper', signed({'alg': 'HS256'}, good[:-1] + ',"x":{"a":1,"a":2}}'), 'jwt_format')]
    table(kind, HS, rows)


@kinds
def f08_depth_and_size(kind):
    good = json.dumps(claims())
    deep = [signed({'alg': 'HS256'}, good[:-1] + ',"x":' + '[' * n + ']' * n + '}') for n in (15, 16, 2000)]
    rows = [('15 deep', deep[0], 200), ('16 deep', deep[1], 'jwt_format'), ('2,000 deep', deep[2], 'jwt_format'),
            ('header', signed('{"alg":"HS256","x":' + '[' * 2000 + ']' * 2000 + '}'), 'jwt_format'),
            ('9 KiB', signed({'alg': 'HS256'}, claims(x='y' * 7000)), 'jwt_format')]
    rows += [(f'token {i} of a connection', signed({'alg': 'HS256'}, claims(jti=str(i))), 200) for i in range(100)]
    table(kind, HS, rows)


@kinds
def f09_signatures_of_ecdsa(kind):
    text = '.'.join(ES.token(claims()).split('.')[:2])
    der = ES.private.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
    raw = base64.urlsafe_b64decode(ES.token(claims()).split('.')[2] + '==')
    bad = {'zero': bytes(64), 'r zero': bytes(32) + raw[32:], 's zero': raw[:32] + bytes(32),
           'r = n': order.to_bytes(32, 'big') + raw[32:], 's = n': raw[:32] + order.to_bytes(32, 'big'),
           'DER': der, 'short': raw[:-1], 'long': raw + b'\0', 'half': raw[:32], 'ones': b'\xff' * 64}
    rows = [(what, f'{text}.{b64(sig)}', 'jwt_signature') for what, sig in bad.items()]
    rows += [('5,000 digits', f'{text}.{"A" * 5000}', 'jwt_format'), ('right', ES.token(claims()), 200)]
    table(kind, 'jwks: "file:keys.json"', rows, **{'keys.json': jwks(ES)})


@kinds
def f10_base64(kind):
    good = signed({'alg': 'HS256'})
    head, body, sig = good.split('.')
    digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    trailing = sig[:-1] + digits[digits.index(sig[-1]) ^ 1]
    rows = [('right', good, 200), ('trailing bits', f'{head}.{body}.{trailing}', 'jwt_format'),
            ('padding', good + '=', 'jwt_format'), ('blank', f'{head}.{body} .{sig}', 'jwt_signature'),
            ('header padded', f'{head}=.{body}.{sig}', 'jwt_format'), ('four dots', f'{good}.a.b', 'jwt_format'),
            ('two parts', f'{head}.{body}', 'jwt_format'), ('one part', head, 'jwt_format'),
            ('+ and /', f'{head}.{body}.{sig[:-2]}+/', 'jwt_format')]
    table(kind, HS, rows)


@kinds
def f11_keys_that_must_not_verify(kind):
    weak, enc = Key.rsa(kid='weak', size=1024), Key.es('256', 'enc')
    wrong = {**Key.es('256', 'wrong').jwk(), 'crv': 'P-384'}
    keys = jwks(ES, weak, enc.jwk(use='enc'), {**RSA.jwk(), 'e': 'AQ'}, wrong)
    rows = [('right', ES.token(claims()), 200), ('1024 bits', weak.token(claims()), 'jwt_key'),
            ('use enc', enc.token(claims()), 'jwt_key'), ('exponent 1', RSA.token(claims()), 'jwt_key')]
    table(kind, 'jwks: "file:keys.json"', rows, **{'keys.json': keys})


@kinds
def f12_encrypted(kind):
    header = b64(json.dumps({'alg': 'dir', 'enc': 'A128GCM'}))
    rows = [('five parts', f'{header}..AAAA.AAAA.AA', 'jwt_format'), ('three', f'{header}.AAAA.AAAA', 'jwt_format')]
    table(kind, HS, rows)


@kinds
def f13_issuer_and_audience(kind):
    rows = [(str(more), signed({'alg': 'HS256'}, claims(**more)), code)
            for more, code in (({'aud': ['a', 'us']}, 200), ({'aud': None}, 'jwt_audience'),
                               ({'aud': 'usa'}, 'jwt_audience'), ({'aud': 'US'}, 'jwt_audience'),
                               ({'aud': []}, 'jwt_audience'), ({'aud': {'us': 1}}, 'jwt_claims'),
                               ({'iss': 'me/'}, 'jwt_issuer'), ({'iss': None}, 'jwt_issuer'),
                               ({'iss': ['me']}, 'jwt_claims'))]
    table(kind, HS, rows)


@kinds
def f14_one_credential(kind):
    token = signed({'alg': 'HS256'})
    with Upstream() as up, gateway(up, HS) as gw:
        def status(path, *fields):
            with connect(kind, gw.port, None) as c:
                a = c.request('GET', path, list(fields))
                return a.status if a.status == 200 else json.loads(a.body)['code']
        for scheme in ('Bearer ', 'bearer ', 'Bearer  '):
            equal(status('/', ('authorization', scheme + token)), 200, scheme)
        equal(status('/', ('authorization', 'Bearer\t' + token)), 'credentials_missing')
        equal(status('/?access_token=' + token, ('authorization', 'Bearer ' + token)), 'ambiguous_credentials')
        equal(status('/', ('authorization', 'Bearer ' + token), ('authorization', 'Bearer ' + token)),
              'duplicate_header')
        equal(status('/?access_token=' + token), 'credentials_missing')


@kinds
def f27_optional_is_not_wrong(kind):
    with Upstream() as up, gateway(up, HS) as gw, connect(kind, gw.port, None) as c:
        equal(c.request('GET', '/open/x', [('x-user-id', 'admin')]).status, 200)
        equal(up.requests[-1].all('x-user-id'), [], 'a forged identity')
        equal(ask(c, signed({'alg': 'HS256'}), '/open/x', ('x-user-id', 'admin')), 200)
        equal(up.requests[-1].all('x-user-id'), ['bob'])
        for token in ('', 'x', 'a.b.c', hs_token('x' * 32, claims()), signed({'alg': 'HS256'}, claims(exp=1))):
            assert ask(c, token, '/open/x') != 200, token
        equal(len(up.requests), 2)


@kinds
def challenges(kind):
    with Upstream() as up, gateway(up, HS) as gw, connect(kind, gw.port, None) as c:
        a = c.request('GET', '/x', [])
        equal((a.status, a.all('www-authenticate')), (401, ['Bearer realm="shop"']))
        a = c.request('GET', '/x', [('authorization', 'Bearer ' + signed({'alg': 'HS256'}, claims(exp=1)))])
        equal(a.all('www-authenticate'), ['Bearer realm="shop", error="invalid_token", '
                                          'error_description="the token has expired"'])


@kinds
def tokens_in_queries_are_not_logged(kind):
    for place, name in (('in: query', 'access_token'), ('in: query, name: t', 't'), ('in: header', 'access_token')):
        token = signed({'alg': 'HS256'})
        with Upstream() as up, gateway(up, f'{HS}, {place}') as gw, connect(kind, gw.port, None) as c:
            a = c.request('GET', f'/x?a=1&{name}={token}', [])
            equal(a.status, 200 if 'query' in place else 401)
            wait_until(lambda: '"status"' in gw.stdout(), 'a line of the log')
            assert token.split('.')[2] not in gw.stdout() + gw.log(), 'the token was logged'


@kinds
def every_algorithm(kind):
    keys = [ES, ED, Key.es('384', 'es384'), Key.es('512', 'es512')]
    keys += [Key(alg, RSA.private, alg) for alg in ('RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512')]
    rows = []
    for key in keys:
        token = key.token(claims())
        rows += [(key.alg, token, 200)] * 3
        rows.append((f'{key.alg}, another payload', token.replace(token.split('.')[1], b64(json.dumps(
            claims(sub='admin')))), 'jwt_signature'))
    table(kind, 'jwks: "file:keys.json"', rows, **{'keys.json': jwks(*keys)})


@kinds
def remembered_until_the_key_goes(kind):
    with Upstream() as up, gateway(up, 'jwks: "file:keys.json"', **{'keys.json': jwks(ES, ED)}) as gw, \
            connect(kind, gw.port, None) as c:
        es, ed = ES.token(claims()), ED.token(claims())
        for _ in range(10):
            equal((ask(c, es), ask(c, ed)), (200, 200))
        counts = gw.metrics()
        equal(counts['sluice_tokens_verified_total'], 2)
        equal(counts['sluice_tokens_remembered_total'], 18)
        gw.write('keys.json', jwks(ED))
        equal(command('reload', '-c', gw.config_path).returncode, 0)
        wait_until(lambda: ask(c, es) == 'jwt_key', 'the key that was taken away')
        equal(ask(c, ed), 200)


@kinds
def f15_rotation_and_outage(kind):
    new = Key.es('256', 'new')
    with KeyServer([ES]) as keys, Upstream() as up, gateway(up, f'jwks: "{keys.url}"') as gw, \
            connect(kind, gw.port, None) as c:
        wait_until(lambda: ask(c, ES.token(claims())) == 200, 'the first keys')
        remembered = ES.token(claims())
        equal(ask(c, remembered), 200)
        keys.keys = [new]
        wait_until(lambda: ask(c, new.token(claims())) == 200, 'the new key')
        equal(ask(c, remembered), 'jwt_key', 'a remembered token of the key that went')
        keys.answer = (500, 'text/html', b'<html>', {})
        equal(ask(c, new.token(claims())), 200, 'while the issuer is down')


@kinds
def f15_no_keys_is_503(kind):
    bad = [(500, 'text/html', b'<html>no</html>', {}), (200, 'text/html', b'<html>no</html>', {}),
           (200, 'application/json', b'{"keys":{}}', {}),
           (200, 'application/json', jwks(*[ES.jwk(kid=str(i)) for i in range(1000)]).encode(), {}),
           (200, 'application/json', b'{"keys":[]' + b' ' * 300000 + b'}', {}),
           (302, 'text/html', b'', {'Location': 'http://169.254.169.254/'})]
    for answer in bad:
        with KeyServer([ES]) as keys, Upstream() as up:
            keys.answer = answer
            with gateway(up, f'jwks: "{keys.url}"') as gw, connect(kind, gw.port, None) as c:
                equal(ask(c, ES.token(claims())), 'keys_unavailable', str(answer)[:60])
                equal(ask(c, 'a.b'), 'jwt_format')
                equal(len(up.requests), 0)
                equal(set(keys.paths), {'/jwks.json'})


@kinds
def f16_random_kids(kind):
    with KeyServer([ES]) as keys, Upstream() as up, gateway(up, f'jwks: "{keys.url}"') as gw, \
            connect(kind, gw.port, None) as c:
        wait_until(lambda: ask(c, ES.token(claims())) == 200, 'the first keys')
        for i in range(300):
            equal(ask(c, ES.token(claims(), kid=f'random {i}')), 'jwt_key')
        assert keys.fetches <= 3, f'{keys.fetches} fetches'


@kinds
def who_waits_for_keys(kind):
    """Requests that come while the first keys are under way wait for them, and one fetch serves them all."""
    with KeyServer([ES]) as keys, Upstream() as up:
        keys.gate.clear()
        with gateway(up, f'jwks: "{keys.url}"') as gw:
            got = []

            def one():
                with connect(kind, gw.port, None) as c:
                    got.append(ask(c, ES.token(claims())))
            threads = [threading.Thread(target=one) for _ in range(8)]
            for t in threads:
                t.start()
            wait_until(lambda: gw.metrics()['sluice_tokens_verified_total'] == 0 and keys.fetches > 0, 'a fetch')
            keys.gate.set()
            for t in threads:
                t.join()
            equal(got, [200] * 8)
            equal(keys.fetches, 1)


@kinds
def discovery_of_two_issuers(kind):
    other = Key.es('256', 'es')  # the same kid at another issuer
    with KeyServer([ES]) as one, KeyServer([other]) as two, Upstream() as up, \
            gateway(up, f'issuer: ["{one.origin}", "{two.origin}"], audience: us') as gw, \
            connect(kind, gw.port, None) as c:
        wait_until(lambda: ask(c, ES.token(claims(iss=one.origin))) == 200, 'the first issuer')
        wait_until(lambda: ask(c, other.token(claims(iss=two.origin))) == 200, 'the second')
        equal(ask(c, ES.token(claims(iss=two.origin))), 'jwt_signature', 'one issuer speaks for the other')
        equal(ask(c, other.token(claims(iss=one.origin))), 'jwt_signature')
        equal(ask(c, ES.token(claims(iss='me'))), 'jwt_issuer')
        equal(ask(c, ES.token(claims(iss=None))), 'jwt_issuer')


if __name__ == '__main__':
    run()
