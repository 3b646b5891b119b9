"""Calls each method of a server of gRPC once over one channel, and prints what came of it."""

import queue

import grpc

channel = grpc.secure_channel("grpc.example.com:443", grpc.ssl_channel_credentials())
say = channel.unary_unary("/test.Greeter/Say")
answer, call = say.with_call(b"you", timeout=30)
print(answer.decode(), call.code().name, dict(call.trailing_metadata()).get("x-trailer"))

# What is said next depends on what was heard: both ways are open at once.
words = queue.SimpleQueue()
words.put(b"one")
heard = channel.stream_stream("/test.Greeter/Talk")(iter(words.get, None), timeout=30)
print(next(heard).decode())
words.put(b"two")
print(next(heard).decode())
words.put(None)
print(list(heard), heard.code().name)

for method in ["Fail", "Erase"]:
    try:
        print(channel.unary_unary(f"/test.Greeter/{method}")(b"it", timeout=30))
    except grpc.RpcError as error:
        print(error.code().value[0], error.details())
# The channel goes on.
print(say(b"again", timeout=30).decode())
