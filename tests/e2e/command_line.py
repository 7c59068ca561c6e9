"""The command line: usage, exit codes, formats, explain and routes, patches and includes."""
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'lib'))
import gateway
from tap import add, contains, equal, test
from tap import run as run_tests

SHOP = os.path.join(ROOT, 'examples', 'shop', 'sluice.yaml')
gateway.dev_certificates()
BASE = '''version: 1
listeners: {public: {address: 127.0.0.1:8080}, other: {address: 127.0.0.1:8081}}
services: {a: 127.0.0.1:7001, b: {endpoints: [127.0.0.1:7002], host: b.internal}}
'''


def sluice(*arguments, cwd=ROOT, env=None):
    done = gateway.run(*arguments, cwd=cwd, env=env)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


# Arguments, exit code, a part of what is said.
USAGE = [
    ([], 2, 'usage: sluice COMMAND'),
    (['--version'], 0, 'sluice '),
    (['--help'], 0, 'explain'),
    (['help'], 0, 'check'),
    (['help', 'check'], 0, '--format'),
    (['help', 'e0112'], 0, 'unknown key'),
    (['help', 'E9999'], 1, 'no command and no code'),
    (['chek'], 2, 'did you mean `check`'),
    (['-c', 'x.yaml', 'check'], 2, 'the command comes first'),
    (['check', '--frmat', 'json'], 2, 'did you mean `--format`'),
    (['check', '--format', 'xml'], 2, 'text, json or sarif'),
    (['routes', '--format', 'sarif'], 2, 'text or json'),
    (['check', '-c'], 2, 'wants a value'),
    (['check', 'file.yaml'], 2, 'does not take'),
    (['check', '--no-supervisor'], 2, 'no option'),
    (['status', '--run-dir', '/run'], 2, 'no option'),
    (['run', '--help'], 0, 'as shipped 1s'),
    (['run', '--workers', 'many'], 2, 'a number from 1 to 512'),
    (['run', '--workers=0'], 2, 'a number from 1 to 512'),
    (['run', '--no-supervisor=1'], 2, 'takes no value'),
    (['explain', 'GET'], 2, 'wants METHOD URL'),
    (['explain', 'GET', 'nonsense', '-c', SHOP], 2, 'no URL'),
    (['explain', 'GET', '/', '-H', 'nonsense', '-c', SHOP], 2, "'Name: value'"),
    (['explain', 'GET', '/', '--listener', 'x', '-c', SHOP], 2, 'no listener'),
    (['eval'], 2, 'wants an expression'),
    (['eval', '1', '2'], 2, 'does not take `2`'),
    (['eval', '1', '--cases', 'x.jsonl'], 2, 'brings its expressions'),
    (['eval', '1', '--wiht', 'x.json'], 2, 'did you mean `--with`'),
    (['eval', '-x'], 2, 'no option `-x`'),
    (['eval', '--format', 'sarif', '1'], 2, 'text or json'),
    (['eval', '--cases', '/nonexistent.jsonl'], 1, 'there is no such file'),
    (['schema', 'x'], 2, 'does not take'),
    (['check', '-c', '/nonexistent/x.yaml'], 78, 'E0101'),
    (['run', '-c', '/nonexistent/x.yaml'], 78, 'E0101'),
    (['routes', '-c', '/nonexistent/x.yaml'], 78, 'E0101'),
    (['explain', 'GET', '/', '-c', '/nonexistent/x.yaml'], 78, 'E0101'),
    (['check', '-c', '/'], 78, 'directory'),
]


def usage(arguments, code, part):
    got, out, err = sluice(*arguments)
    equal(got, code, out + err)
    contains(out + err, part)


for row in USAGE:
    add('usage: sluice ' + ' '.join(row[0]).replace(ROOT, ''), usage, *row)


@test(['run', 'check', 'explain', 'routes', 'schema', 'reload', 'status', 'help'])
def has_help(command):
    code, out, _ = sluice(command, '--help')
    equal(code, 0)
    contains(out, f'usage: sluice {command}')


@test
def without_a_file_the_usual_places_are_named():
    with tempfile.TemporaryDirectory() as folder:
        code, _, err = sluice('check', cwd=folder)
        if not os.path.exists('/etc/sluice/sluice.yaml'):
            equal(code, 78)
            contains(err, '/etc/sluice/sluice.yaml')
        with open(os.path.join(folder, 'sluice.yaml'), 'w', encoding='utf-8') as f:
            f.write(BASE + 'routes: [{match: {path: /}, to: a}, {match: {path: /b}, to: b}]\n')
        code, out, _ = sluice('check', cwd=folder)
        equal((code, out), (0, 'sluice.yaml is fine: 2 listeners, 2 services, 2 routes\n'))


def files(**texts):
    folder = tempfile.TemporaryDirectory()
    for name, text in texts.items():
        path = os.path.join(folder.name, name.replace('__', '/') + '.yaml')
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
    return folder


def open_file(link):
    try:
        return os.readlink(link)
    except FileNotFoundError:  # closed meanwhile
        return ''


@test
def a_configuration_by_a_slow_pipe():
    with subprocess.Popen([gateway.binary(), 'check', '-c', '/dev/stdin'], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as p:
        fds = f'/proc/{p.pid}/fd'
        gateway.wait_until(lambda: any('eventpoll' in open_file(f'{fds}/{n}') for n in os.listdir(fds)), 'it waits')
        for part in (BASE[:30], BASE[30:], 'routes: [{match: {path: /}, to: [a, b]}]\n'):
            p.stdin.write(part.encode())
            p.stdin.flush()
        out, _ = p.communicate(timeout=60)
        equal((p.returncode, out), (0, b'/dev/stdin is fine: 2 listeners, 2 services, 1 route\n'))


@test
def json_and_sarif():
    with files(x=BASE + 'nonsens: 1\nroutes: [{match: {path: /}, to: [a, b]}]\n') as folder:
        code, out, _ = sluice('check', '-c', 'x.yaml', '--format', 'json', cwd=folder)
        told = json.loads(out)
        equal(code, 78)
        equal((told['errors'], told['warnings']), (1, 0))
        d = told['diagnostics'][0]
        equal((d['code'], d['file'], d['line'], d['column'], d['length']), ('E0112', 'x.yaml', 4, 1, 7))
        code, out, _ = sluice('check', '-c', 'x.yaml', '--format', 'sarif', cwd=folder)
        run = json.loads(out)['runs'][0]
        equal(run['results'][0]['ruleId'], 'E0112')
        region = run['results'][0]['locations'][0]['physicalLocation']['region']
        equal((region['startLine'], region['startColumn'], region['endColumn']), (4, 1, 8))
        assert 'E0112' in [r['id'] for r in run['tool']['driver']['rules']]


def explain(folder, *arguments, listener=None):
    code, out, err = sluice('explain', *arguments, '--format', 'json', '-c', 'x.yaml', cwd=folder)
    equal(code, 0, err)
    return json.loads(out)


EXPLAINED = BASE + '''
policies: {slow: {request_timeout: 9s}}
defaults: {max_body: 64KiB}
routes:
  - match: {path: /api}
    use: slow
    routes:
      - name: item
        match: {path: "/items/{id}", method: [GET, POST], header: {x-v: "2"}}
        to: b
        rewrite: "/i/${path.id}"
      - {name: all, match: {path: /items/*}, to: a, rewrite: {strip: /api}, request_timeout: 2s}
  - {name: hello, match: {path: /hello}, respond: "hello ${query.name}"}
  - {name: moved, match: {path: "/old/{x}"}, redirect: "/new/${path.x}"}
'''


@test
def a_secret_is_not_printed():
    text = BASE + 'vars: {t: "Bearer ${secret(\'file:key.yaml\')}"}\n' \
        'routes:\n' \
        '  - {match: {path: /, header: {authorization: "${vars.t}"}}, to: a}\n' \
        '  - {match: {path: /r, query: {k: "~ ^${secret(\'file:key.yaml\')}"}}, to: a}\n'
    text += '  - {match: {path: /w}, to: a, rewrite: "/x/${secret(\'file:key.yaml\')}"}\n' \
        '  - {match: {path: /s}, respond: {body: "a ${vars.t} b ${secret(\'file:key.yaml\')}"}}\n'
    with files(x=text, key='hidden-key') as folder:
        for more in (['explain', 'GET', '/w'], ['explain', 'GET', '/s'], ['explain', 'GET', '/s', '--format', 'json'],
                     ['routes'], ['routes', '--format', 'json'], ['explain', 'GET', '/'], ['explain', 'GET', '/r'],
                     ['explain', 'GET', '/', '--format', 'json']):
            code, out, err = sluice(*more, '-c', 'x.yaml', cwd=folder)
            equal((code, err), (0, ''))
            assert 'hidden-key' not in out, out
            contains(out, '***')


@test
def explain_names_the_listener_that_a_route_wants():
    with files(x=BASE + 'routes: [{name: r, match: {path: /, listener: [other]}, to: a}]\n') as folder:
        rejected = explain(folder, 'GET', '/', '--listener', 'public')['rejected'][0]
        equal((rejected['condition'], rejected['wanted']), ('listener', 'other'), rejected)


@test
def explains_options_of_the_gateway_itself():
    with files(x=EXPLAINED) as folder:
        e = explain(folder, 'OPTIONS', '*')
        equal((e.get('route'), e['answer']['status']), (None, 204), e)


@test
def explains_the_upstream_request():
    with files(x=EXPLAINED) as folder:
        e = explain(folder, 'GET', 'http://shop.example/api/items/a%2Fb?q=1'.replace('%2F', '%20'),
                    '-H', 'X-V: 2', '-H', 'Connection: x-drop', '-H', 'X-Drop: 1', '-H', 'X-Keep: 1')
        equal(e['route']['name'], 'item')
        equal((e['route']['file'], e['route']['line']), ('x.yaml', 11))
        up = e['upstream']
        equal((up['service'], up['method'], up['target']), ('b', 'GET', '/i/a%20b?q=1'))
        headers = {name.lower(): value for name, value in up['headers']}
        equal(headers['host'], 'b.internal')
        equal(headers['x-keep'], '1')
        assert 'x-drop' not in headers and 'connection' not in headers
        equal(headers['x-forwarded-host'], 'shop.example')
        settings = {s['name']: (s['value'], s['origin'], s.get('line')) for s in e['settings']}
        equal(settings['request_timeout'], ('9s', 'policies.slow', 5))
        equal(settings['max_body'], ('64KiB', 'defaults', 6))
        equal(settings['rewrite'][1:], ('route', 14))
        why = {r['route']: (r['condition'], r['line']) for r in e['rejected']}
        equal(why['hello'], ('path', 16))
        equal(why['all'], ('outranked', 15))


@test
def explains_why_a_route_was_rejected():
    with files(x=EXPLAINED) as folder:
        e = explain(folder, 'DELETE', '/api/items/7')
        equal(e['route']['name'], 'all')
        why = {r['route']: (r['condition'], r['wanted'], r['line']) for r in e['rejected']}
        equal(why['item'][0], 'method')
        equal(why['item'][2], 12)
        e = explain(folder, 'GET', '/api/items/7', '-H', 'X-V: 1')
        why = {r['route']: r['condition'] for r in e['rejected']}
        equal(why['item'], 'header')
        equal({s['name']: s['value'] for s in e['settings']}['request_timeout'], '2s')


CONDITIONS = BASE + '''
authenticators: {keys: {api_key: {in: header, name: X-API-Key}, headers: {X-User: "${claim.sub}"}}}
consumers: [{name: acme, groups: [beta], keys: ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]}]
routes:
  - {name: small, match: {path: "/o/{id}", when: 'int(path.id) < 10'}, respond: small}
  - name: order
    match: {path: "/o/{id}"}
    authenticate: keys
    rewrite: {path: "/x/${claim.sub}", when: '"beta" in consumer.groups'}
    to: {targets: [{service: b, when: 'claim.admin'}, {service: a}]}
'''


@test
def explains_what_conditions_come_to():
    with files(x=CONDITIONS, claims='{"sub": "u 1", "admin": true}') as folder:
        def asked(path, *more):
            e = explain(folder, 'GET', path, *more)
            return e, {r['route']: (r['condition'], r['wanted'], r['line']) for r in e['rejected']}
        equal(asked('/o/7')[0]['route']['name'], 'small')
        equal(asked('/o/70')[1]['small'], ('when', 'int(path.id) < 10', 8))
        contains(asked('/o/x')[1]['small'][1], 'which fails: ')
        nobody, _ = asked('/o/70')
        contains(nobody['conditions'][0]['result'], '--claims')
        equal(nobody['answer']['code'], 'expression_failed')
        acme, _ = asked('/o/70', '--consumer', 'acme')
        equal((acme['conditions'][0]['result'], acme['conditions'][0]['runs']), ('true', 'yes'))
        equal((acme['upstream']['service'], acme['upstream']['target']), ('a', '/x/acme'))
        someone, _ = asked('/o/70', '--claims', 'claims.yaml')
        equal((someone['conditions'][0]['result'], someone['conditions'][0]['runs']), ('false', 'no'))
        equal((someone['upstream']['service'], someone['upstream']['target']), ('b', '/o/70'))
        equal(dict(someone['upstream']['headers'])['x-user'], 'u 1')
        code, out, _ = sluice('explain', 'GET', '/o/70', '--claims', 'claims.yaml', '-c', 'x.yaml', cwd=folder)
        contains(out, 'when: false; so it is skipped')
        contains(out, '(its `when` holds)')
        for wrong, status, said in (('--consumer=nobody', 2, 'no consumer'), ('--claims=x.yaml', 1, 'x.yaml:1:1'),
                                    ('--claims=none.json', 1, 'none.json')):
            code, out, err = sluice('explain', 'GET', '/o/70', wrong, '-c', 'x.yaml', cwd=folder)
            equal(code, status, err)
            contains(err, said)


@test
def a_secret_is_not_printed_by_way_of_an_expression():
    text = BASE + 'vars: {t: "${secret(\'file:key.yaml\')}"}\n' \
        'routes:\n' \
        '  - {match: {path: "/w/{id}"}, to: a, rewrite: "/x/${vars.t + path.id}"}\n' \
        '  - {match: {path: /s}, respond: {body: "a ${vars.t.upperAscii()}"}}\n'
    with files(x=text, key='hidden-key') as folder:
        for more in (['explain', 'GET', '/w/1'], ['explain', 'GET', '/s'], ['explain', 'GET', '/s', '--format', 'json']):
            code, out, err = sluice(*more, '-c', 'x.yaml', cwd=folder)
            equal((code, err), (0, ''))
            assert 'hidden-key' not in out.lower(), out
            contains(out, '***')


@test
def explains_answers_of_the_gateway():
    with files(x=EXPLAINED) as folder:
        equal(explain(folder, 'GET', '/hello?name=you')['answer']['body'], 'hello you')
        equal(explain(folder, 'GET', '/old/a%2f', )['answer']['status'], 400)
        moved = explain(folder, 'GET', 'http://h.example/old/1')['answer']
        equal(moved['status'], 308)
        contains(moved['location'], '/new/1')
        none = explain(folder, 'GET', '/nothing')
        equal((none['answer']['status'], none['answer']['code']), (404, 'no_route'))
        assert 'route' not in none and len(none['rejected']) == 4
        equal(explain(folder, 'GET', '/a/../../x')['answer']['status'], 400)
        big = explain(folder, 'POST', '/api/items/7', '-H', 'X-V: 2', '-d', 'x' * 70000)
        equal(big['answer']['code'], 'body_too_large')


@test
def lists_routes():
    code, out, _ = sluice('routes', '-c', SHOP)
    equal(code, 0)
    contains(out, '/api/products/{id}')
    code, out, _ = sluice('routes', '-c', SHOP, '--format', 'json')
    routes = {r['name']: r for r in json.loads(out)}
    equal(routes['product']['methods'], ['GET', 'HEAD'])
    equal(routes['orders-beta']['headers'][0]['name'], 'x-beta')


@test
def patches_and_includes():
    with files(x=BASE + 'include: [parts/*.yaml]\nroutes: [{name: one, match: {path: /}, to: a}]\n',
               parts__b='routes: [{name: two, match: {path: /two}, to: b}]\nservices: {c: 127.0.0.1:1}\n',
               prod='routes: [{name: two, match: {host: prod.example}}]\nservices: {c: null}\n') as folder:
        code, out, err = sluice('routes', '-c', 'x.yaml', '-c', 'prod.yaml', '--format', 'json', cwd=folder)
        equal(code, 0, err)
        routes = {r['name']: r for r in json.loads(out)}
        equal(routes['two']['hosts'], ['prod.example'])
        equal(routes['two']['paths'], ['/two'])
        assert routes['two']['file'] in ('prod.yaml', 'parts/b.yaml')


@test
def errors_of_included_files_name_them():
    with files(x=BASE + 'include: [parts/*.yaml]\nlimits: {header_count_max: 50}\n',
               parts__b='services: {a: 127.0.0.1:1}\nlimits: {}\nnonsense: 1\n') as folder:
        code, out, _ = sluice('check', '-c', 'x.yaml', '--format', 'json', cwd=folder)
        equal(code, 78)
        told = {d['code']: d for d in json.loads(out)['diagnostics']}
        equal(told['E0116']['file'], 'parts/b.yaml')
        equal(told['E0116']['notes'][0]['file'], 'x.yaml')
        equal(told['E0120']['file'], 'parts/b.yaml')
        equal((told['E0112']['file'], told['E0112']['line']), ('parts/b.yaml', 3))


@test
def includes_in_a_loop_and_too_deep():
    with files(x=BASE + 'include: a.yaml\n', a='include: b.yaml\n', b='include: a.yaml\n') as folder:
        code, out, _ = sluice('check', '-c', 'x.yaml', cwd=folder)
        equal(code, 78)
        contains(out, 'includes itself, by a loop')
    deep = {f'f{i}': f'include: f{i + 1}.yaml\n' for i in range(10)}
    with files(x=BASE + 'include: f0.yaml\n', f10='vars: {}\n', **deep) as folder:
        code, out, _ = sluice('check', '-c', 'x.yaml', cwd=folder)
        equal(code, 78)
        contains(out, 'nested too deeply')


@test
def secrets_are_never_printed():
    text = BASE + '''
routes:
  - {name: s, match: {path: /s}, to: [a, b], rewrite: "/x?token=${secret('env:TOKEN')}"}
  - {name: t, match: {path: /t}, to: a, request_timeout: "${secret('env:TOKEN')}"}
'''
    with files(x=text) as folder:
        code, out, err = sluice('check', '-c', 'x.yaml', cwd=folder, env={'TOKEN': 'hunter2hunter2'})
        equal(code, 78)
        contains(out, '***')
        assert 'hunter2' not in out + err
    with files(x=text.replace("request_timeout: \"${secret('env:TOKEN')}\"", 'max_body: 1B')) as folder:
        code, out, err = sluice('explain', 'GET', '/t', '-c', 'x.yaml', cwd=folder,
                                env={'TOKEN': 'hunter2hunter2'})
        equal(code, 0, err)
        assert 'hunter2' not in out


RUNNING = '''
version: 1
listeners:
  public: {address: "127.0.0.1:@PORT@", limits: {header_count_max: 10, encoded_slash: keep}}
  plain: {address: "127.0.0.1:@PORT2@", redirect: https}
services: {a: 127.0.0.1:1}
routes:
  - {match: {path: "/x/{id}"}, respond: "id ${path.id}"}
  - {match: {path: /a}, to: a}
'''


@test
def limits_of_a_listener_are_in_force():
    with gateway.Gateway(RUNNING.replace('@PORT2@', str(gateway.free_port()))) as gw:
        many = ''.join(f'x-{i}: 1\r\n' for i in range(12)).encode()
        with gw.client() as c:
            answer = c.request(b'GET /x/1 HTTP/1.1\r\nHost: h\r\n' + many + b'\r\n')
        equal(answer.status, 431)
        with gw.client() as c:
            equal(c.request(b'GET /x/a%2Fb HTTP/1.1\r\nHost: h\r\n\r\n').status, 200)


@test
def a_listener_that_only_redirects():
    port = gateway.free_port()
    with gateway.Gateway(RUNNING.replace('@PORT2@', str(port))) as gw:
        with gw.client(port) as c:
            answer = c.request(b'GET /x/1?q=2 HTTP/1.1\r\nHost: shop.example\r\n\r\n')
        assert answer.status in (301, 308), answer.status
        equal(answer.header('location'), 'https://shop.example/x/1?q=2')


@test([('true', 200), ('false', 404)])
def metrics_can_be_turned_off(row):
    word, status = row
    port = gateway.free_port()
    text = RUNNING.replace('@PORT2@', str(gateway.free_port()))
    with gateway.Gateway(text + f'admin: 127.0.0.1:{port}\nmetrics: {word}\n') as gw:
        with gw.client(port) as c:
            equal(c.request(b'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n').status, status)


run_tests()
