#!/usr/bin/python3
"""Clients that show certificates: what services, expressions and logs learn of them, and who is kept out."""
import json
import os
import ssl
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from certs import Authority, client_context
from gateway import Client, Closed, Gateway, Upstream, answer, wait_until
from tap import equal, run, test

CONFIG = '''
    version: 1
    listeners:
      public: {address: "127.0.0.1:@PORT@"}
      secure:
        address: "127.0.0.1:@TLS@"
        tls:
          certificate: open.pem
          private_key: open.key
          certificates:
            - {certificate: asked.pem, private_key: asked.key,
               client_certificate: {ca: ca.pem, mode: request, crl: ca.crl}}
            - {certificate: wanted.pem, private_key: wanted.key, client_certificate: {ca: ca.pem, crl: ca.crl}}
            - {certificate: quiet.pem, private_key: quiet.key, client_certificate: {ca: ca.pem, headers: false}}
    log: {file: access.log, fields: [target, sni, tls_version, client_subject, client_san]}
    services: {a: %s}
    routes:
      - {match: {path: "/*"}, to: a}
      - {match: {path: /who}, respond: "${client.tls.verified} ${client.tls.subject} ${client.tls.san}"}
'''
HOSTS = ['open', 'asked', 'wanted', 'quiet']
FORGED = 'X-Client-Cert: forged\r\n'

ca, stranger = Authority('clients'), Authority('strangers')
ann = ca.issue('ann', names=['spiffe://test/ann'], client=True)
bob = ca.issue('bob', client=True)
eve = stranger.issue('ann', names=['spiffe://test/ann'], client=True)
SHOWN = {'nobody': None, 'ann': ann, 'bob': bob, 'eve': eve}
up = Upstream(lambda request, _: answer(json.dumps(request.all('x-client-cert'))))


def gateway():
    servers = Authority('servers')
    files = {'servers.pem': servers.pem, 'ca.pem': ca.pem, 'ca.crl': ca.crl([bob])}
    for host in HOSTS:
        made = servers.issue(host + '.test')
        files |= {host + '.pem': made.chain_pem, host + '.key': made.key_pem}
    for name, cert in SHOWN.items():
        if cert:
            files |= {name + '.pem': cert.chain_pem, name + '.key': cert.key_pem}
    gw = Gateway(CONFIG % up.address, ports=['TLS'], files=files)
    gw.servers = servers
    return gw


def ask(gw, host, who, target, version='1.3', alpn='http/1.1'):
    pair = [os.path.join(gw.dir, f'{who}.{kind}') for kind in ('pem', 'key')] if SHOWN[who] else None
    context = client_context(gw.servers, pair, [alpn], version)
    with Client(gw.ports['TLS']) as c:
        c.sock = context.wrap_socket(c.sock, server_hostname=host + '.test')
        return c.request(f'GET {target} HTTP/1.1\r\nHost: {host}.test\r\n{FORGED}\r\n'.encode())


# Whose certificate the service sees (None: no field), what ${client.tls.*} says; None: no answer at all.
ROWS = [
    ('open', 'nobody', None, 'false  '),
    ('open', 'ann', None, 'false  '),
    ('asked', 'nobody', None, 'false  '),
    ('asked', 'ann', ann, 'true CN=ann spiffe://test/ann'),
    ('wanted', 'ann', ann, 'true CN=ann spiffe://test/ann'),
    ('quiet', 'ann', None, 'true CN=ann spiffe://test/ann'),
]
REFUSED = [('wanted', 'nobody'), ('wanted', 'eve'), ('wanted', 'bob'), ('asked', 'eve'), ('asked', 'bob'),
           ('quiet', 'nobody'), ('quiet', 'eve')]


@test(['1.2', '1.3'])
def what_is_known_of_clients(version):
    with gateway() as gw:
        for host, who, seen, words in ROWS:
            fields = json.loads(ask(gw, host, who, '/a', version).body)
            got = [ssl.PEM_cert_to_DER_cert(urllib.parse.unquote(f)) for f in fields]
            equal(got, [seen.der] if seen else [], f'{host} {who}')
            equal(ask(gw, host, who, '/who', version).body.decode(), words, f'{host} {who}')


@test(['1.2', '1.3'])
def who_is_kept_out(version):
    with gateway() as gw:
        for host, who in REFUSED:
            try:
                got = ask(gw, host, who, '/a', version)
            except (ssl.SSLError, ConnectionError, Closed):
                continue
            raise AssertionError(f'{who} was let in at {host}: {got.first}')


@test
def the_log_names_clients():
    with gateway() as gw:
        ask(gw, 'wanted', 'ann', '/one')
        ask(gw, 'asked', 'nobody', '/two')
        gw.get('/three')
        path = os.path.join(gw.dir, 'access.log')

        def rows():
            if not os.path.exists(path):
                return []
            with open(path, encoding='utf-8') as f:
                return [json.loads(line) for line in f.read().split('\n')[:-1]]
        wait_until(lambda: len(rows()) == 3, 'three lines in the log')
        # Threads write their own lines: the order is theirs.
        equal(sorted(rows(), key=lambda r: r['sni'] or ''), [
            {'target': '/three', 'sni': None, 'tls_version': None, 'client_subject': None, 'client_san': None},
            {'target': '/two', 'sni': 'asked.test', 'tls_version': 'TLSv1.3', 'client_subject': None,
             'client_san': None},
            {'target': '/one', 'sni': 'wanted.test', 'tls_version': 'TLSv1.3', 'client_subject': 'CN=ann',
             'client_san': 'spiffe://test/ann'}])


@test
def a_field_of_clear_text_is_forged():
    with gateway() as gw:
        equal(json.loads(gw.get('/a', 'X-Client-Cert: forged').body), [])


@test
def another_host_asks_for_another_certificate():
    """A connection made for one host carries no request for one that lets in others (421)."""
    with gateway() as gw:
        context = client_context(gw.servers, None, ['http/1.1'])
        with Client(gw.ports['TLS']) as c:
            c.sock = context.wrap_socket(c.sock, server_hostname='open.test')
            for host, status in (('open', 200), ('wanted', 421)):
                got = c.request(f'GET /a HTTP/1.1\r\nHost: {host}.test\r\n\r\n'.encode())
                equal(got.status, status, host)


run()
