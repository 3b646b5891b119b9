@attempt
def address_one_of_a_pair(name):
    # Each end of a pair of datagram sockets may be addressed elsewhere.
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    # The end that has a peer must lose it first.
    unspecified = struct.pack("=H", socket.AF_UNSPEC) + b"\0" * 14
    if libc.connect(ends[0].fileno(), unspecified, len(unspecified)) < 0:
        raise OSError(ctypes.get_errno(), "connect")
    ends[0].sendto(b"out of the jail", name)
