#!/usr/bin/python3
"""What the documents, the man page and the schema promise, held against the binary."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from certs import for_configuration, make_key
from gateway import ROOT, dev_certificates, run as sluice
from tap import contains, equal, run, skip, test

SHOP = os.path.join(ROOT, 'examples', 'shop', 'sluice.yaml')
dev_certificates()  # those that examples/shop names
# What meson calls a library, its word in docs/dependencies.md, and its package.
LIBRARIES = {'yaml-0.1': ('libyaml', 'libyaml-dev'), 'libpcre2-8': ('PCRE2', 'libpcre2-dev'),
             'libcares': ('c-ares', 'libc-ares-dev'), 'openssl': ('OpenSSL', 'libssl-dev'),
             'libnghttp2': ('nghttp2', 'libnghttp2-dev'),
             'libxcrypt': ('libcrypt', 'libcrypt-dev'), 'libargon2': ('libargon2', 'libargon2-dev'),
             'sqlite3': ('SQLite', 'libsqlite3-dev')}
COMMANDS = ['run', 'check', 'explain', 'routes', 'schema', 'reload', 'status', 'help']


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return f.read()


def documents():
    found = glob.glob(os.path.join(ROOT, '*.md'))
    for folder in ('docs', 'examples', 'tests', 'bench'):
        found += [f for f in glob.glob(os.path.join(ROOT, folder, '**', '*.md'), recursive=True)
                  if 'node_modules' not in f]
    return sorted(os.path.relpath(f, ROOT) for f in found)


def whole(text):
    """A fragment with what it leaves out: listener, services, a route."""
    if re.search(r'^version: 1$', text, re.M):
        return text
    text += 'version: 1\nlisteners: {public: {address: 127.0.0.1:8080}}\n'
    if re.search('^services:', text, re.M):
        names = re.findall(r'^  ([a-z]+): ', text, re.M)
    else:
        names = sorted(set(re.findall(r'\bto: ([a-z]+)', text)) or {'app'})
        text += ''.join(['services:\n'] + [f'  {n}: 127.0.0.1:7001\n' for n in names])
    return text + ('' if re.search('^routes:', text, re.M)
                   else f'routes: [{{match: {{path: /*}}, to: {names[0]}}}]\n')


def yaml_blocks():
    """Each configuration in a document, as (document:number, text): fragments made whole. Not of
    errors.md, whose examples are mistakes; those of routing.md and authorization.md have tests of their own."""
    found = []
    for d in documents():
        if d == 'docs/errors.md':
            continue
        for i, text in enumerate(re.findall(r'^```yaml\n(.*?)^```', read(d), re.M | re.S), 1):
            found.append((f'{d}:{i}', whole(text)))
    assert len(found) > 7, found
    return found


PUBLIC_KEY = '''-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
'''


def private_key():
    from cryptography.hazmat.primitives import serialization
    return make_key().private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                    serialization.NoEncryption()).decode()


def check_text(text):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'sluice.yaml')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        for_configuration(folder, text)
        for name in re.findall(r"secret\('file:([\w.-]+)'\)", text):
            with open(os.path.join(folder, name), 'w', encoding='utf-8') as f:
                f.write(private_key() if name.endswith('.pem') else PUBLIC_KEY if name.endswith('.pub')
                        else 'a secret of the documents, long enough')
        for name in re.findall(r'\bfile: (htpasswd)\b', text):
            shutil.copy(os.path.join(ROOT, 'tests', 'data', 'configs', name), folder)
        return sluice('check', '-c', path)


@test(documents())
def links_lead_somewhere(name):
    missing = []
    for target in re.findall(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', read(name)):
        if not re.match(r'[a-z]+:', target) and \
                not os.path.exists(os.path.join(ROOT, os.path.dirname(name), target)):
            missing.append(target)
    equal(missing, [])


@test(yaml_blocks())
def configurations_in_documents_are_right(block):
    done = check_text(block[1])
    equal(done.returncode, 0, (done.stdout + done.stderr).decode())


@test(['examples/shop/sluice.yaml', 'contrib/sluice.yaml'])
def example_configuration(name):
    done = sluice('check', '-c', os.path.join(ROOT, name))
    equal(done.returncode, 0, (done.stdout + done.stderr).decode())


def schema():
    done = sluice('schema')
    equal(done.returncode, 0, done.stderr.decode())
    return json.loads(done.stdout)


def load_yaml(text):
    """With every scalar as text where YAML 1.1 would see more in it than the gateway does."""
    try:
        import yaml
    except ImportError:
        skip('python3-yaml is not there')
    return yaml.safe_load(text)


def errors_by_schema(value):
    try:
        import jsonschema
    except ImportError:
        skip('python3-jsonschema is not there')
    kind = jsonschema.validators.validator_for(schema())
    kind.check_schema(schema())
    return [f'{"/".join(map(str, e.path))}: {e.message[:300]}' for e in kind(schema()).iter_errors(value)]


@test
def the_schema_accepts_the_shop():
    equal(errors_by_schema(load_yaml(read('examples/shop/sluice.yaml'))), [])


@test([('unknown key', 'listenerz', {}), ('wrong kind', 'listeners', 7), ('no unit', 'shutdown_grace', 'soon'),
       ('wrong value in a list', 'routes', [7])])
def the_schema_refuses(row):
    value = load_yaml(read('examples/shop/sluice.yaml'))
    value[row[1]] = row[2]
    assert errors_by_schema(value), 'no error'


@test(COMMANDS)
def command_is_documented(name):
    contains(read('docs/man/sluice.8'), f'.Cm {name}')
    contains(read('contrib/completion/sluice.bash'), name)
    contains((lambda d: d.stdout + d.stderr)(sluice('help')).decode(), name)


@test(COMMANDS[:-1])
def options_are_documented(name):
    done = sluice(name, '--help')
    equal(done.returncode, 0)
    options = set(re.findall(r'^  (?:-., )?--([a-z-]+)', done.stdout.decode(), re.M)) - {'config', 'header', 'data'}
    documented = set(re.findall(r'^\.It Fl -([a-z-]+)', read('docs/man/sluice.8'), re.M))
    equal(options - documented, set(), 'not in the man page')
    offered = set(completions('sluice', name, '-'))
    equal({'--' + o for o in options} - offered, set(), 'not offered by the completion')


@test
def the_man_page_is_well_formed():
    if not shutil.which('mandoc'):
        skip('mandoc is not there')
    done = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', 'docs/man/sluice.8'], cwd=ROOT,
                          capture_output=True, text=True, check=False)
    equal((done.returncode, done.stdout), (0, ''))


@test(['contrib/completion/sluice.bash', 'tools/packages', '.ci/run'])
def script_parses(name):
    done = subprocess.run(['bash', '-n', name], cwd=ROOT, capture_output=True, text=True, check=False)
    equal((done.returncode, done.stderr), (0, ''))


def completions(*words):
    script = '. contrib/completion/sluice.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sluice; ' \
             'printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(['bash', '-c', script, 'bash', *words], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    return done.stdout.split()


@test([('a command', ['sluice', 'ex'], 'explain'), ('a method', ['sluice', 'explain', 'P'], 'POST'),
       ('an option of run', ['sluice', 'run', '--'], '--no-supervisor'),
       ('a format', ['sluice', 'check', '--format', 's'], 'sarif')])
def completion_of(row):
    contains(completions(*row[1]), row[2])


@test
def every_dependency_is_explained():
    with_reason = read('docs/dependencies.md')
    text = read('meson.build')
    used = set(re.findall(r"dependency\('([^']+)'\)", text)) - {'threads'}
    equal(used - set(LIBRARIES), set(), 'explain it in docs/dependencies.md and name it here')
    for name in used:
        word, package = LIBRARIES[name]
        contains(with_reason, word)
        contains(read('tools/packages.txt').split(), package)


run()
