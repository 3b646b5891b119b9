@attempt
def dial(host, port):
    family, to = address(host, port)
    with socket.socket(family, socket.SOCK_STREAM, 262) as stream:
        stream.settimeout(5)
        stream.connect(to)
        return echoed(stream)
