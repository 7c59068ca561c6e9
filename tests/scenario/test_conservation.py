#!/usr/bin/env python3
"""Conservation: accepted = completed + aborted + rejected + in flight, whatever clients and services do.

Clients and services break off at random places, from a fixed seed (SLUICE_SEED changes it). While that goes on every
scrape must already balance; afterwards nothing may be left: no exchange, no connection, no descriptor.
suite: tsan"""
import os
import random
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Closed, Gateway, Malformed, Upstream, answer, wait_until
from tap import equal, run, test

SEED = int(os.environ.get('SLUICE_SEED', '1'))
CLIENTS, EACH = 6, 150
CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    log: {file: "@DIR@/access.log", format: json}
    workers: 2
    limits: {first_byte_timeout: 300ms, header_timeout: 300ms, body_idle_timeout: 300ms, keepalive_timeout: 300ms}
    services:
      a: {endpoints: [%s], timeout: 5s, max_connections: 4}
      nowhere: {endpoints: ["127.0.0.1:1"]}
    routes:
      - {match: {path: "/*"}, to: a}
      - {match: {path: /nowhere}, to: nowhere}
      - {match: {path: /here}, respond: "here"}
'''
dice_of_service = random.Random(SEED)
lock = threading.Lock()


def service(request, connection):
    with lock:
        what = dice_of_service.randrange(12)
        cut = dice_of_service.random()
    whole = answer(b'x' * 20000)
    if what < 7:
        return whole
    if what == 7:
        return answer('chunk' * 100, '200 OK', 'Connection: close')
    if what == 8:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        return Upstream.CLOSE
    if what == 9:
        return b'HTTP/1.1 200 OK\r\nbroken : x\r\n\r\n'
    connection.send(whole[:int(len(whole) * cut)])
    return Upstream.CLOSE


REQUESTS = [
    b'GET /a HTTP/1.1\r\nHost: gw.test\r\n\r\n',
    b'GET /here HTTP/1.1\r\nHost: gw.test\r\n\r\n',
    b'GET /nowhere HTTP/1.1\r\nHost: gw.test\r\n\r\n',
    b'HEAD /a HTTP/1.1\r\nHost: gw.test\r\n\r\n',
    b'POST /a HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 30000\r\n\r\n' + b'y' * 30000,
    b'POST /a HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n' + b'400\r\n' + b'z' * 1024 + b'\r\n0\r\n\r\n',
    b'POST /a HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n',
    b'GET /a HTTP/1.1\r\nHost : gw.test\r\n\r\n',
    b'GET /a HTTP/1.1\r\n\r\n',
    b'GET /a HTTP/1.1\r\nHost: gw.test\r\n\r\n' * 3,
]


def play(gw, seed):
    dice = random.Random(seed)
    for _ in range(EACH):
        data = b''.join(dice.choice(REQUESTS) for _ in range(dice.randrange(1, 4)))
        if dice.random() < 0.5:
            data = data[:dice.randrange(1, len(data) + 1)]
        c = gw.client()
        try:
            c.send(data)
            how = dice.randrange(4)
            if how == 0:
                c.sock.settimeout(dice.random() * 0.05)
                c.rest()
            elif how == 1:
                c.finish_sending()
                c.rest()
            elif how == 2:
                c.read_response()
        except (OSError, Closed, Malformed):
            pass
        if dice.random() < 0.3:
            c.reset()
        else:
            c.close()


def balance(m):
    total = {k: m[f'sluice_exchanges_{k}_total'] for k in ('accepted', 'completed', 'aborted', 'rejected')}
    left = total['accepted'] - total['completed'] - total['aborted'] - total['rejected']
    return total, left


def descriptors(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


@test
def chaos():
    with Upstream(service) as up, Gateway(CONFIG % up.address, ('--no-supervisor',)) as gw:
        gw.get('/here')
        gw.metrics()
        before = descriptors(gw.process.pid)
        clients = [threading.Thread(target=play, args=(gw, SEED * 1000 + i)) for i in range(CLIENTS)]
        for c in clients:
            c.start()
        while any(c.is_alive() for c in clients):
            m = gw.metrics()
            equal(balance(m)[1], m['sluice_exchanges_in_flight'], 'within the storm')
        for c in clients:
            c.join()
        up.close()
        # The scrape itself is the one exchange in flight.
        wait_until(lambda: gw.metrics()['sluice_exchanges_in_flight'] <= 1, 'nothing is left in work')
        wait_until(lambda: gw.metrics()['sluice_client_connections_open'] <= 1, 'no connection is left')
        wait_until(lambda: descriptors(gw.process.pid) <= before + 2, 'no descriptor is left')
        total, left = balance(gw.metrics())
        equal(left, 1)
        for kind in ('completed', 'aborted', 'rejected'):
            assert total[kind] > 20, f'{kind}: {total[kind]}; the storm was too mild'
        print(f'# {total}')


run()
