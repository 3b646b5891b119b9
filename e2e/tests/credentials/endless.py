"""A server of a model whose answers never end. Prints a line when one begins, and when its client is
gone."""
import re, socket, ssl, sys, threading

address, certificate, key = sys.argv[1:4]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"object":"chat.completion.chunk","choices":[{"delta":{"content":"again and again "}}]}\n\n'
PIECE = b"%x\r\n%s\r\n" % (16 * len(EVENT), 16 * EVENT)

def say(word):
    sys.stdout.write(word + "\n")
    sys.stdout.flush()

def serve(connection):
    with context.wrap_socket(connection, server_side=True) as stream:
        said = b""
        while b"\r\n\r\n" not in said:
            said += stream.recv(65536) or stop()
        head, said = said.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"\ncontent-length: *(\d+)", head, re.IGNORECASE)[1])
        while len(said) < length:
            said += stream.recv(65536) or stop()
        say("begun")
        try:
            stream.sendall(HEAD)
            while True:
                stream.sendall(PIECE)
        except OSError:
            say("gone")

def stop():
    raise EOFError

def run(connection):
    try:
        serve(connection)
    except (OSError, EOFError) as error:
        print(repr(error), file=sys.stderr, flush=True)

listener = socket.create_server((address, 443), backlog=128)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=run, args=(connection,), daemon=True).start()
