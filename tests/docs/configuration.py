"""The generated documents are up to date, the JSON Schema is one and fits, examples are accepted."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'lib'))
from certs import for_configuration
from gateway import dev_certificates
from tap import add, contains, equal, run, skip, test

SLUICE = os.environ.get('SLUICE_BIN', os.path.join(ROOT, 'build', 'sluice'))
SHARED = os.path.join(ROOT, '..', 'shared')
dev_certificates()


def sluice(*arguments, cwd=ROOT, **env):
    return subprocess.run([SLUICE, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60,
                          env={**os.environ, **env})


@test(['errors', 'configuration'])
def generated_page_is_current(name):
    made = sluice('docs', name)
    equal(made.returncode, 0)
    with open(os.path.join(ROOT, 'docs', name + '.md'), encoding='utf-8') as f:
        assert f.read() == made.stdout, f'docs/{name}.md is stale: sluice docs {name} > docs/{name}.md'


def validator():
    try:
        import jsonschema
    except ImportError:
        skip('python3-jsonschema is missing')
    schema = json.loads(sluice('schema').stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def problems(v, text):
    # Keys that YAML reads as numbers are texts in this language, as in `errors: {404: ..}`.
    data = json.loads(json.dumps(yaml.safe_load(text)))
    return [f'{"/".join(map(str, e.path))}: {e.message[:120]}' for e in v.iter_errors(data)]


def examples():
    return [p for pattern in ('examples/*/*.yaml', 'contrib/*.yaml', 'tests/data/configs/*.yaml')
            for p in sorted(glob.glob(os.path.join(ROOT, pattern)))]


@test
def schema_describes_every_key():
    v = validator()
    places = [v.schema, *v.schema['$defs'].values()]
    assert sum(len(p['properties']) for p in places) > 200
    for place in places:
        for key, value in place['properties'].items():
            assert value['description'].endswith('.'), key


def example_is_accepted(path):
    with open(path, encoding='utf-8') as f:
        text = f.read()
    with tempfile.TemporaryDirectory() as place:
        folder = os.path.join(place, 'copy')
        shutil.copytree(os.path.dirname(path), folder, ignore=shutil.ignore_patterns('certs'))
        for_configuration(folder, text)
        p = sluice('check', '-c', os.path.basename(path), cwd=folder)
    equal(p.returncode, 0, p.stdout + p.stderr)
    equal(problems(validator(), text), [])


@test
def everything_has_every_key():
    with open(os.path.join(ROOT, 'tests', 'data', 'configs', 'everything.yaml'), encoding='utf-8') as f:
        text = f.read()
    page = sluice('docs', 'configuration').stdout.split('# Keys of later versions')[0]
    keys = set(re.findall(r'^\| `(\w+)` (?!.*Not available yet)', page, re.M))
    assert len(keys) > 100
    equal(sorted(k for k in keys if not re.search(rf'\b{k}:\s', text)), [])


for each in examples():
    add('accepted and valid: ' + os.path.relpath(each, ROOT), example_is_accepted, each)


# What a schema cannot know: references, other parts of the file, the file system, texts' insides.
BEYOND_SCHEMA = re.compile(r'^(action-(none|two)|env-|host-|include-|listener-(none|same|unknown)|method-|'
                           r'mode-|narrow-|path-|policy-set|redirect-wrong|rewrite-|route-|secret-|service-'
                           r'|template-|utf8|vars|weights|yaml-|names-list|group-|network|unit-range|'
                           r'later|respond-wrong|admin-open|shadowed|timeout-above|unused|errors-wrong|'
                           r'listener-(address|empty|nothing)|bool|constants|identity-|when-|limits-of-one|quota-)')


def broken():
    found = sorted(glob.glob(os.path.join(ROOT, 'tests/data/diagnostics/*.yaml')))
    return [p for p in found if not BEYOND_SCHEMA.match(os.path.basename(p))]


def schema_finds_it_too(path):
    with open(path, encoding='utf-8') as f:
        assert problems(validator(), f.read()), 'the schema accepts what the loader refuses'


for each in broken():
    add('refused by the schema: ' + os.path.basename(each), schema_finds_it_too, each)


@test
def schema_finds_most_mistakes_that_it_can_know():
    assert len(broken()) >= 8, broken()


def checked(text, **env):
    """What `check` finds in a configuration whose certificates exist."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'sluice.yaml')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        for_configuration(folder, text)
        p = sluice('check', '--format', 'json', '-c', path, **env)
        return p.returncode, json.loads(p.stdout)['diagnostics']


def design():
    path = os.path.join(SHARED, 'design', 'CONFIG.md')
    if not os.path.exists(path):
        skip('the design documents are not here')
    with open(path, encoding='utf-8') as f:
        return f.read()


@test
def the_design_s_shop_has_only_what_is_not_there_yet():
    text = design().split('```yaml\n')[1].split('```')[0]
    equal(problems(validator(), text), [])
    code, found = checked(text)
    equal(code, 78)
    wrong = [d for d in found if d['code'] not in ('E0901',) and d['severity'] == 'error']
    equal(wrong, [])
    assert len(found) > 5


# Mistakes of theirs that are real: nothing else may be found but E0901.
REAL = {
    '02-saas.yaml': set(),
    '03-bff.yaml': {('E0113', 21)},  # `set` in respond.headers
    '04-grpc.yaml': set(),
    '06-kong.yaml': set(),  # its hashes are warned about
}


@test(sorted(REAL))
def shared_configuration(name):
    path = os.path.join(SHARED, 'cases', 'configs', name)
    if not os.path.exists(path):
        skip('the shared cases are not here')
    with open(path, encoding='utf-8') as f:
        text = f.read()
    lines = text.split('\n')
    code, found = checked(text, DOMAIN='x.example')
    equal(code, 78)
    errors = [d for d in found if d['severity'] == 'error']
    equal({(d['code'], d['line']) for d in errors if d['code'] != 'E0901'}, REAL[name])
    for d in errors:  # each names the very words it is about
        words = lines[d['line'] - 1][d['column'] - 1:d['column'] - 1 + d['length']]
        named = re.match(r'`([^`]+)` is not available', d['message'])
        if named:
            equal(words, named.group(1))
    assert errors


@test
def guide_names_only_what_exists():
    with open(os.path.join(ROOT, 'docs', 'config-guide.md'), encoding='utf-8') as f:
        guide = f.read()
    blocks = re.findall(r'```yaml\n(.*?)```', guide, re.S)
    assert len(blocks) >= 5
    whole = [b for b in blocks if b.startswith('version: 1')]
    assert whole
    for block in whole:
        equal(problems(validator(), block), [])
        code, found = checked(block)
        equal((code, [d for d in found if d['severity'] == 'error']), (0, []))
    for block in blocks:  # with what the guide leaves out
        if not block.startswith('version: 1'):
            equal(problems(validator(), 'version: 1\n' + block), [])
    for code in re.findall(r'\b[EW]0\d{3}\b', guide):
        equal(sluice('help', code).returncode, 0, code)


@test
def help_explains_every_code():
    listed = sluice('docs', 'errors').stdout
    codes = [line[3:] for line in listed.split('\n') if line.startswith('## ')]
    assert len(codes) > 60
    for code in codes:
        p = sluice('help', code)
        equal(p.returncode, 0)
        contains(p.stdout, code)
        assert len(p.stdout) > 60, code


run()
