#!/usr/bin/env python3
"""Orders: GET and POST /orders, GET /orders/{id}, GET /orders/{id}/events (server-sent events).
Two instances run, an old one and the next version, and each says which one it is: order.py PORT [VERSION]."""
import sys
import time

from service import Events, Refused, Service, port_argument

VERSION = sys.argv[2] if len(sys.argv) > 2 else 'v1'
service = Service('order' if VERSION == 'v1' else 'order-' + VERSION)
orders = {}


def shown(order, request):
    return {**order, 'served_by': VERSION, 'seen': request.seen()}


@service.get('/orders')
def listed(request):
    return {'items': list(orders.values()), 'total': len(orders), 'served_by': VERSION,
            'seen': request.seen()}


@service.get('/orders/{id}')
def one(request, id):
    if id not in orders:
        raise Refused(404, f'no order {id}')
    return shown(orders[id], request)


@service.post('/orders')
def place(request):
    wanted = request.json()
    items = wanted.get('items')
    if not isinstance(items, list) or not items:
        raise Refused(422, 'an order needs items: [{"product_id": "1", "quantity": 2}]')
    order = {'id': str(len(orders) + 1), 'status': 'placed', 'items': items,
             'user': request.headers.get('X-User-ID', 'guest')}
    orders[order['id']] = order
    return 201, shown(order, request), {'Location': '/orders/' + order['id']}


def life(order):
    for status in ('placed', 'packed', 'shipped'):
        order['status'] = status
        yield 'status', {'id': order['id'], 'status': status, 'served_by': VERSION}
        time.sleep(0.3)


@service.get('/orders/{id}/events')
def events(request, id):
    if id not in orders:
        raise Refused(404, f'no order {id}')
    return Events(life(orders[id]))


service.run(port_argument(7002))
