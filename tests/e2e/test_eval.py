#!/usr/bin/env python3
"""sluice eval: values as people and programs see them, names from a file, errors with their place, files of cases."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
import gateway
from tap import contains, equal, run, test

TOKEN = {'claim': {'sub': 'u1', 'roles': ['admin', 'dev'], 'exp': 1764070000, 'balance': 9007199254740993,
                   'nested': {'a': [1, 2.50, None, True]}},
         'request': {'method': 'GET', 'path': '/a'}, 'no-identifier': 1}


def sluice(*arguments, text=None):
    """Runs it in a folder with token.json and, if given, file.txt."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'token.json'), 'w', encoding='utf-8') as f:
            json.dump(TOKEN, f)
        if text is not None:
            with open(os.path.join(folder, 'file.txt'), 'wb') as f:
                f.write(text if isinstance(text, bytes) else text.encode())
        done = gateway.run(*arguments, cwd=folder)
        return done.returncode, done.stdout.decode(), done.stderr.decode()


@test([
    ('1 + 2', '3'),
    ('-1', '-1'),
    ('1.0', '1.0'),
    ('"a" + "b\\n"', '"ab\\n"'),
    ('[1, "x", null, true]', '[1, "x", null, true]'),
    ('{"a": {"b": [1]}}', '{"a": {"b": [1]}}'),
    ('b"\\xff\\x00a"', 'b"\\xff\\x00a"'),
    ('duration("90s") + duration("500ms")', 'duration("90.5s")'),
    ('timestamp("2009-02-13T23:31:30Z")', 'timestamp("2009-02-13T23:31:30Z")'),
    ('type(1u)', 'uint'),
    ('optional.none()', 'optional.none()'),
    ('optional.of([1])', 'optional.of([1])'),
    ('ip("10.0.0.1")', 'ip("10.0.0.1")'),
    ('cidr("10.0.0.0/8")', 'cidr("10.0.0.0/8")'),
    ('double("NaN")', 'double("NaN")'),
    ('"\\u001b[31m\\u009b"', '"\\u001b[31m\\u009b"'),
    ('["abc"].map(x, x.size())', '[3]'),
])
def prints(row):
    equal(sluice('eval', row[0]), (0, row[1] + '\n', ''))


@test([
    ('claim.sub', '"u1"'),
    ('claim.sub.startsWith("u") && "admin" in claim.roles', 'true'),
    ('request.method == "GET" && request.path != ""', 'true'),
    ('claim.balance', '9007199254740993'),
    ('claim.nested.a', '[1, 2.5, null, true]'),
    ('has(claim.plan) ? claim.plan : "free"', '"free"'),
    ('claim.exp + 1', '1764070001'),
])
def with_file(row):
    equal(sluice('eval', row[0], '--with', 'token.json'), (0, row[1] + '\n', ''))


@test
def what_json_can_say_is_json():
    code, out, _ = sluice('eval', 'claim', '--with', 'token.json')
    equal((code, json.loads(out)), (0, TOKEN['claim']))
    assert '\n  "sub": "u1"' in out, 'long values are indented'


@test([
    ('duration("1.5s")', {'type': 'google.protobuf.Duration', 'text': 'duration("1.5s")', 'value': '1.5s'}),
    ('1u', {'type': 'uint', 'text': '1', 'value': 1}),
    ('2.0', {'type': 'double', 'text': '2.0', 'value': 2}),
    ('b"\\xff"', {'type': 'bytes', 'text': 'b"\\xff"', 'value': '/w=='}),
    ('{"a": [1]}', {'type': 'map', 'text': '{"a": [1]}', 'value': {'a': [1]}}),
])
def format_json(row):
    code, out, err = sluice('eval', '--format', 'json', row[0])
    equal((code, json.loads(out), err), (0, row[1], ''))


# Expression, the first line of the message, and the line with the caret.
@test([
    ('1 +', 'expression:1:4: error[E0506]: ', '       |    ^'),
    ('foo.bar', 'expression:1:1: error[E0506]: ', '       | ^~~'),
    ('request.method = "GET"', 'expression:1:16: error[E0506]: ', '       |                ^'),
    ('"a" + 1', 'error[E0506]: ', None),
    ('"\u00e9\u00e9" + foo', 'expression:1:8: error[E0506]: ', '       |        ^~~'),
    ('1 / 0', 'error[E0507]: ', None),
    ('{"a": 1}.b', 'error[E0507]: ', None),
    ('"abc".matches("(")', 'error[E0506]: ', None),
    ('', 'error[E0506]: ', None),
])
def wrong(row):
    code, out, err = sluice('eval', row[0])
    equal((code, out), (1, ''))
    contains(err.split('\n')[0], row[1])
    if row[2]:
        equal(err.split('\n')[2], row[2])


@test
def wrong_on_the_second_line():
    code, _, err = sluice('eval', '1 +\n  foo')
    equal(code, 1)
    contains(err, 'expression:2:3: error[E0506]: ')
    contains(err, '     2 |   foo\n       |   ^~~\n')


@test
def wrong_as_json():
    code, out, err = sluice('eval', '1 / 0', '--format', 'json')
    answer = json.loads(out)
    equal((code, err, answer['errors'], answer['diagnostics'][0]['code']), (1, '', 1, 'E0507'))


@test([
    ('missing', None, 'no such file'),
    ('truncated', '{"a": [1, 2', 'file.txt:1:12: error[E0119]: '),
    ('second line', '{\n "a": 1,\n}', 'file.txt:3:1: error[E0119]: '),
    ('a list', '[1]', 'an object is expected'),
    ('latin1', b'{"a": "\xe9"}', 'file.txt:1:8: error[E0119]: '),
    ('deep', '{"a":' + '[' * 100000, 'too deep'),
])
def wrong_file(row):
    code, out, err = sluice('eval', '1', '--with', 'file.txt', text=row[1])
    equal((code, out), (1, ''))
    contains(err, row[2])


@test([
    ('work', '[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, '
             '[1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, a+b+c+d+e > 0)))))'),
    ('depth', '(' * 30000 + '1' + ')' * 30000),
    ('length', '1' + '+1' * 40000),
    ('lists', '[' * 5000 + ']' * 5000),
    ('not', '!' * 50000 + 'true'),
])
def bounded(row):
    code, out, err = sluice('eval', '--', row[1])
    equal((code, out), (1, ''))
    contains(err, 'error[E050')


CASES = [
    {'file': 'f', 'section': 's', 'name': 'sum', 'expr': '1 + 1', 'value': {'int': '2'}},
    {'name': 'types', 'expr': '[1u, 1.5, b"a", null, int, {1: "x"}]',
     'value': {'list': [{'uint': '1'}, {'double': '1.5'}, {'bytes': 'YQ=='}, {'null': None}, {'type': 'int'},
                        {'map': [[{'int': '1'}, {'string': 'x'}]]}]}},
    {'name': 'nan', 'expr': 'x', 'bindings': {'x': {'double': 'NaN'}}, 'value': {'double': 'NaN'}},
    {'name': 'order', 'expr': '{"a": 1, "b": 2}',
     'value': {'map': [[{'string': 'b'}, {'int': '2'}], [{'string': 'a'}, {'int': '1'}]]}},
    {'name': 'times', 'expr': '[timestamp("1970-01-01T00:00:01.5Z")]', 'value': {'list': [{'timestamp': [1, 500000000]}]}},
    {'name': 'duration', 'expr': 'duration("-1.5s")', 'value': {'duration': '-1.5s'}},
    {'name': 'fails', 'expr': '1 / 0', 'error': 'divide by zero'},
    {'name': 'fails early', 'expr': 'nothing', 'error': 'undeclared'},
    {'name': 'container', 'expr': 'y', 'container': 'x', 'bindings': {'x.y': {'bool': True}}, 'value': {'bool': True}},
    {'name': 'macros', 'expr': 'has(m.a)', 'bindings': {'m': {'map': []}}, 'value': {'bool': False}},
    {'name': 'late', 'expr': 'nothing || true', 'disable_check': True, 'value': {'bool': True}},
]
# None of these may pass.
WRONG = [
    {'name': 'value', 'expr': '1 + 1', 'value': {'int': '3'}},
    {'name': 'type', 'expr': '1 + 1', 'value': {'uint': '2'}},
    {'name': 'type of element', 'expr': '[1]', 'value': {'list': [{'double': '1'}]}},
    {'name': 'fewer', 'expr': '[1, 2]', 'value': {'list': [{'int': '1'}]}},
    {'name': 'key', 'expr': '{1: 1}', 'value': {'map': [[{'uint': '1'}, {'int': '1'}]]}},
    {'name': 'no error', 'expr': '1', 'error': 'division'},
    {'name': 'an error', 'expr': '1 / 0', 'value': {'int': '1'}},
    {'name': 'not compiled', 'expr': '1 +', 'value': {'int': '1'}},
    {'name': 'nanos', 'expr': 'duration("1.5s")', 'value': {'duration': '1.4s'}},
    {'name': 'no check', 'expr': 'nothing || true', 'value': {'bool': True}},
]
MALFORMED = ['{', '[]', '{"expr": "1"}', '{"expr": 1, "error": ""}', '{"expr": "1", "value": {"int": "1"}, "error": ""}',
             '{"expr": "1", "value": {"int": "1x"}}', '{"expr": "1", "value": {"strange": "1"}}', '{"expr": "1", "value": 1}',
             '{"expr": "1", "value": {"map": [[{"int": "1"}]]}}', '{"expr": "1", "bindings": 1, "value": {"int": "1"}}']


def lines(cases):
    return '\n'.join(c if isinstance(c, str) else json.dumps(c) for c in cases) + '\n'


@test
def cases_pass():
    equal(sluice('eval', '--cases', 'file.txt', text=lines(CASES)), (0, f'{len(CASES)} passed, 0 failed\n', ''))


@test
def cases_fail():
    code, out, err = sluice('eval', '--cases', 'file.txt', text=lines(CASES[:3] + WRONG))
    equal((code, err), (1, ''))
    equal(out.rstrip().split('\n')[-1], f'3 passed, {len(WRONG)} failed')
    for number, case in enumerate(WRONG, 4):
        contains(out, f'file.txt:{number}: {case["name"]}: {case["expr"]}\n')
    contains(out, '    expected 3\n    got      2\n')


@test(MALFORMED)
def malformed(row):
    code, out, _ = sluice('eval', '--cases', 'file.txt', text=lines([CASES[0], row]))
    equal(code, 1)
    contains(out, 'file.txt:2: ')
    contains(out, '1 passed, 1 failed\n')


@test
def cases_as_json():
    code, out, _ = sluice('eval', '--format', 'json', '--cases', 'file.txt', text=lines(CASES + WRONG[:1]))
    answer = json.loads(out)
    equal((code, answer['passed'], answer['failed']), (1, len(CASES), 1))
    equal(answer['failures'][0]['got'], '2')


@test
def no_cases_is_a_failure():
    code, out, err = sluice('eval', '--cases', 'file.txt', text='\n\n')
    equal((code, out), (1, '0 passed, 0 failed\n'))
    contains(err, 'no case')


@test
def from_a_pipe():
    done = subprocess.run([gateway.binary(), 'eval', 'a', '--with', '/dev/stdin'], input=b'{"a": 7}', timeout=20,
                          stdout=subprocess.PIPE, check=False)
    equal((done.returncode, done.stdout), (0, b'7\n'))


run()
