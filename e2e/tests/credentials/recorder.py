"""A server that writes a line for each request: its method, what authenticates it, the model that
it names, and when the last octet that was read of it came to this machine, which the kernel says:
how late this program gets to run does not change it."""
import re, socket, ssl, struct, sys, threading

address, certificate, key = sys.argv[1:4]
TIMESTAMPNS = 35  # SO_TIMESTAMPNS, and the type of its messages
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
BODY = b'{"id":"1","object":"chat.completion","choices":[],"data":[]}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
lock = threading.Lock()

def field(pattern, text):
    found = re.search(pattern, text, re.IGNORECASE)
    return found[1].decode() if found else "-"

def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    arrived = -1

    def step(function, *arguments):
        nonlocal arrived
        while True:
            try:
                result, waits = function(*arguments), False
            except ssl.SSLWantReadError:
                waits = True
            if outgoing.pending:
                connection.sendall(outgoing.read())
            if not waits:
                return result
            data, messages, _, _ = connection.recvmsg(65536, 256)
            if not data:
                raise EOFError
            arrived = -1
            for level, kind, value in messages:
                if (level, kind) == (socket.SOL_SOCKET, TIMESTAMPNS):
                    seconds, nanoseconds = struct.unpack("ll", value)
                    arrived = seconds * 1_000_000_000 + nanoseconds
            incoming.write(data)

    step(tls.do_handshake)
    said = b""
    while True:
        while b"\r\n\r\n" not in said:
            said += step(tls.read, 65536) or stop()
        head, said = said.split(b"\r\n\r\n", 1)
        length = int(field(rb"\ncontent-length: *(\d+)", head).replace("-", "0"))
        while len(said) < length:
            said += step(tls.read, 65536) or stop()
        body, said = said[:length], said[length:]
        method = head.split(b" ", 1)[0].decode()
        key = field(rb"\n(?:x-api-key|authorization): *(?:Bearer +)?([^\r\n]+)", head)
        model = field(rb'"model": *"([^"]+)"', body)
        line = f"{method} {key} {model} {arrived}\n"
        with lock:
            sys.stdout.write(line)
            sys.stdout.flush()
        step(tls.write, ANSWER)

def stop():
    raise EOFError

def run(connection):
    with connection:
        try:
            serve(connection)
        except (OSError, EOFError) as error:
            print(repr(error), file=sys.stderr, flush=True)

listener = socket.create_server((address, 443), backlog=128)
listener.setsockopt(socket.SOL_SOCKET, TIMESTAMPNS, 1)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=run, args=(connection,), daemon=True).start()
