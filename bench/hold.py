#!/usr/bin/env python3
"""hold.py KIND PORT N: opens N connections to a proxy, lets each do one thing, prints "ready" and holds
them idle until standard input ends. KIND: tls (HTTPS, one request), h2 (HTTP/2 in clear text, one
request), ws (a WebSocket with one echo). Then prints how many of them are still open."""
import resource
import select
import socket
import ssl
import struct
import sys


def read_until(s, what):
    data = b''
    while what not in data:
        more = s.recv(65536)
        if not more:
            raise RuntimeError(f'the proxy closed: {data[:200]}')
        data += more
    return data


def tls(port):
    s = CONTEXT.wrap_socket(socket.create_connection(('127.0.0.1', port)), server_hostname='gw.test')
    s.sendall(b'GET /1k HTTP/1.1\r\nHost: gw.test\r\n\r\n')
    data = read_until(s, b'\r\n\r\n')
    body = len(data) - data.index(b'\r\n\r\n') - 4
    while body < 1024:
        body += len(s.recv(65536))
    return s


def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


def h2(port):
    s = socket.create_connection(('127.0.0.1', port))
    authority = b'gw.test'
    block = b'\x82\x86\x04\x03/1k\x01' + bytes([len(authority)]) + authority
    s.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0) + frame(1, 5, 1, block))
    data, ended = b'', False
    while not ended:
        more = s.recv(65536)
        if not more:
            raise RuntimeError('the proxy closed an HTTP/2 connection')
        data += more
        while len(data) >= 9:
            n = int.from_bytes(data[:3], 'big')
            if len(data) < 9 + n:
                break
            kind, flags, stream = data[3], data[4], int.from_bytes(data[5:9], 'big')
            if kind == 4 and not flags & 1:
                s.sendall(frame(4, 1, 0))
            ended = ended or (stream == 1 and flags & 1 and kind in (0, 1))
            data = data[9 + n:]
    return s


def ws(port):
    s = socket.create_connection(('127.0.0.1', port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.sendall(b'GET /ws HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
              b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
    if not read_until(s, b'\r\n\r\n').startswith(b'HTTP/1.1 101'):
        raise RuntimeError('no WebSocket')
    s.sendall(b'\x81\x82\0\0\0\0hi')
    read_until(s, b'hi')
    return s


def main():
    kind, port, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = [{'tls': tls, 'h2': h2, 'ws': ws}[kind](port) for _ in range(n)]
    print('ready', flush=True)
    sys.stdin.read()
    poll = select.poll()
    for s in held:
        poll.register(s.fileno(), select.POLLRDHUP)
    print(n - len(poll.poll(0)), flush=True)


CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE
if __name__ == '__main__':
    main()
