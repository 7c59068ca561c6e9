"""prom - reads the Prometheus text format 0.0.4 as strictly as promtool does.

    families = prom.parse(text)
    families['sluice_requests_total'].samples[(('class', '2xx'), ('route', 'products'))]

Any slip raises Bad: unknown escapes, a family in two places, a sample twice, a counter that does not end in
_total or is negative, a histogram whose buckets fall, lack +Inf or disagree with _count.
"""
import re

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
SAMPLE = re.compile(rf'({NAME})(?:\{{(.*)\}})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')
VALUE = re.compile(r'[+-]?(?:[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|Inf|NaN)$')
TYPES = ('counter', 'gauge', 'histogram', 'summary', 'untyped')


class Bad(AssertionError):
    pass


def need(condition, what):
    if not condition:
        raise Bad(what)


class Family:
    def __init__(self, name, help_text):
        self.name, self.help, self.type = name, help_text, None
        self.samples = {}     # sorted labels: value
        self.parts = {}       # of a histogram: suffix: samples

    def owner_of(self, name):
        suffixes = ('_bucket', '_sum', '_count') if self.type == 'histogram' else ('',)
        return next((s for s in suffixes if name == self.name + s), None)

    def add(self, name, labels, value):
        part = self.owner_of(name)
        need(part is not None, f'{name} stands among {self.name}')
        into = self.parts.setdefault(part, {}) if part else self.samples
        need(labels not in into, f'{name}{labels} twice')
        into[labels] = value

    def check(self):
        need(self.type, f'{self.name} has no TYPE')
        if self.type == 'counter':
            need(self.name.endswith('_total'), f'counter {self.name} does not end in _total')
            need(all(v >= 0 for v in self.samples.values()), f'{self.name} is negative')
        for labels, value in self.parts.get('_count', {}).items():
            rows = [(dict(k)['le'], v) for k, v in self.parts['_bucket'].items()
                    if tuple(p for p in k if p[0] != 'le') == labels]
            edges = [float(le) for le, _ in rows]
            counts = [v for _, v in rows]
            need(edges == sorted(set(edges)) and edges[-1] == float('inf'), f'{self.name}: edges {edges}')
            need(counts == sorted(counts), f'{self.name}: the buckets fall')
            need(counts[-1] == value, f'{self.name}: +Inf is not _count')
            need(labels in self.parts['_sum'], f'{self.name} has no _sum')


def labels_of(text):
    found, at = {}, 0
    while at < len(text):
        m = LABEL.match(text, at)
        need(m, f'labels {text!r}')
        need(m.group(1) not in found, f'label {m.group(1)} twice')
        found[m.group(1)] = re.sub(r'\\(.)', lambda e: '\n' if e.group(1) == 'n' else e.group(1), m.group(2))
        at = m.end()
        need(m.group(3) == '' or at < len(text), f'a comma at the end of {text!r}')
    return tuple(sorted(found.items()))


def parse(text):
    need(text.endswith('\n'), 'the last line has no newline')
    families, family = {}, None
    for line in text[:-1].split('\n'):
        need(line == line.strip(), f'blanks around {line!r}')
        if line.startswith('# HELP '):
            name, _, help_text = line[7:].partition(' ')
            need(re.fullmatch(NAME, name) and name not in families, f'{name} is malformed or stands twice')
            need(help_text, f'{name} has no help')
            family = families[name] = Family(name, help_text)
        elif line.startswith('# TYPE '):
            name, _, kind = line[7:].partition(' ')
            need(family and name == family.name and not family.type and not family.samples, f'TYPE {name}')
            need(kind in TYPES, f'type {kind}')
            family.type = kind
        else:
            m = SAMPLE.match(line)
            need(m and family and family.type, f'not a sample: {line!r}')
            need(VALUE.match(m.group(3)), f'value {m.group(3)!r}')
            family.add(m.group(1), labels_of(m.group(2) or ''), float(m.group(3)))
    for family in families.values():
        family.check()
    return families
