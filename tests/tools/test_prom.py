"""The strict reader of metrics pages refuses what Prometheus would."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
import prom
from tap import equal, run, test

HEAD = '# HELP a_total x\n# TYPE a_total counter\n'
HIST = '# HELP h x\n# TYPE h histogram\n'


@test
def good_page():
    families = prom.parse(HEAD + 'a_total{b="c\\n\\"\\\\",d=""} 1\na_total 2.5e3\n' + HIST +
                          'h_bucket{le="0.5"} 1\nh_bucket{le="+Inf"} 3\nh_sum 9\nh_count 3\n')
    equal(families['a_total'].samples, {(('b', 'c\n"\\'), ('d', '')): 1.0, (): 2500.0})
    equal(families['h'].parts['_count'], {(): 3.0})


@test([
    ('no newline at the end', HEAD + 'a_total 1'),
    ('no help', '# TYPE a_total counter\na_total 1\n'),
    ('no type', '# HELP a_total x\na_total 1\n'),
    ('a family twice', HEAD + HEAD),
    ('a sample twice', HEAD + 'a_total 1\na_total 2\n'),
    ('labels in another order are the same', HEAD + 'a_total{b="1",c="2"} 1\na_total{c="2",b="1"} 1\n'),
    ('a sample of another family', HEAD + 'b_total 1\n'),
    ('counter without _total', '# HELP a x\n# TYPE a counter\na 1\n'),
    ('negative counter', HEAD + 'a_total -1\n'),
    ('no value', HEAD + 'a_total\n'),
    ('bad value', HEAD + 'a_total 1,5\n'),
    ('bad name', '# HELP 1a x\n# TYPE 1a gauge\n1a 1\n'),
    ('unknown escape', HEAD + 'a_total{b="\\x"} 1\n'),
    ('a quote in a label', HEAD + 'a_total{b="""} 1\n'),
    ('a comma too many', HEAD + 'a_total{b="1",} 1\n'),
    ('a label twice', HEAD + 'a_total{b="1",b="2"} 1\n'),
    ('an empty line', HEAD + '\na_total 1\n'),
    ('falling buckets', HIST + 'h_bucket{le="1"} 4\nh_bucket{le="+Inf"} 3\nh_sum 9\nh_count 3\n'),
    ('no +Inf', HIST + 'h_bucket{le="1"} 3\nh_sum 9\nh_count 3\n'),
    ('edges out of order', HIST + 'h_bucket{le="2"} 1\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\n'
                                  'h_sum 9\nh_count 1\n'),
    ('count is not +Inf', HIST + 'h_bucket{le="+Inf"} 3\nh_sum 9\nh_count 4\n'),
    ('no sum', HIST + 'h_bucket{le="+Inf"} 3\nh_count 3\n'),
])
def refused(row):
    try:
        prom.parse(row[1])
    except (prom.Bad, KeyError):
        return
    raise AssertionError('it was taken')


run()
