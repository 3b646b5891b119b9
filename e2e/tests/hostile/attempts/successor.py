# A socket that two processes share: one connects it and becomes another program at once, the other
# speaks on it.
import random


@attempt
def become(name, rounds):
    to = socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4]
    reached = 0
    for _ in range(int(rounds)):
        shared = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        shared.settimeout(None)
        delay = random.choice([0, 0, 0.0001, 0.0003, 0.001])
        child = os.fork()
        if child == 0:
            thread = threading.Thread(target=lambda: shared.connect_ex(to))
            thread.start()
            time.sleep(delay)
            os.execv("/usr/bin/curl", ["curl", "--version"])
        null = os.open("/dev/null", os.O_WRONLY)
        os.close(null)
        os.waitpid(child, 0)
        shared.settimeout(1)
        try:
            shared.sendall(b"GET /stolen HTTP/1.1\r\nHost: " + name.encode() + b"\r\n\r\n")
            if shared.recv(64).startswith(b"HTTP/1.1 200"):
                reached += 1
        except OSError:
            pass
        shared.close()
    if not reached:
        raise RuntimeError("denied")
    return f"{reached} times"
