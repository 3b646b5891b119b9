@attempt
def ask(server, name, way):
    family, to = address(server, 53)
    kind = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}[way]
    question = b"\x12\x34\1\0\0\1\0\0\0\0\0\0"
    for label in name.split("."):
        question += bytes([len(label)]) + label.encode()
    question += b"\0\0\1\0\1"
    if way == "tcp":
        question = struct.pack("!H", len(question)) + question
    with socket.socket(family, kind) as asked:
        asked.settimeout(5)
        asked.connect(to)
        asked.send(question)
        answer = asked.recv(512)[2 if way == "tcp" else 0 :]
    if len(answer) < 12:
        raise RuntimeError("nothing")
    code = answer[3] & 15
    if code:
        raise RuntimeError({2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}.get(code, code))
    return ".".join(map(str, answer[-4:]))
