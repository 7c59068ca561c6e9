#!/usr/bin/python3
"""What metrics and logs say of TLS: seconds to expiry, version, cipher, server name, protocol, resumption."""
import json
import os
import ssl
import socket
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from certs import Authority
from gateway import Gateway, Upstream, wait_until
from tap import equal, run, test
from web_client import connect

FOLDER = tempfile.mkdtemp(prefix='sluice-certs-')
CONFIG = '''
version: 1
listeners: {{secure: {{address: "127.0.0.1:@PORT@", tls: {{certificate: {d}/web.pem, private_key: {d}/web.key}}}}}}
admin: {{address: "127.0.0.1:@ADMIN@"}}
log: {{file: access.log, format: json, fields: [path, protocol, scheme, tls_version, tls_cipher, tls_resumed, sni, alpn, upgrade]}}
services: {{a: {a}}}
routes: [{{match: {{path: "/*"}}, to: a}}]
'''


def world(up):
    ca = Authority('test CA')
    ca.save(FOLDER, 'ca')
    ca.issue('localhost', names=['localhost', '127.0.0.1'], days=20).save(FOLDER, 'web')
    return Gateway(CONFIG.format(d=FOLDER, a=up.address))


@test
def a_certificate_tells_how_long_it_is_good():
    with Upstream() as up, world(up) as gw:
        m = gw.metrics()
        left = [v for k, v in m.items() if k.startswith('sluice_certificate_expires_in_seconds')]
        end = [v for k, v in m.items() if k.startswith('sluice_certificate_not_after_timestamp_seconds')]
        equal(len(left), 1)
        assert 18 * 86400 < left[0] <= 20 * 86400, left
        assert end[0] > left[0]


@test
def the_log_tells_of_tls():
    with Upstream() as up, world(up) as gw:
        for kind in ('h1tls', 'h2tls'):
            with connect(kind, gw.port, os.path.join(FOLDER, 'ca.pem')) as c:
                equal(c.request('GET', '/' + kind).status, 200)
        path = os.path.join(gw.dir, 'access.log')
        wait_until(lambda: os.path.exists(path) and open(path, encoding='utf-8').read().count('\n') == 2, 'two lines')
        lines = {x['path']: x for x in map(json.loads, open(path, encoding='utf-8'))}
        one, two = lines['/h1tls'], lines['/h2tls']
        equal((one['protocol'], one['scheme'], one['alpn']), ('HTTP/1.1', 'https', 'http/1.1'))
        equal((two['protocol'], two['scheme'], two['alpn']), ('HTTP/2.0', 'https', 'h2'))
        equal((one['tls_version'], one['sni'], one['tls_resumed'], one['upgrade']), ('TLSv1.3', 'localhost', False, None))
        assert one['tls_cipher'].startswith('TLS_'), one
        m = gw.metrics()
        equal(m['sluice_client_tls_handshakes_total{version="tls13"}'], 2)
        equal(m['sluice_client_h2_connections_total'], 1)
        equal(m['sluice_client_h2_streams_total'], 1)


@test
def resumption_and_failures_are_counted():
    with Upstream() as up, world(up) as gw:
        context = ssl.create_default_context(cafile=os.path.join(FOLDER, 'ca.pem'))
        session = None
        for _ in range(2):
            with socket.create_connection(('127.0.0.1', gw.port), 20) as raw, \
                    context.wrap_socket(raw, server_hostname='localhost', session=session) as s:
                s.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
                assert s.recv(65536).startswith(b'HTTP/1.1 200')
                reused, session = s.session_reused, s.session
        assert reused
        with socket.create_connection(('127.0.0.1', gw.port), 20) as raw:
            raw.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
            raw.recv(65536)
        m = gw.metrics()
        equal(m['sluice_client_tls_resumed_total'], 1)
        equal(m['sluice_client_tls_failed_total{reason="cleartext"}'], 1)


run()
