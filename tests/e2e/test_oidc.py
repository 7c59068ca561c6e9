#!/usr/bin/python3
"""Logging in with OpenID Connect: a real provider (npm oidc-provider), a client that does what browsers do, and
headless Chromium. THREATS.md F26; rotation of the issuer's key; the issuer gone."""
import http.client
import http.cookies
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Gateway, wait_until
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

    def __init__(self, ttl=600, config=CONFIG):
        self.gateway = Gateway(config, ports=['ISSUER'], files={'secret': SECRET})
        try:
            self.issuer = Issuer(self.gateway.ports['ISSUER'], self.gateway.port, ttl=ttl)
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
                              'a foreign issuer': {'iss': 'http://evil.test'}, 'no code': {'code': None},
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
        time.sleep(10)  # KEYS_APART_S: newer keys may be asked for once more
        w.issuer = Issuer(w.issuer.port, w.gateway.port, key='second')
        other = Browser(w)
        other.log_in()
        equal(other.get('/').json()['user'], 'anna', 'signed with a key that was not known')


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
