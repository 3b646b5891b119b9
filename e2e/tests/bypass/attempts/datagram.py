@attempt
def send(host, port):
    family, to = address(host, port)
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(5)
        datagrams.sendto(b"out of the jail", to)
        if datagrams.recvfrom(64)[0] != b"out of the jail":
            raise RuntimeError("nothing")
