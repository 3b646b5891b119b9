@attempt
def ping(host, kind):
    family, to = address(host, 0)
    protocol = socket.IPPROTO_ICMPV6 if ":" in host else socket.IPPROTO_ICMP
    kind = {"datagram": socket.SOCK_DGRAM, "raw": socket.SOCK_RAW}[kind]
    echo = 128 if ":" in host else 8
    rest = struct.pack("!HH", 7, 1) + b"out of the jail"
    # The kernel puts the checksum in, except for raw IPv4.
    words = struct.unpack("!%dH" % (len(rest + b"\0") // 2), (rest + b"\0")[: (len(rest) + 1) // 2 * 2])
    total = (echo << 8) + sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    with socket.socket(family, kind, protocol) as packets:
        packets.settimeout(5)
        packets.sendto(struct.pack("!BBH", echo, 0, checksum) + rest, to)
        packets.recvfrom(256)
