"""certs - certificates made while a test runs: authorities, servers, clients, revocation lists, OCSP.

    #!/usr/bin/python3                           (Debian's python3-cryptography)
    from certs import Authority, self_signed

    ca = Authority('test CA')
    web = ca.issue('web.test', names=['web.test', '*.web.test', '127.0.0.1'])
    web.save(folder, 'web')          # folder/web.pem: certificate and chain; folder/web.key
    ca.save(folder, 'ca')            # folder/ca.pem: what a client trusts
    ann = ca.issue('ann', names=['spiffe://test/ann'], client=True)
    ca.crl([ann])                    # PEM
    ca.ocsp(web)                     # DER

Keys are ECDSA P-256 unless kind='rsa' (2048 bits; bits=1024 for a weak one), 'p384' or 'ed25519'.
Names: an IP address, a URI ('://'), an e-mail address ('@'), else DNS. `days`: how long it is still valid
(negative: expired), `since`: for how many days it has been. Nothing here is for anything but tests.
"""
import datetime
import ipaddress
import json
import os
import re
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import ocsp as x509_ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def make_key(kind='ec', bits=2048):
    if kind == 'rsa':
        return rsa.generate_private_key(public_exponent=65537, key_size=bits)
    if kind == 'p384':
        return ec.generate_private_key(ec.SECP384R1())
    if kind == 'ed25519':
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def _now():
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)


def _days(n):
    return datetime.timedelta(days=n)


def _subject(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def general_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if '://' in name:
        return x509.UniformResourceIdentifier(name)
    return x509.RFC822Name(name) if '@' in name else x509.DNSName(name)


def _hash(key):
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


class Certificate:
    """A certificate, its key, and the certificates above it (without the root)."""

    def __init__(self, cert, key, above=()):
        self.cert, self.key, self.above = cert, key, tuple(above)

    @property
    def pem(self):
        return self.cert.public_bytes(serialization.Encoding.PEM)

    @property
    def chain_pem(self):
        return self.pem + b''.join(c.public_bytes(serialization.Encoding.PEM) for c in self.above)

    @property
    def der(self):
        return self.cert.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self):
        return self.encrypted_key_pem(None)

    def encrypted_key_pem(self, password):
        how = (serialization.BestAvailableEncryption(password) if password
               else serialization.NoEncryption())
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)

    @property
    def serial(self):
        return self.cert.serial_number

    @property
    def fingerprint(self):
        return self.cert.fingerprint(hashes.SHA256()).hex()

    def save(self, folder, name, chain=True):
        """Writes name.pem and name.key (0600), each in one step; returns both paths."""
        cert, key = os.path.join(folder, name + '.pem'), os.path.join(folder, name + '.key')
        replace(key, self.key_pem, 0o600)
        replace(cert, self.chain_pem if chain else self.pem)
        return cert, key


class Authority(Certificate):
    def __init__(self, name='test CA', kind='ec', days=3650, since=1, issuer=None):
        key = make_key(kind)
        cert = _build(name, key, issuer, days, since, [
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (x509.KeyUsage(False, False, False, False, False, True, True, False, False), True),
        ])
        super().__init__(cert, key, issuer.below if issuer else ())
        # What a server shows above a certificate of this authority: no root.
        self.below = (cert, *self.above) if issuer else ()

    def authority(self, name='test intermediate', **options):
        """An authority below this one."""
        return Authority(name, issuer=self, **options)

    def issue(self, name, names=None, kind='ec', bits=2048, days=90, since=1, client=False, server=None,
              extra=(), key=None):
        """names: None for [name]; []: none at all. client, server: what it may be used for."""
        key = key or make_key(kind, bits)
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH] if client else []
        if server if server is not None else not client:
            uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
        return Certificate(_build(name, key, self, days, since, [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.ExtendedKeyUsage(uses), False), *_san(name, names), *extra]), key, self.below)

    def crl(self, revoked=(), days=7, since=1):
        """A revocation list, PEM."""
        now = _now()
        b = (x509.CertificateRevocationListBuilder().issuer_name(self.cert.subject)
             .last_update(now - _days(since)).next_update(now + _days(days)))
        for c in revoked:
            b = b.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(c.serial)
                                          .revocation_date(now - _days(since)).build())
        return b.sign(self.key, _hash(self.key)).public_bytes(serialization.Encoding.PEM)

    def ocsp(self, cert, revoked=False, days=7, since=1):
        """What the authority says about a certificate, DER."""
        now = _now()
        status = x509_ocsp.OCSPCertStatus.REVOKED if revoked else x509_ocsp.OCSPCertStatus.GOOD
        b = x509_ocsp.OCSPResponseBuilder().add_response(
            cert=cert.cert, issuer=self.cert, algorithm=hashes.SHA1(), cert_status=status,
            this_update=now - _days(since), next_update=now + _days(days),
            revocation_time=now - _days(since) if revoked else None, revocation_reason=None)
        b = b.responder_id(x509_ocsp.OCSPResponderEncoding.HASH, self.cert)
        return b.sign(self.key, _hash(self.key)).public_bytes(serialization.Encoding.DER)


def _san(name, names):
    names = [name] if names is None else names
    return [(x509.SubjectAlternativeName([general_name(n) for n in names]), False)] if names else []


def _build(name, key, issuer, days, since, extensions):
    now = _now()
    signer = issuer.key if issuer else key
    b = (x509.CertificateBuilder().subject_name(_subject(name))
         .issuer_name(issuer.cert.subject if issuer else _subject(name))
         .public_key(key.public_key()).serial_number(x509.random_serial_number())
         .not_valid_before(now - _days(max(since, since - days))).not_valid_after(now + _days(days))
         .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
         .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False))
    for extension, critical in extensions:
        b = b.add_extension(extension, critical)
    return b.sign(signer, _hash(signer))


def self_signed(name, names=None, kind='ec', bits=2048, days=90, since=1):
    key = make_key(kind, bits)
    return Certificate(_build(name, key, None, days, since, _san(name, names)), key)


def replace(path, data, mode=0o644):
    """The file's content is the old one or the new one, never half of it."""
    with open(path + '.new', 'wb') as f:
        os.fchmod(f.fileno(), mode)
        f.write(data)
    os.rename(path + '.new', path)


def for_configuration(folder, text):
    """Makes every certificate, key, CA, CRL, OCSP response, secret and key set that a configuration names, relative
    to the folder."""
    ca = Authority()
    below = ca.authority()
    for cert, key in re.findall(r'\bcertificate: ([\w./-]+), private_key: ([\w./-]+)', text):
        made = below.issue(os.path.basename(cert) + '.example')
        for path, data, mode in ((cert, made.chain_pem, 0o644), (key, made.key_pem, 0o600)):
            path = os.path.join(folder, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            replace(path, data, mode)
        for path in re.findall(re.escape(key) + r', ocsp: ([\w./-]+)', text):
            replace(os.path.join(folder, path), below.ocsp(made))
    for kind, data in (('ca', ca.pem), ('crl', ca.crl())):
        for path in re.findall(rf'\b{kind}: ([\w./-]+)', text):
            path = os.path.join(folder, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            replace(path, data)
    for path in re.findall(r"secret\('file:([\w./-]+)'\)", text):
        path = os.path.join(folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.exists(path):  # perhaps a key that stands elsewhere too
            replace(path, b'a secret of tests, as long as it must be')
    for path in re.findall(r'\bjwks: "?file:([\w./-]+)', text):
        key = {'kty': 'oct', 'k': 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY'}
        replace(os.path.join(folder, path), json.dumps(key).encode())


def client_context(ca=None, cert=None, alpn=None, version=None):
    """An ssl context that trusts `ca` (an Authority; None: nothing is verified), shows `cert` (a pair of
    paths), offers `alpn` and speaks only `version` ('1.2', '1.3')."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        c.load_verify_locations(cadata=ca.pem.decode())
    else:
        c.check_hostname = False
        c.verify_mode = ssl.CERT_NONE
    if cert:
        c.load_cert_chain(*cert)
    if alpn:
        c.set_alpn_protocols(alpn)
    if version:
        v = {'1.2': ssl.TLSVersion.TLSv1_2, '1.3': ssl.TLSVersion.TLSv1_3}[version]
        c.minimum_version = c.maximum_version = v
    return c


def server_context(cert, ca=None, require=True, alpn=None):
    """An ssl context for a scripted service: `cert` a pair of paths, `ca`: whose clients come in."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(*cert)
    if ca:
        c.load_verify_locations(cadata=ca.pem.decode())
        c.verify_mode = ssl.CERT_REQUIRED if require else ssl.CERT_OPTIONAL
    if alpn:
        c.set_alpn_protocols(alpn)
    return c
