"""tokens - JWTs and keys for tests: made by python3-cryptography, so that another hand signs than verifies.

    key = Key.es256('one')
    token = key.token({'sub': 'bob', 'exp': now() + 60})
    with KeyServer([key]) as keys:                    # a JWKS over http, counted, that can be made to fail
        f'jwt: {{jwks: "{keys.url}"}}'
"""
import base64
import hashlib
import hmac
import http.server
import json
import threading
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HASH = {'256': hashes.SHA256, '384': hashes.SHA384, '512': hashes.SHA512}


def now():
    return int(time.time())


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).rstrip(b'=').decode()


def number(n, length=None):
    return b64(n.to_bytes(length or (n.bit_length() + 7) // 8, 'big'))


def hs(alg, secret, data):
    return hmac.new(secret.encode(), data.encode(), 'sha' + alg[2:]).digest()


def compact(header, claims, sign):
    """header and claims: texts, or what becomes JSON; sign: bytes of the signature from the signed text."""
    parts = [x if isinstance(x, str) else json.dumps(x, separators=(',', ':')) for x in (header, claims)]
    text = '.'.join(b64(x) for x in parts)
    return f'{text}.{b64(sign(text))}'


def hs_token(secret, claims, header=None, alg='HS256'):
    return compact(header or {'alg': alg}, claims, lambda text: hs(alg, secret, text))


class Key:
    def __init__(self, alg, private, kid):
        self.alg, self.private, self.kid = alg, private, kid

    @classmethod
    def es(cls, bits, kid=None):
        curve = {'256': ec.SECP256R1, '384': ec.SECP384R1, '512': ec.SECP521R1}[bits]
        return cls('ES' + bits, ec.generate_private_key(curve()), kid)

    @classmethod
    def rsa(cls, alg='RS256', kid=None, size=2048):
        return cls(alg, rsa.generate_private_key(65537, size), kid)

    @classmethod
    def ed(cls, kid=None):
        return cls('EdDSA', ed25519.Ed25519PrivateKey.generate(), kid)

    def sign(self, text):
        data = text.encode()
        if self.alg == 'EdDSA':
            return self.private.sign(data)
        h = HASH[self.alg[2:]]()
        if self.alg.startswith('RS'):
            return self.private.sign(data, padding.PKCS1v15(), h)
        if self.alg.startswith('PS'):
            return self.private.sign(data, padding.PSS(padding.MGF1(h), h.digest_size), h)
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(h)))
        n = (self.private.curve.key_size + 7) // 8
        return r.to_bytes(n, 'big') + s.to_bytes(n, 'big')

    def token(self, claims, **header):
        head = {'alg': self.alg, **({'kid': self.kid} if self.kid else {}), **header}
        return compact({k: v for k, v in head.items() if v is not None}, claims, self.sign)

    def jwk(self, **more):
        public = self.private.public_key()
        if self.alg == 'EdDSA':
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            key = {'kty': 'OKP', 'crv': 'Ed25519', 'x': b64(raw)}
        elif self.alg.startswith('ES'):
            n, at = (public.curve.key_size + 7) // 8, public.public_numbers()
            key = {'kty': 'EC', 'crv': {32: 'P-256', 48: 'P-384', 66: 'P-521'}[n],
                   'x': number(at.x, n), 'y': number(at.y, n)}
        else:
            at = public.public_numbers()
            key = {'kty': 'RSA', 'n': number(at.n), 'e': number(at.e)}
        return {**key, 'alg': self.alg, 'use': 'sig', **({'kid': self.kid} if self.kid else {}), **more}

    def pem(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def jwks(*keys):
    return json.dumps({'keys': [k if isinstance(k, dict) else k.jwk() for k in keys]})


class KeyServer:
    """Serves /jwks.json and /.well-known/openid-configuration. `answer`: None, or (status, type, body,
    headers) in place of the keys. `gate`: an Event that answers wait for."""

    def __init__(self, keys):
        self.keys, self.answer, self.gate = list(keys), None, threading.Event()
        self.fetches, self.paths = 0, []
        self.gate.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self):
                outer.paths.append(self.path)
                outer.fetches += self.path == '/jwks.json'
                outer.gate.wait(20)
                status, kind, body, fields = outer.say(self.path)
                self.send_response(status)
                for name, value in {'Content-Type': kind, 'Content-Length': str(len(body)), **fields}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # the gateway may leave whenever it likes
        self.origin = f'http://127.0.0.1:{self.server.server_address[1]}'
        self.url = self.origin + '/jwks.json'

    def say(self, path):
        if path == '/.well-known/openid-configuration':
            doc = {'issuer': self.origin, 'jwks_uri': self.url}
            return 200, 'application/json', json.dumps(doc).encode(), {}
        if self.answer:
            return self.answer
        return 200, 'application/json', jwks(*self.keys).encode(), {}

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
