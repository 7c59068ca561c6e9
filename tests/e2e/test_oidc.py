#!/usr/bin/python3
"""Logging in with OpenID Connect: a real provider (npm oidc-provider), a client that does what browsers do, and
headless Chromium. THREATS.md F26; rotation of the issuer's key; the issuer gone. The same provider for tokens that
programs bring, and for those that the gateway shows to services."""
import base64
import hashlib
import http.client
import http.cookies
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Gateway, Upstream, wait_until
from node import NODE, packages
from tap import contains, equal, run, skip, test
from web_client import connect

CONFIG = '''
version: 1
listeners: {public: {address: "127.0.0.1:@PORT@"}}
admin: {address: "127.0.0.1:@ADMIN@"}
authenticators:
  site:
    oidc:
      issuer: "http://127.0.0.1:@ISSUER@"
      client_id: shop
      client_secret: "${secret('file:secret')}"
      scopes: [email, profile]
      insecure_cookie: true
    headers: {X-User-ID: "${claim.sub}"}
routes:
  - match: {path: /*}
    authenticate: site
    respond:
      body: {sub: "${claim.sub}", email: "${has(claim.email)}", nonce: "${has(claim.nonce)}",
             cookie: "${header.cookie}", user: '${header["x-user-id"]}', path: "${request.path}", q: "${query.x}"}
'''
SECRET = 'a-secret-of-the-shop-at-its-issuer'


class Issuer:
    """oidc-provider in a process of its own; another key is another process."""

    def __init__(self, port, gateway_port, key='first', ttl=600):
        packages()
        self.port = port
        self.process = subprocess.Popen(
            ['node', 'oidc.js', str(port), f'http://127.0.0.1:{gateway_port}/oauth2/callback', key, str(ttl)],
            cwd=NODE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise AssertionError('the provider did not start')

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class World:
    """A gateway and its issuer."""

    def __init__(self, ttl=600, config=CONFIG, ready=None):
        self.gateway = Gateway(config, ports=['ISSUER'], files={'secret': SECRET})
        try:
            self.issuer = Issuer(self.gateway.ports['ISSUER'], self.gateway.port, ttl=ttl)
            if ready:
                ready(self)
            else:
                self.keys_there()
        except BaseException:
            self.gateway.kill()
            raise

    def keys_there(self):
        """The gateway came first: it asks again for the document that it did not get."""
        wait_until(lambda: Browser(self).get('/').status == 303, 'the issuer is not known', 30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.issuer.stop()
        self.gateway.stop()


class Reply:
    def __init__(self, r):
        self.status, self.body = r.status, r.read().decode()
        self.location = r.getheader('location')
        self.challenge = r.getheader('www-authenticate')
        self.cookies = r.msg.get_all('set-cookie') or []

    def json(self):
        return json.loads(self.body)


class Browser:
    """Cookies by path, redirects one by one."""

    def __init__(self, world):
        self.port = world.gateway.port
        self.jar = {}

    def get(self, url, method='GET', headers=None, jar=True):
        u = urllib.parse.urlsplit(url if '://' in url.split('?')[0] else f'http://127.0.0.1:{self.port}{url}')
        cookies = '; '.join(f'{n}={v}' for (port, path, n), v in self.jar.items()
                            if port == u.port and u.path.startswith(path))
        all_headers = {'accept': 'text/html,*/*', **({'cookie': cookies} if cookies and jar else {}),
                       **(headers or {})}
        c = http.client.HTTPConnection('127.0.0.1', u.port, timeout=20)
        c.request(method, u.path + ('?' + u.query if u.query else ''), headers=all_headers)
        reply = Reply(c.getresponse())
        c.close()
        for text in reply.cookies:
            for m in http.cookies.SimpleCookie(text).values():
                key = (u.port, m['path'] or '/', m.key)
                if m['max-age'] == '0' or not m.value:
                    self.jar.pop(key, None)
                else:
                    self.jar[key] = m.value
        return reply

    def to_callback(self, url):
        """From a page of the site to the issuer and through its pages, up to where it sends us back."""
        reply, at = self.get(url), url
        for _ in range(12):
            if reply.status in (302, 303):
                at = urllib.parse.urljoin(at, reply.location)
                if '/oauth2/callback' in at.split('?')[0]:
                    return at
                reply = self.get(at)
                continue
            form = re.search(r'action="([^"]+)"', reply.body)
            assert form, f'{at}: {reply.status} {reply.body[:300]}'
            at = urllib.parse.urljoin(at, form.group(1))
            reply = self.get(at, 'POST')
        raise AssertionError('no way back')

    def log_in(self, url='/page?x=1'):
        reply = self.get(self.to_callback(url))
        equal(reply.status, 303, reply.body)
        return reply

    def get_cookie(self):
        return '; '.join(f'{n}={v}' for n, v in self.session.items())

    @property
    def session(self):
        return {n: v for (port, _, n), v in self.jar.items() if port == self.port}


@test
def a_login_from_page_to_page():
    with World() as w:
        b = Browser(w)
        first = Browser(w).get('/page?x=1')
        equal(first.status, 303)
        for part in ('response_type=code', 'code_challenge_method=S256', 'state=', 'nonce=', 'scope=openid%20email'):
            contains(first.location, part)
        contains(first.cookies[0], 'HttpOnly; SameSite=Lax')
        back = b.log_in()
        equal(back.location, '/page?x=1', 'where it wanted to go')
        page = b.get(back.location, headers={'cookie': b.get_cookie() + '; theme=dark'}).json()
        equal((page['sub'], page['user'], page['path'], page['q']), ('anna', 'anna', '/page', '1'))
        equal((page['nonce'], page['cookie']), (False, 'theme=dark'), 'what the service sees')
        equal([n for n in b.session if 'login' in n], [], 'the login cookie is gone')


@test(['h1', 'h2'])
def both_protocols(kind):
    with World() as w:
        b = Browser(w)
        b.log_in()
        with connect(kind, w.gateway.port, None) as c:
            a = c.request('GET', '/x', [('cookie', b.get_cookie())])
            equal((a.status, json.loads(a.body)['user']), (200, 'anna'))
            a = c.request('GET', '/x', [('accept', 'text/html')])
            equal(a.status, 303)
            a = c.request('GET', '/x', [('accept', 'application/json')])
            equal((a.status, a.header('www-authenticate')), (401, 'Cookie realm="site"'))
            a = c.request('POST', '/x', [('accept', 'text/html')], b'a=b')
            equal(a.status, 401, 'a form that is posted is not lost on the way')


@test
def callbacks_that_prove_nothing():
    with World() as w:
        b = Browser(w)
        url = b.to_callback('/')
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))

        def ask(jar=True, who=b, **changes):
            q = {k: v for k, v in {**query, **changes}.items() if v is not None}
            return who.get('/oauth2/callback?' + urllib.parse.urlencode(q), jar=jar)
        kept = dict(b.jar)
        for name, changes in {'no state': {'state': None}, 'another state': {'state': 'x' * 43},
                              'a foreign issuer': {'iss': 'http://evil.test'}, 'no issuer': {'iss': None}, 'no code': {'code': None},
                              'a code made up': {'code': 'x' * 43}, 'an error': {'error': 'access_denied'}}.items():
            b.jar = dict(kept)
            r = ask(**changes)
            equal((r.status, r.json()['code']), (400, 'login_failed'), name)
            if name not in ('no state', 'another state'):  # the state is used up: begin anew
                url = b.to_callback('/')
                query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
                kept = dict(b.jar)
        b.jar = dict(kept)
        equal(ask(jar=False).status, 400, 'another browser')
        b.jar = dict(kept)
        good = ask()
        equal(good.status, 303, good.body)
        session = dict(b.jar)
        b.jar = dict(kept)  # with the login cookie once more
        equal(ask().status, 400, 'replayed')
        b.jar = session
        equal(b.get('/').status, 200)


@test(['//evil.test/', '/%2F/evil.test', '/\\evil.test', '/a//b?x=//evil'])
def the_way_back_stays_here(path):
    with World() as w:
        b = Browser(w)
        first = b.get(path)
        if first.status == 400:
            return  # refused before anything
        reply = b.log_in(path)
        equal(reply.location[:1], '/')
        assert reply.location[:2] not in ('//', '/\\'), reply.location


@test
def sessions_that_were_changed():
    with World() as w:
        b = Browser(w)
        b.log_in()
        value = b.session['sluice-session']
        for changed in (value[:-1] + ('A' if value[-1] != 'A' else 'B'), value[:40] + value[41:], '1.', '9.x',
                        '1.' + 'A' * 400, '4' + value[1:], value + '=', 'x' * 3000):
            r = b.get('/', headers={'cookie': f'sluice-session={changed}'}, jar=False)
            equal(r.status, 303, changed[:20])
        r = b.get('/', headers={'cookie': f'sluice-session-1={value}'}, jar=False)
        equal(r.status, 303, "another cookie's name")


@test
def sessions_are_renewed():
    """Tokens that live 11 s are renewed after one; who comes at the same time with the old session gets the new one."""
    with World(ttl=11) as w:
        b = Browser(w)
        b.log_in()
        old = b.get_cookie()
        wait_until(lambda: any('sluice-session=' in c for c in b.get('/').cookies), 'never renewed', 10)
        new = b.get_cookie()
        assert new != old
        found = []

        def again(cookie):
            r = Browser(w).get('/', headers={'cookie': cookie})
            found.append((r.status, any('sluice-session=' in c for c in r.cookies)))
        threads = [threading.Thread(target=again, args=(old,)) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        equal(set(found), {(200, True)}, 'the old session, eight times at once')
        equal(b.get('/').status, 200)


@test
def an_issuer_that_is_busy_ends_no_session():
    with World(ttl=11) as w:
        b = Browser(w)
        b.log_in()
        statuses = set()

        def refused():
            statuses.add(b.get('/').status)
            return ask_issuer(w, '/test/busy')[1]['refused'] > 0
        wait_until(refused, 'a renewal was never tried', 10)
        equal((statuses, b.get('/').status), ({200}, 200))
        ask_issuer(w, '/test/idle')
        wait_until(lambda: any('sluice-session=' in c for c in b.get('/').cookies), 'never renewed', 10)


@test
def logout():
    with World() as w:
        b = Browser(w)
        b.log_in()
        equal(b.get('/oauth2/logout', headers={'sec-fetch-site': 'cross-site'}).status, 403)
        r = b.get('/oauth2/logout')
        equal(r.status, 303)
        contains(r.location, '/session/end?')
        contains(r.location, 'client_id=shop')
        equal(b.session, {})
        equal(b.get('/').status, 303)


@test
def another_key_and_no_issuer():
    with World() as w:
        b = Browser(w)
        b.log_in()
        waiting = Browser(w)
        callback = waiting.to_callback('/')
        w.issuer.stop()
        equal(b.get('/').status, 200, 'a session needs no issuer')
        r = waiting.get(callback)
        equal((r.status, r.json()['code']), (503, 'auth_unavailable'))
        w.issuer = Issuer(w.issuer.port, w.gateway.port, key='second')

        def newcomer():
            """Until the issuer may be asked once more (10 s after its last fetch) its new key is not known."""
            other = Browser(w)
            r = other.get(other.to_callback('/'))
            assert r.status == 303 or r.json()['code'] == 'login_failed', r.body
            return r.status == 303 and other.get('/').json()['user']
        equal(wait_until(newcomer, 'the new key was never learned', 40), 'anna')


# ---- tokens of the same provider -----------------------------------------------------------------

TOKENS = """
version: 1
listeners: {public: {address: "127.0.0.1:@PORT@"}}
admin: {address: "127.0.0.1:@ADMIN@"}
workers: 1
authenticators:
  opaque:
    introspection:
      url: "http://127.0.0.1:@ISSUER@/token/introspection"
      client_id: shop
      client_secret: "${secret('file:secret')}"
      cache: 0s
      cache_refused: 0s
  signed: {jwt: {issuer: "http://127.0.0.1:@ISSUER@", audience: shop}}
  strict: {jwt: {issuer: "http://127.0.0.1:@ISSUER@", audience: another}}
services:
  behind:
    endpoints: ["%s"]
    credentials:
      client_credentials:
        url: "http://127.0.0.1:@ISSUER@/token"
        client_id: shop
        client_secret: "${secret('file:secret')}"
routes:
  - {match: {path: /opaque}, authenticate: opaque, respond: {body: {client: "${claim.client_id}"}}}
  - {match: {path: /signed}, authenticate: signed, respond: {body: {sub: "${claim.sub}"}}}
  - {match: {path: /strict}, authenticate: strict, respond: {body: {sub: "${claim.sub}"}}}
  - {match: {path: /behind}, to: behind}
"""


def ask_issuer(w, path, **form):
    """As the client "shop": the status and the answer's JSON."""
    c = http.client.HTTPConnection('127.0.0.1', w.issuer.port, timeout=20)
    name = base64.b64encode(f'shop:{SECRET}'.encode()).decode()
    c.request('POST', path, urllib.parse.urlencode(form),
              {'content-type': 'application/x-www-form-urlencoded', 'authorization': f'Basic {name}'})
    r = c.getresponse()
    body = r.read()
    c.close()
    return r.status, json.loads(body) if body else None


def with_token(w, path, token):
    return Browser(w).get(path, headers={'authorization': f'Bearer {token}', 'accept': '*/*'})


def tokens_of_a_login(w):
    """What a program gets that leads a person through the same login: an id_token and an access token."""
    verifier = secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip('=')
    back = f'http://127.0.0.1:{w.gateway.port}/oauth2/callback'
    at = Browser(w).to_callback(f'http://127.0.0.1:{w.issuer.port}/auth?' + urllib.parse.urlencode({
        'client_id': 'shop', 'response_type': 'code', 'scope': 'openid email', 'redirect_uri': back,
        'code_challenge': challenge, 'code_challenge_method': 'S256', 'state': 'x', 'nonce': 'y'}))
    code = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(at).query))['code']
    status, answer = ask_issuer(w, '/token', grant_type='authorization_code', code=code, redirect_uri=back,
                                code_verifier=verifier)
    equal(status, 200, answer)
    return answer


def tokens_world(service):
    return World(config=TOKENS % service.address, ready=lambda w: None)


@test
def opaque_tokens_are_asked_about():
    with Upstream() as service, tokens_world(service) as w:
        status, given = ask_issuer(w, '/token', grant_type='client_credentials')
        equal(status, 200, given)
        token = given['access_token']
        assert '.' not in token, 'it says nothing by itself'
        r = with_token(w, '/opaque', token)
        equal((r.status, r.body), (200, '{"client":"shop"}'))
        for made_up in ('x' * len(token), token[:-1], token + 'x'):
            r = with_token(w, '/opaque', made_up)
            equal((r.status, r.json()['code']), (401, 'token_inactive'), made_up)
        equal(ask_issuer(w, '/token/revocation', token=token)[0], 200)
        r = with_token(w, '/opaque', token)
        equal((r.status, r.json()['code']), (401, 'token_inactive'), 'revoked')
        r = with_token(w, '/opaque', ask_issuer(w, '/token', grant_type='client_credentials')[1]['access_token'])
        equal(r.status, 200, 'another one')
        w.issuer.process.terminate()
        w.issuer.process.wait()
        equal(with_token(w, '/opaque', token).status, 503, 'nobody can be asked')


@test
def services_get_a_token_of_the_provider():
    with Upstream() as service, tokens_world(service) as w:
        equal(with_token(w, '/behind', 'of-the-client').status, 200)
        equal(with_token(w, '/behind', 'of-the-client').status, 200)
        shown = [r.all('authorization') for r in service.requests]
        equal([len(s) for s in shown], [1, 1])
        equal(shown[0], shown[1], 'kept until it expires')
        kind, _, token = shown[0][0].partition(' ')
        equal(kind, 'Bearer')
        status, says = ask_issuer(w, '/token/introspection', token=token)
        equal((status, says['active'], says['client_id']), (200, True, 'shop'))


@test
def signed_tokens_by_discovery():
    with Upstream() as service, tokens_world(service) as w:
        given = tokens_of_a_login(w)
        token = given['id_token']
        wait_until(lambda: with_token(w, '/signed', token).status != 503, 'the keys never came', 30)
        r = with_token(w, '/signed', token)
        equal((r.status, r.body), (200, '{"sub":"anna"}'))
        head, body, signature = token.split('.')
        wrong = signature[:20] + ('A' if signature[20] != 'A' else 'B') + signature[21:]
        claims = json.loads(base64.urlsafe_b64decode(body + '=' * (-len(body) % 4)))
        forged = base64.urlsafe_b64encode(json.dumps({**claims, 'sub': 'otto'}).encode()).decode().rstrip('=')
        for what, path, other, code in (
                ('the signature', '/signed', f'{head}.{body}.{wrong}', 'jwt_signature'),
                ('the claims', '/signed', f'{head}.{forged}.{signature}', 'jwt_signature'),
                ('the audience', '/strict', token, 'jwt_audience'),
                ('an opaque one', '/signed', given['access_token'], 'jwt_format')):
            r = with_token(w, path, other)
            equal((r.status, r.json()['code']), (401, code), what)


@test
def chromium():
    browser = shutil.which('chromium')
    if not browser:
        skip('chromium is not there: tools/packages test')
    with World() as w, tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [browser, '--headless=new', '--no-sandbox', '--disable-gpu', f'--user-data-dir={home}',
             '--virtual-time-budget=20000', '--dump-dom', f'http://127.0.0.1:{w.gateway.port}/page?x=7'],
            capture_output=True, text=True, timeout=90, check=False)
        contains(done.stdout, '"user":"anna"')
        contains(done.stdout, '"q":"7"')


run()
