@attempt
def dial(name, kind):
    # An abstract name is written with an `@`.
    to = "\0" + name[1:] if name.startswith("@") else name
    kind = {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM}[kind]
    with socket.socket(socket.AF_UNIX, kind) as client:
        client.settimeout(5)
        if kind == socket.SOCK_DGRAM:
            client.sendto(b"out of the jail", to)
        else:
            client.connect(to)
            return echoed(client)
