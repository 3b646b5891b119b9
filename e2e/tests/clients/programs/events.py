"""Prints each event of a stream and how many seconds after the one before it came."""

import time
import urllib.request

begun = time.monotonic()
with urllib.request.urlopen("https://www.example.com/open/slow", timeout=20) as answer:
    for line in answer:
        if line.strip():
            print(line.decode().strip(), round(time.monotonic() - begun))
            begun = time.monotonic()
