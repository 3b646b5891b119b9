"""Requests over one connection, with a pause that is longer than the server keeps it."""

import http.client
import time

connection = http.client.HTTPSConnection("hasty.example.com", timeout=20)
for pause in [0, 0, 2]:
    time.sleep(pause)
    connection.request("GET", "/open/hello")
    answer = connection.getresponse()
    first = connection.sock.getsockname() if connection.sock else None
    print(answer.status, answer.read().decode().strip(), first)
