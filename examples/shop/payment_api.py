"""payment_api - payment.proto as Python sees it: the messages by protoc, the calls by their names."""
import importlib
import os
import subprocess
import sys
import tempfile

import grpc

HERE = os.path.dirname(os.path.abspath(__file__))


def compiled():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(['protoc', '-I', HERE, f'--python_out={folder}', os.path.join(HERE, 'payment.proto')],
                       check=True)
        sys.path.insert(0, folder)
        try:
            return importlib.import_module('payment_pb2')
        finally:
            sys.path.remove(folder)


messages = compiled()
CALLS = {'Charge': (messages.ChargeRequest, messages.Receipt), 'Watch': (messages.WatchRequest, messages.PaymentEvent)}


def stub(channel, name):
    """A call of the service: stub(channel, 'Charge')(ChargeRequest(..), timeout=5)."""
    asked, answered = CALLS[name]
    make = channel.unary_stream if name == 'Watch' else channel.unary_unary
    return make(f'/shop.Payment/{name}', request_serializer=asked.SerializeToString,
                response_deserializer=answered.FromString)


def handlers(service):
    """The service's methods of the same names, for server.add_generic_rpc_handlers."""
    made = {}
    for name, (asked, answered) in CALLS.items():
        make = grpc.unary_stream_rpc_method_handler if name == 'Watch' else grpc.unary_unary_rpc_method_handler
        made[name] = make(getattr(service, name), request_deserializer=asked.FromString,
                          response_serializer=answered.SerializeToString)
    return grpc.method_handlers_generic_handler('shop.Payment', made)
