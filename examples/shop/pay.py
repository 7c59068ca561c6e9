#!/usr/bin/python3
"""pay.py TARGET CA ORDER CENTS [CARD]: pays for an order by gRPC over TLS and watches the payment.
TARGET: the gateway, as localhost:8443. CA: the certificate that it is known by, as certs/shop.pem."""
import sys

import grpc
from payment_api import messages, stub

if len(sys.argv) < 5:
    sys.exit(__doc__)
target, ca, order, cents = sys.argv[1:5]
with open(ca, 'rb') as f:
    channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(f.read()))
try:
    receipt = stub(channel, 'Charge')(
        messages.ChargeRequest(order_id=order, cents=int(cents), card=(sys.argv[5:] or [''])[0]), timeout=5)
    print(f'paid: {receipt.payment_id} for order {receipt.order_id}, {receipt.cents / 100:.2f}')
    for name, value in sorted(receipt.seen.items()):
        print(f'  the service saw {name}: {value}')
    for event in stub(channel, 'Watch')(messages.WatchRequest(payment_id=receipt.payment_id), timeout=5):
        print(f'  {event.state}')
except grpc.RpcError as e:
    sys.exit(f'{e.code().name}: {e.details()}')
