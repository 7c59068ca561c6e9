#!/usr/bin/env python3
"""Shipping: GET /estimates?zip=10115[&grams=900][&delay=MS]; delay makes it slow, to see a timeout."""
import time

from service import Refused, Service, port_argument

service = Service('shipping')


def number(request, name, default, most):
    text = request.query.get(name, [str(default)])[0]
    if not text.isdigit() or int(text) > most:
        raise Refused(422, f'{name} must be a number up to {most}')
    return int(text)


@service.get('/estimates')
def estimate(request):
    zip_code = request.query.get('zip', [''])[0]
    if not (zip_code.isdigit() and len(zip_code) == 5):
        raise Refused(422, 'zip must have five digits, as in ?zip=10115')
    grams = number(request, 'grams', 500, 100000)
    time.sleep(number(request, 'delay', 0, 10000) / 1000)
    return {'zip': zip_code, 'price': round(2.9 + grams / 1000 * 1.4, 2), 'days': 1 + int(zip_code[0]) % 3}


service.run(port_argument(7004))
