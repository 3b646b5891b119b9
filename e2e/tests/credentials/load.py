"""Sends one request over and over on kept connections, until standard input ends. Prints for each
answer its status, 0 where there is none, and the times at which it was asked for and was there."""
import os, socket, ssl, sys, threading, time

host, lanes = sys.argv[1], int(sys.argv[2])
request = os.path.expandvars(sys.argv[3]).replace("\n", "\r\n").encode()
context = ssl.create_default_context()
ends = threading.Event()
lock = threading.Lock()

def tell(status, asked):
    with lock:
        sys.stdout.write(f"{status} {asked} {time.time_ns()}\n")
        sys.stdout.flush()

def answer(stream):
    """The status, and whether the connection stays."""
    said = b""
    while b"\r\n\r\n" not in said:
        more = stream.recv(65536)
        if not more:
            raise EOFError
        said += more
    head, body = said.split(b"\r\n\r\n", 1)
    lines = head.lower().split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in lines[1:])
    is_chunked = b"transfer-encoding" in fields
    length = 0 if is_chunked else int(fields[b"content-length"])
    while not body.endswith(b"0\r\n\r\n") if is_chunked else len(body) < length:
        more = stream.recv(65536)
        if not more:
            raise EOFError
        body += more
    return int(lines[0].split(b" ")[1]), fields.get(b"connection") != b"close"

def ask():
    while not ends.is_set():
        stays = True
        try:
            stream = context.wrap_socket(socket.create_connection((host, 443), 30), server_hostname=host)
        except OSError as error:
            print(repr(error), file=sys.stderr)
            tell(0, time.time_ns())
            return
        with stream:
            while stays and not ends.is_set():
                asked = time.time_ns()
                try:
                    stream.sendall(request)
                    status, stays = answer(stream)
                except (OSError, EOFError, KeyError) as error:
                    print(repr(error), file=sys.stderr)
                    status, stays = 0, False
                tell(status, asked)

threads = [threading.Thread(target=ask) for _ in range(lanes)]
for thread in threads:
    thread.start()
sys.stdin.read()
ends.set()
for thread in threads:
    thread.join()
