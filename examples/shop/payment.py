#!/usr/bin/python3
"""Payments by gRPC (payment.proto): payment.py [PORT]. Needs python3-grpcio, python3-protobuf and protoc."""
import signal
import sys
import threading
import time
from concurrent import futures

import grpc
from payment_api import handlers, messages

SEEN = ('x-request-id', 'x-forwarded-for', 'x-forwarded-proto', 'x-user-id', 'via')


class Payment:
    def __init__(self):
        self.lock, self.receipts = threading.Lock(), {}

    def Charge(self, request, context):
        seen = {k: v for k, v in context.invocation_metadata() if k in SEEN}
        print(f'payment  Charge {request.order_id} {request.cents} request-id={seen.get("x-request-id", "-")}',
              flush=True)
        if not request.order_id or request.cents <= 0:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, 'order_id and a positive number of cents are needed')
        if request.card == 'stolen':
            context.abort(grpc.StatusCode.PERMISSION_DENIED, 'the bank says no: 100 % sure')
        with self.lock:
            if request.order_id not in self.receipts:
                number = len(self.receipts) + 1
                self.receipts[request.order_id] = messages.Receipt(
                    payment_id=f'p{number}', order_id=request.order_id, cents=request.cents, seen=seen)
            return self.receipts[request.order_id]

    def Watch(self, request, context):
        for state in ('authorised', 'captured', 'settled'):
            yield messages.PaymentEvent(state=state)
            time.sleep(0.2)


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 7005
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((handlers(Payment()),))
    if not server.add_insecure_port(f'127.0.0.1:{port}'):
        sys.exit(f'payment: cannot listen on port {port}')
    server.start()
    print(f'payment  listens on 127.0.0.1:{port}', flush=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    server.stop(0.2)


main()
