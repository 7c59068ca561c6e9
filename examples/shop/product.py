#!/usr/bin/env python3
"""The catalogue: GET /products [?q=TEXT], GET /products/{id}."""
from service import Refused, Service, port_argument

service = Service('product')
PRODUCTS = {p['id']: p for p in [
    {'id': '1', 'name': 'Teapot', 'price': 24.5, 'stock': 12, 'grams': 900},
    {'id': '2', 'name': 'Cup', 'price': 6.0, 'stock': 80, 'grams': 250},
    {'id': '3', 'name': 'Tea, 100 g', 'price': 4.2, 'stock': 200, 'grams': 120},
    {'id': '4', 'name': 'Honey', 'price': 7.9, 'stock': 31, 'grams': 600},
]}


@service.get('/products')
def products(request):
    wanted = request.query.get('q', [''])[0].lower()
    found = [p for p in PRODUCTS.values() if wanted in p['name'].lower()]
    return {'items': found, 'total': len(found)}


@service.get('/products/{id}')
def product(request, id):
    if id not in PRODUCTS:
        raise Refused(404, f'no product {id}')
    return PRODUCTS[id]


service.run(port_argument(7001))
