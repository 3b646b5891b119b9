"""Serves WebSockets with TLS at argv[1]:argv[2], with the certificate argv[3] and the key argv[4].
Sends each message back, and prints the first octets of it."""

import ssl
import sys

from websockets.sync.server import serve

host, port, certificate, key = sys.argv[1:]


def echo(connection):
    for message in connection:
        print(message[:80], flush=True)
        connection.send(message)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
with serve(echo, host, int(port), ssl=context) as server:
    server.serve_forever()
