"""cuts - many client connections at once, each of which says its bytes in pieces, really cut.

    Batch(port, probes).play()

A cut is real: the next piece is sent once the kernel says that the gateway has read the one before. A probe has
pieces (bytes), sock (not blocking), key (its address and port), send(bytes), receive(), finished() (it has said
all and heard what it waits for), ended and refused (the gateway has closed), received, where() (for messages).
"""
import select
import socket
import struct
import time

from gateway import TIMEOUT


class Kernel:
    """Asks the kernel about single connections (sock_diag), however many there are."""
    GET, ESTABLISHED, CLOSE_WAIT = 20, 1, 8  # SOCK_DIAG_BY_FAMILY; states

    def __init__(self, port):
        self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)  # NETLINK_SOCK_DIAG
        self.port = port

    def unread(self, client):
        """Bytes from this client (address, port) that the gateway has not read yet; 0 too when it has closed."""
        ends = struct.pack('>HH4s12x4s12x', self.port, client[1], socket.inet_aton('127.0.0.1'),
                           socket.inet_aton(client[0])) + struct.pack('=III', 0, 0xffffffff, 0xffffffff)
        ask = struct.pack('=BBBBI', socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xffffffff) + ends
        self.netlink.send(struct.pack('=IHHII', 16 + len(ask), self.GET, 1, 0, 0) + ask)
        answer = self.netlink.recv(65536)
        if struct.unpack_from('=H', answer, 4)[0] != self.GET:
            return 0
        state = answer[17]
        return struct.unpack_from('=I', answer, 16 + 4 + 48 + 4)[0] \
            if state in (self.ESTABLISHED, self.CLOSE_WAIT) else 0


class Batch:
    def __init__(self, port, probes):
        self.kernel, self.probes = Kernel(port), probes
        self.poll = select.epoll()
        self.by_fd = {p.sock.fileno(): p for p in probes}
        for fd in self.by_fd:
            self.poll.register(fd, select.EPOLLIN)

    def pump(self, wait):
        for fd, _ in self.poll.poll(wait):
            probe = self.by_fd[fd]
            probe.receive()
            if probe.ended:
                self.poll.unregister(fd)

    def until(self, condition, what):
        end = time.monotonic() + TIMEOUT
        wait = 0.0
        while True:
            left = condition()
            if not left:
                return
            if time.monotonic() > end:
                probe = left[0]
                raise AssertionError(f'timed out, {what} ({len(left)}): {probe.where()}; '
                                     f'answer so far {probe.received[:300]!r}')
            self.pump(wait)
            wait = min(wait + 0.0005, 0.01)

    def unread(self, sent):
        return [p for p in sent if not p.ended and self.kernel.unread(p.key)]

    def play(self):
        for step in range(max(len(p.pieces) for p in self.probes)):
            sent = [p for p in self.probes if step < len(p.pieces) and not p.ended and not p.refused]
            for p in sent:
                p.send(p.pieces[step])
            if sent:
                self.until(lambda sent=sent: self.unread(sent), 'the gateway does not read on')
        self.until(lambda: [p for p in self.probes if not p.finished()], 'no end')
        for p in self.probes:  # with RST: tens of thousands of TIME_WAIT would make the kernel's table slow
            p.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            p.sock.close()
        self.poll.close()
        self.kernel.netlink.close()
