"""Speaks over a WebSocket about everything, and over another one as GraphQL does."""

import json

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

with connect("wss://ws.example.com/talk") as connection:
    print("compressed" if connection.protocol.extensions else "plain")
    for message in ["hello", "hello " * 10_000, b"\0\1"]:
        connection.send(message)
        assert connection.recv(timeout=20) == message
    connection.send(iter(["in ", "two ", "parts"]))
    print(connection.recv(timeout=20))
    print(connection.ping().wait(20))


def operation(query):
    return json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}})


with connect("wss://ws.example.com/graphql") as connection:
    connection.send(operation("query { me }"))
    print(json.loads(connection.recv(timeout=20))["payload"]["query"])
    try:
        connection.send(iter(["", *operation("mutation { drop }")]))
        print(connection.recv(timeout=20))
    except ConnectionClosed as closed:
        print(closed.rcvd.code, closed.rcvd.reason)
