#!/usr/bin/env python3
"""Carts: GET and DELETE /carts/{user}, POST /carts/{user}/items."""
from service import Refused, Service, port_argument

service = Service('cart')
carts = {}


@service.get('/carts/{user}')
def cart(request, user):
    return {'user': user, 'zip': '10115', 'items': carts.get(user, [])}


@service.post('/carts/{user}/items')
def add(request, user):
    item = request.json()
    quantity = item.get('quantity', 1)
    if not isinstance(item.get('product_id'), str) or not isinstance(quantity, int) or quantity < 1:
        raise Refused(422, 'an item is {"product_id": "1", "quantity": 2}')
    carts.setdefault(user, []).append({'product_id': item['product_id'], 'quantity': quantity})
    return 201, cart(request, user)


@service.delete('/carts/{user}')
def empty(request, user):
    carts.pop(user, None)
    return cart(request, user)


service.run(port_argument(7003))
