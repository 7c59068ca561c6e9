"""process - what the tests of the process share: its children, its sockets, its signals."""
import os
import signal
import socket

from gateway import wait_until

CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    log: {file: "@DIR@/access.log"}
    workers: 2
    shutdown_grace: 20s
    services: {a: %s}
    routes:
      - {match: {path: "/*"}, to: a}
      - {match: {path: /here}, respond: "here"}
'''
GET = b'GET %s HTTP/1.1\r\nHost: gw.test\r\n\r\n'


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
        return [int(p) for p in f.read().split()]


def serving(gw, but=()):
    """The serving process below the supervisor, once there is one (other than `but`)."""
    return wait_until(lambda: next((p for p in children(gw.process.pid) if p not in but), None),
                      'a serving process')


def status(pid):
    with open(f'/proc/{pid}/status', encoding='utf-8') as f:
        return dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)


def alive(pid):
    try:
        return status(pid)['State'][0] not in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return False


def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: status(pid)['State'][0] == 'T', 'the process stands still')


def backlog(port):
    """How many connections wait to be accepted on all sockets of a port."""
    count = 0
    with open('/proc/net/tcp', encoding='ascii') as f:
        for line in f.readlines()[1:]:
            column = line.split()
            if column[3] == '0A' and int(column[1].split(':')[1], 16) == port:
                count += int(column[4].split(':')[1], 16)
    return count


class Notify:
    """What systemd would hear."""

    def __init__(self, directory):
        self.path = os.path.join(directory, 'notify')
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(20)

    def next(self, wanted):
        """Skips to the first message with this line."""
        while True:
            text = self.socket.recv(4096).decode()
            if wanted in text.split('\n'):
                return text

    def close(self):
        self.socket.close()
