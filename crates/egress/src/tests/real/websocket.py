"""A server and a client of WebSockets by a library that is none of ours."""

import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve


def server():
    def echo(connection):
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0) as listening:
        print(listening.socket.getsockname()[1], flush=True)
        listening.serve_forever()


def client(proxy, port):
    uri = f"ws://host.openshell.internal:{port}/ws"
    with connect(uri, proxy=f"http://127.0.0.1:{proxy}") as connection:
        assert connection.protocol.extensions, "nothing is compressed"
        try:
            for message in ["hello", "hello " * 10_000, b"\0\1"]:
                connection.send(message)
                assert connection.recv() == message
            connection.send(iter(["in ", "two ", "parts"]))
            assert connection.recv() == "in two parts"
            assert connection.ping().wait(10)
            print("all")
        except ConnectionClosed as closed:
            print(closed.rcvd.code)


if sys.argv[1] == "server":
    server()
else:
    client(*sys.argv[2:])
