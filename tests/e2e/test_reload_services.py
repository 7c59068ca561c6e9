#!/usr/bin/python3
"""A reload and the kept connections of services: they stay as long as the service is spoken to in the same way."""
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from certs import Authority
from gateway import Gateway, run as command
from h1_service import H1Service
from tap import equal, run, test

CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    workers: 1
    services: {a: {endpoints: ["%s"], %s}}
    routes: [{match: {path: "/*"}, to: a%s}]
'''
TLS = 'tls: {ca: ca.pem, name: shop.test}'
ca, other = Authority('services'), Authority('others')
shop = ca.issue('shop.test', names=['shop.test', 'order.test'])

# What the configuration says first, then; whether the connection stays.
ROWS = [
    ('the same', TLS, TLS, '', True),
    ('the same in other words', TLS, 'tls: {name: shop.test, ca: "ca.pem", min_version: "1.2"}', '', True),
    ('another route', TLS, TLS, ', max_body: 1KiB', True),
    ('another limit', TLS, TLS + ', max_connections: 7', '', True),
    ('another name', TLS, 'tls: {ca: ca.pem, name: order.test}', '', False),
    ('another CA', TLS, 'tls: {ca: both.pem, name: shop.test}', '', False),
    ('a newer version', TLS, 'tls: {ca: ca.pem, name: shop.test, min_version: "1.3"}', '', False),
    ('another protocol', TLS, TLS + ', protocol: auto', '', False),
]


@test(ROWS)
def kept_connections(row):
    _, before, after, route, stays = row
    folder = tempfile.mkdtemp(prefix='sluice-test-')
    files = {'ca.pem': ca.pem, 'both.pem': ca.pem + other.pem}
    try:
        with H1Service(tls=shop.save(folder, 'shop')) as service, \
                Gateway(CONFIG % (service.address, before, ''), ('--no-supervisor', '--reload-every', '20ms'),
                        files=files) as gw:
            equal(gw.get('/echo').status, 200)
            gw.configure(CONFIG % (service.address, after, route))
            done = command('reload', '-c', gw.config_path)
            equal(done.returncode, 0, done.stderr.decode())
            if not stays:  # without a request
                service.wait(lambda: service.connections[0].closed, 'the end of the old connection')
            equal(gw.get('/echo').status, 200)
            equal(len(service.connections), 1 if stays else 2, 'connections')
    finally:
        shutil.rmtree(folder)


run()
