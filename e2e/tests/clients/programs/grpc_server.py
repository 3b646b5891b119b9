"""Serves gRPC with TLS at argv[1], with the certificate argv[2] and the key argv[3]. Prints each call."""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

address, certificate, key = sys.argv[1:]


def say(request, context):
    print("Say", request.decode(), flush=True)
    context.set_trailing_metadata([("x-trailer", "last")])
    return b"hello " + request


def talk(requests, context):
    print("Talk", flush=True)
    for request in requests:
        yield b"heard " + request


def fail(request, context):
    print("Fail", flush=True)
    context.abort(grpc.StatusCode.NOT_FOUND, "there is none")


def erase(request, context):
    print("Erase", flush=True)
    return b"erased"


methods = {
    "Say": grpc.unary_unary_rpc_method_handler(say),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Erase": grpc.unary_unary_rpc_method_handler(erase),
}
server = grpc.server(ThreadPoolExecutor(4))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Greeter", methods)])
pair = open(key, "rb").read(), open(certificate, "rb").read()
if not server.add_secure_port(address, grpc.ssl_server_credentials([pair])):
    sys.exit("no port")
server.start()
server.wait_for_termination()
