#!/usr/bin/python3
"""What `check` and `explain` say of certificates: each mistake at the word that is wrong.

The certificates are made anew, so dates are always of today.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'lib'))
from certs import Authority, replace, self_signed
from tap import add, contains, equal, run, test

SLUICE = os.environ.get('SLUICE_BIN', os.path.join(ROOT, 'build', 'sluice'))


def make(folder):
    """All the files that the cases name."""
    ca = Authority('root')
    below = ca.authority('intermediate')
    shop = below.issue('shop.example', ['shop.example', '*.shop.example'])
    shop.save(folder, 'shop')
    below.issue('shop.example', kind='rsa').save(folder, 'shop-rsa')
    below.issue('shop.example').save(folder, 'twin')
    below.issue('other.example').save(folder, 'other')
    below.issue('shop.example', days=12).save(folder, 'soon')
    below.issue('shop.example', days=0.5).save(folder, 'today')
    below.issue('shop.example', days=-3).save(folder, 'expired')
    below.issue('shop.example', since=-5).save(folder, 'not-yet')
    below.issue('shop.example').save(folder, 'alone', chain=False)
    self_signed('shop.example').save(folder, 'self')
    self_signed('shop.example', kind='rsa', bits=1024).save(folder, 'weak')
    ca.save(folder, 'ca')
    below.issue('gateway', client=True).save(folder, 'client')
    replace(os.path.join(folder, 'locked.key'), shop.encrypted_key_pem(b'secret'), 0o600)
    replace(os.path.join(folder, 'open.key'), shop.key_pem, 0o644)
    replace(os.path.join(folder, 'nonsense.pem'), b'this is no certificate\n')
    replace(os.path.join(folder, 'empty.pem'), b'')
    replace(os.path.join(folder, 'good.der'), below.ocsp(shop))
    replace(os.path.join(folder, 'stale.der'), below.ocsp(shop, days=-2, since=9))
    replace(os.path.join(folder, 'other.der'), below.ocsp(below.issue('x.example')))
    replace(os.path.join(folder, 'good.crl'), ca.crl())
    os.mkdir(os.path.join(folder, 'folder.pem'))


LISTENER = '''version: 1
listeners:
  web: {{address: 127.0.0.1:8443, tls: {{{0}}}}}
routes: [{{match: {{path: /}}, respond: ok}}]
'''
SERVICE = '''version: 1
listeners: {{web: {{address: 127.0.0.1:8080}}}}
services: {{s: {{endpoints: [s.example:443], {0}}}}}
routes: [{{match: {{path: /}}, to: s}}]
'''
SHOP = 'certificate: shop.pem, private_key: shop.key'
OTHER = 'certificate: other.pem, private_key: other.key'


def pair(name):
    return f'certificate: {name}.pem, private_key: {name}.key'


# Where, what stands there, and what is said: code, the words it points at, a part of the message.
CASES = {
    'good': (LISTENER, SHOP, []),
    'good: self-signed': (LISTENER, pair('self'), []),
    'good: ECDSA and RSA': (LISTENER, f'certificates: [{{{SHOP}}}, {{{pair("shop-rsa")}}}]', []),
    'good: both ways to name them': (LISTENER, f'{SHOP}, certificates: [{{{OTHER}}}]', []),
    'good: everything': (LISTENER, f'''certificates: [{{{SHOP}, ocsp: good.der, names: [shop.example],
        client_certificate: {{ca: ca.pem, crl: good.crl, depth: 2, mode: request, headers: false}}}}],
        min_version: "1.3", cipher_suites: TLS_AES_128_GCM_SHA256, curves: X25519,
        ciphers: ECDHE-ECDSA-AES128-GCM-SHA256, tickets: false, ticket_rotation: 1h''', []),
    'good: nobody is asked there': (LISTENER, f'''client_certificate: {{ca: ca.pem}},
        certificates: [{{{SHOP}, client_certificate: false}}]''', []),
    'no such certificate': (LISTENER, 'certificate: none.pem, private_key: shop.key',
                            [('E0310', 'none.pem', 'No such file')]),
    'no such key': (LISTENER, 'certificate: shop.pem, private_key: none.key',
                    [('E0310', 'none.key', 'No such file')]),
    'no certificate in it': (LISTENER, 'certificate: nonsense.pem, private_key: shop.key',
                             [('E0310', 'nonsense.pem', 'certificate')]),
    'an empty file': (LISTENER, 'certificate: empty.pem, private_key: shop.key',
                      [('E0310', 'empty.pem', 'empty')]),
    'a folder': (LISTENER, 'certificate: folder.pem, private_key: shop.key',
                 [('E0310', 'folder.pem', 'not a file')]),
    'no key in it': (LISTENER, 'certificate: shop.pem, private_key: shop.pem',
                     [('E0310', 'shop.pem', 'key'), ('W0114', 'shop.pem', 'everybody')]),
    'a locked key': (LISTENER, 'certificate: shop.pem, private_key: locked.key',
                     [('E0310', 'locked.key', 'passphrase')]),
    'a weak key': (LISTENER, pair('weak'), [('E0310', 'weak.pem', '1024')]),
    'another key': (LISTENER, 'certificate: shop.pem, private_key: other.key',
                    [('E0311', 'other.key', 'certificate')]),
    'a key for everybody': (LISTENER, 'certificate: shop.pem, private_key: open.key',
                            [('W0114', 'open.key', '0644')]),
    'expired': (LISTENER, pair('expired'), [('W0112', 'expired.pem', 'expired on')]),
    'expires soon': (LISTENER, pair('soon'), [('W0112', 'soon.pem', 'in 1')]),
    'expires today': (LISTENER, pair('today'), [('W0112', 'today.pem', 'in 0 days')]),
    'not valid yet': (LISTENER, pair('not-yet'), [('W0112', 'not-yet.pem', 'not valid before')]),
    'without its chain': (LISTENER, pair('alone'), [('W0113', 'alone.pem', 'issuer')]),
    'a stale response': (LISTENER, f'{SHOP}, ocsp: stale.der', [('W0115', 'stale.der', '')]),
    'a response for another': (LISTENER, f'{SHOP}, ocsp: other.der', [('W0115', 'other.der', '')]),
    'no response in it': (LISTENER, f'{SHOP}, ocsp: nonsense.pem', [('E0310', 'nonsense.pem', '')]),
    'a name that is not in it': (
        LISTENER, f'certificates: [{{{SHOP}, names: [shop.example, moved.example]}}]',
        [('W0117', '[', 'moved.example')]),
    'two of a kind': (LISTENER, f'certificates: [{{{SHOP}}}, {{{pair("twin")}}}]',
                      [('E0312', '{', 'shop.example')]),
    'an unknown cipher': (LISTENER, f'{SHOP}, ciphers: ROT13', [('E0312', 'ROT13', '')]),
    'an unknown suite': (LISTENER, f'{SHOP}, cipher_suites: TLS_ROT13', [('E0312', 'TLS_ROT13', '')]),
    'an unknown curve': (LISTENER, f'{SHOP}, curves: circle', [('E0312', 'circle', '')]),
    'an old version': (LISTENER, f'{SHOP}, min_version: "1.0"', [('E0208', '"1.0"', '')]),
    'no such CA': (LISTENER, f'{SHOP}, client_certificate: {{ca: none.pem}}', [('E0310', 'none.pem', '')]),
    'no such CRL': (LISTENER, f'{SHOP}, client_certificate: {{ca: ca.pem, crl: none.crl}}',
                    [('E0310', 'none.crl', '')]),
    'no list in it': (LISTENER, f'{SHOP}, client_certificate: {{ca: ca.pem, crl: nonsense.pem}}',
                      [('E0310', 'nonsense.pem', '')]),
    'a CA of one certificate': (
        LISTENER, f'certificates: [{{{SHOP}, client_certificate: {{ca: none.pem}}}}]',
        [('E0310', 'none.pem', '')]),
    'the second of a list': (LISTENER, f'certificates: [{{{SHOP}}}, {{certificate: other.pem, '
                             'private_key: twin.key}]', [('E0311', 'twin.key', '')]),
    'no key': (LISTENER, 'certificate: shop.pem', [('E0313', '{', 'private_key')]),
    'no certificate': (LISTENER, 'private_key: shop.key', [('E0313', '{', 'certificate')]),
    'nothing': (LISTENER, 'min_version: "1.2"', [('E0313', '{', 'needs a certificate')]),
    'a redirect to itself': (LISTENER.replace('tls:', 'redirect: https, tls:'), SHOP,
                             [('E0316', 'https', 'TLS already')]),
    'good service': (SERVICE, 'tls: true', []),
    'good service: everything': (SERVICE, f'''protocol: http2, proxy_protocol: v2, h2_streams: 10,
        tls: {{ca: ca.pem, name: x.example, {pair("client")}, min_version: "1.3"}}''', []),
    'service: no such CA': (SERVICE, 'tls: {ca: none.pem}', [('E0310', 'none.pem', '')]),
    'service: no CA in it': (SERVICE, 'tls: {ca: nonsense.pem}', [('E0310', 'nonsense.pem', '')]),
    'service: another key': (SERVICE, 'tls: {certificate: client.pem, private_key: other.key}',
                             [('E0311', 'other.key', '')]),
    'service: no key': (SERVICE, 'tls: {certificate: client.pem}', [('E0313', '{', '')]),
    'service: not verified': (SERVICE, 'tls: {insecure_skip_verify: true}', [('W0116', 'true', '')]),
    'service: h2c and TLS': (SERVICE, 'protocol: h2c, tls: true', [('E0315', 'h2c', 'clear text')]),
}


def check(text, *options):
    path = os.path.join(FOLDER, 'sluice.yaml')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)
    return subprocess.run([SLUICE, *(options or ('check', '--format', 'json')), '-c', 'sluice.yaml'],
                          cwd=FOLDER, capture_output=True, text=True, timeout=60)


def case(base, inside, wanted):
    text = base.format(inside)
    p = check(text)
    found = json.loads(p.stdout)['diagnostics']
    lines = text.split('\n')
    said = []
    for d in found:
        at = lines[d['line'] - 1][d['column'] - 1:]
        equal('error' if d['code'][0] == 'E' else 'warning', d['severity'])
        said.append((d['code'], at))
    equal([code for code, _ in said], [w[0] for w in wanted], p.stdout)
    for (_, at), (_, words, part), d in zip(said, wanted, found):
        assert at.startswith(words), (at, words)
        contains(d['message'], part)
    equal(p.returncode, 78 if any(w[0][0] == 'E' for w in wanted) else 0)


@test
def summary_names_certificates_and_their_ends():
    p = check(LISTENER.format(f'certificates: [{{{SHOP}}}, {{{OTHER}}}]'), 'check')
    equal(p.returncode, 0, p.stdout)
    lines = p.stdout.split('\n')
    contains(lines[0], '1 listener, 0 services, 1 route')
    assert re.fullmatch(r'  web: shop\.pem \(ECDSA P-256\) for shop\.example, \*\.shop\.example, until '
                        r'20\d\d-\d\d-\d\d', lines[1]), lines
    assert lines[2].startswith('  web: other.pem (ECDSA P-256) for other.example, until 20'), lines


EXPLAINED = LISTENER.format(
    f'certificates: [{{{SHOP}}}, {{{OTHER}, client_certificate: {{ca: ca.pem}}}}], min_version: "1.3"'
).replace('listeners:\n', 'listeners:\n  plain: {address: 127.0.0.1:8080}\n')


def explained(url):
    p = check(EXPLAINED, 'explain', 'GET', url, '--format', 'json')
    equal(p.returncode, 0, p.stderr)
    return json.loads(p.stdout)['listener']


# URL, its listener, the certificate that answers, whether it fits, what is asked of clients.
ANSWERS = [
    ('https://shop.example/', 'web', 'shop.pem', True, 'none'),
    ('https://a.shop.example/', 'web', 'shop.pem', True, 'none'),
    ('https://SHOP.example:8443/', 'web', 'shop.pem', True, 'none'),
    ('https://b.a.shop.example/', 'web', 'shop.pem', False, 'none'),
    ('https://other.example/', 'web', 'other.pem', True, 'required'),
    ('https://a.other.example/', 'web', 'shop.pem', False, 'none'),
    ('https://127.0.0.1/', 'web', 'shop.pem', False, 'none'),
    ('http://shop.example/', 'plain', None, None, None),
]


def answers(url, listener, certificate, fits, client):
    found = explained(url)
    equal(found['name'], listener)
    equal('tls' in found, certificate is not None)
    if not certificate:
        return
    equal(found['scheme'], 'https')
    equal((found['tls']['min_version'], found['tls']['alpn']), ('1.3', ['h2', 'http/1.1']))
    (one,) = found['tls']['certificates']
    equal((os.path.basename(one['certificate']), one['fits_host'], one['client_certificate']),
          (certificate, fits, client))
    assert one['not_before'] < one['not_after']


@test
def explain_shows_both_kinds_of_key():
    p = check(LISTENER.format(f'certificates: [{{{SHOP}}}, {{{pair("shop-rsa")}}}]'), 'explain', 'GET',
              'https://shop.example/')
    equal(p.returncode, 0, p.stderr)
    lines = [line.split()[1:4] for line in p.stdout.split('\n') if line.startswith('  certificate ')]
    equal(lines, [['shop.pem', '(ECDSA', 'P-256)'], ['shop-rsa.pem', '(RSA', '2048)']])
    contains(p.stdout, 'TLS 1.2 and 1.3')


@test
def explain_warns_where_no_certificate_fits():
    p = check(LISTENER.format(SHOP), 'explain', 'GET', 'https://moved.example/')
    contains(p.stdout, 'it is not for moved.example: clients refuse it')


@test
def explain_knows_the_names_of_tls():
    text = LISTENER.format(SHOP).replace('respond: ok', 'respond: "${client.tls.version} ${client.tls.sni}"')
    p = check(text, 'explain', 'GET', 'https://a.shop.example/')
    contains(p.stdout, 'TLSv1.3 a.shop.example')
    text = LISTENER.format(SHOP).replace('respond: ok', 'respond: {body: {known: "${client.tls.verified}"}}')
    contains(check(text, 'explain', 'GET', 'https://shop.example/').stdout, '{"known":false}')


# What stands in a service, the words behind "request to s by", the name that is verified.
WAYS = [
    ('host: keep', 'HTTP/1.1', None),
    ('protocol: http2', 'HTTP/2', None),
    ('protocol: auto', 'HTTP/1.1', None),
    ('tls: true', 'TLS and HTTP/1.1', 's.example'),
    ('tls: true, protocol: auto', 'TLS and HTTP/2 or HTTP/1.1 (as it chooses)', 's.example'),
    ('tls: {name: x.example}, protocol: http2', 'TLS and HTTP/2', 'x.example'),
]


def way(inside, words, name):
    p = check(SERVICE.format(inside), 'explain', 'GET', 'http://h/')
    equal(p.returncode, 0, p.stderr)
    contains(p.stdout, f'request to s by {words}\n')
    named = re.findall(r'  certificate for +(\S+)', p.stdout)
    equal(named, [name] if name else [])
    first = 'HTTP/2' if words.endswith('HTTP/2') else 'HTTP/1.1'
    contains(p.stdout, f'  GET / {first}\n')


for each, row in CASES.items():
    add(each, case, *row)
for row in ANSWERS:
    add('answers ' + row[0], answers, *row)
for row in WAYS:
    add('the way to {' + row[0] + '}', way, *row)
with tempfile.TemporaryDirectory(prefix='sluice-test-') as FOLDER:
    make(FOLDER)
    run()
