"""tap - test programs in Python that print TAP.

    import os, sys
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
    from tap import test, skip, equal, run

    @test
    def answers_with_the_service_body():
        ...
        equal(answer.status, 200)

    @test(['GET', 'POST'])               # a table: one test a row, told apart by its first word
    def method(row): ...

    run()

A test fails by any exception (assert, equal, a timeout of a socket). `run` prints `1..N`, one line a
test and the traceback of a failure as comments, and exits 1 if one failed. Arguments: parts of names;
only tests whose names contain one of them run.
"""
import sys
import time
import traceback

_tests = []


class Skip(Exception):
    pass


def skip(why):
    raise Skip(why)


def equal(got, wanted, what=''):
    if got != wanted:
        raise AssertionError(f'{what + ": " if what else ""}got {got!r}, wanted {wanted!r}')


def contains(text, part, what=''):
    if part not in text:
        raise AssertionError(f'{what + ": " if what else ""}{part!r} is not in {text!r}')


def add(name, function, *args):
    """For tests made in a loop."""
    _tests.append((name, function, args))


def _row_name(row):
    first = row[0] if isinstance(row, (tuple, list)) and row else row
    if isinstance(first, dict):
        first = first.get('name', first.get('id', first))
    return str(first).split('\n')[0]


def test(given):
    if callable(given):
        add(given.__name__.replace('_', ' '), given)
        return given

    def table(function):
        if not given:
            raise ValueError(f'{function.__name__}: an empty table tests nothing')
        for row in given:
            add(function.__name__.replace('_', ' ') + ': ' + _row_name(row), function, row)
        return function
    return table


def _one(number, name, function, args):
    begun = time.monotonic()
    try:
        function(*args)
    except Skip as why:
        print(f'ok {number} - {name} # SKIP {why}', flush=True)
        return True
    except Exception:
        print(f'not ok {number} - {name}')
        for line in traceback.format_exc().rstrip().split('\n'):
            print('# ' + line)
        sys.stdout.flush()
        return False
    slow = time.monotonic() - begun
    print(f'ok {number} - {name}' + (f' ({slow:.1f} s)' if slow > 2 else ''), flush=True)
    return True


def run():
    chosen = [t for t in _tests if not sys.argv[1:] or any(part in t[0] for part in sys.argv[1:])]
    print(f'1..{len(chosen)}', flush=True)
    good = [_one(i, name, function, args) for i, (name, function, args) in enumerate(chosen, 1)]
    sys.exit(0 if good and all(good) else 1)
