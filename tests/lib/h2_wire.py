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
