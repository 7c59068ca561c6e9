"""h2_wire - HTTP/2 as bytes, for tests that break its rules: frames by hand, nothing is judged.

    frame(HEADERS, END_STREAM | END_HEADERS, 1, block((':method', 'GET'), ...))
    frames(data) -> [Frame], rest

Header blocks are written without compression, so that their bytes are those of the test; what a peer says is
decoded by python3-hpack (Decoder).
"""
import collections
import struct

import hpack

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY) = range(13)
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 3, 4, 5, 6
HEADER_TABLE_SIZE, ENABLE_PUSH, ENABLE_CONNECT_PROTOCOL = 1, 2, 8
PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

Frame = collections.namedtuple('Frame', 'kind flags stream payload')
Decoder = hpack.Decoder


def frame(kind, flags=0, stream=0, payload=b'', length=None):
    """`length` overrides what the head says of the payload."""
    n = len(payload) if length is None else length
    return struct.pack('>I', n)[1:] + struct.pack('>BBI', kind, flags, stream) + payload


def settings(*pairs):
    return frame(SETTINGS, payload=b''.join(struct.pack('>HI', *p) for p in pairs))


def window_update(stream, more):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack('>I', more))


def rst(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack('>I', code))


def integer(value, bits, first=0):
    """RFC 7541 5.1."""
    top = (1 << bits) - 1
    if value < top:
        return bytes([first | value])
    out, value = bytes([first | top]), value - top
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def string(text):
    data = text if isinstance(text, bytes) else text.encode('latin-1')
    return integer(len(data), 7) + data


def literal(name, value, first=0):
    """A field, as literals: not indexed (first 0), never (0x10), or put into the table (0x40)."""
    return bytes([first]) + string(name) + string(value)


def block(*fields):
    return b''.join(literal(n, v) for n, v in fields)


def request(method='GET', path='/', *fields, scheme='http', authority='gw.test'):
    return block((':method', method), (':scheme', scheme), (':path', path), (':authority', authority), *fields)


def headers(stream, payload, flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, stream, payload)


def get(stream, path='/', *fields):
    return headers(stream, request('GET', path, *fields))


def data(stream, payload, flags=0):
    return frame(DATA, flags, stream, payload)


def frames(received):
    """All whole frames in the bytes, and what is left."""
    out = []
    while len(received) >= 9:
        n = int.from_bytes(received[:3], 'big')
        if len(received) < 9 + n:
            break
        kind, flags, stream = struct.unpack('>BBI', received[3:9])
        out.append(Frame(kind, flags, stream & 0x7fffffff, received[9:9 + n]))
        received = received[9 + n:]
    return out, received


def code(f):
    """Of RST_STREAM and GOAWAY."""
    return struct.unpack('>I', f.payload[:4] if f.kind == RST_STREAM else f.payload[4:8])[0]


class Peer:
    """A client on a socket that says what it is told and sorts what it hears; it acknowledges SETTINGS and PING."""

    def __init__(self, sock, timeout=20, hello=PREFACE + settings()):
        self.sock, self.decoder, self.received = sock, Decoder(), b''
        self.heads = collections.defaultdict(list)   # by stream: dicts of decoded fields
        self.bodies = collections.defaultdict(bytes)
        self.windows = collections.Counter()         # WINDOW_UPDATE increments
        self.ended, self.resets, self.sizes = set(), {}, collections.defaultdict(list)
        self.pings, self.acks, self.settings, self.goaways, self.closed = [], 0, {}, [], False
        sock.settimeout(timeout)
        self.send(hello)

    def send(self, *parts):
        try:
            self.sock.sendall(b''.join(parts))
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True

    def hear(self):
        """Some bytes, or the end."""
        try:
            got = self.sock.recv(65536)
        except ConnectionResetError:
            got = b''
        self.closed = not got
        whole, self.received = frames(self.received + got)
        for f in whole:
            self.take(f)

    def take(self, f):
        if f.kind == HEADERS:
            assert f.flags & END_HEADERS, 'a block in several frames'
            self.heads[f.stream].append(dict(self.decoder.decode(f.payload)))
        elif f.kind == DATA:
            self.bodies[f.stream] += f.payload
            self.sizes[f.stream].append(len(f.payload))
        elif f.kind == RST_STREAM:
            self.resets[f.stream] = code(f)
        elif f.kind == GOAWAY:
            self.goaways.append((int.from_bytes(f.payload[:4], 'big'), code(f)))
        elif f.kind == WINDOW_UPDATE:
            self.windows[f.stream] += int.from_bytes(f.payload, 'big')
        elif f.kind == PING:
            if f.flags & ACK:
                self.pings.append(f.payload)
            else:
                self.send(frame(PING, ACK, 0, f.payload))
        elif f.kind == SETTINGS and f.flags & ACK:
            self.acks += 1
        elif f.kind == SETTINGS:
            self.settings.update(struct.unpack('>HI', f.payload[i:i + 6]) for i in range(0, len(f.payload), 6))
            self.send(frame(SETTINGS, ACK))
        if f.kind in (HEADERS, DATA) and f.flags & END_STREAM:
            self.ended.add(f.stream)

    def until(self, condition, what):
        while not condition():
            if self.closed:
                raise AssertionError(f'the connection ended, waiting for {what}: GOAWAY {self.goaways}, '
                                     f'resets {self.resets}')
            self.hear()

    def over(self, stream):
        return stream in self.ended or stream in self.resets

    def answer(self, stream):
        """The status of the final answer, once it is whole."""
        self.until(lambda: self.over(stream), f'the answer on stream {stream}')
        finals = [h for h in self.heads[stream] if h.get(':status', '1')[0] != '1']
        return int(finals[0][':status']) if finals else None

    def error(self):
        """The code of a GOAWAY that is one, and the connection's end."""
        while not self.closed:
            self.hear()
        return next((c for _, c in self.goaways if c), None)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
