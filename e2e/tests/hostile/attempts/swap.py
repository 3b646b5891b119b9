# While one thread connects, the others put another socket under its descriptor and another name
# under its pointer.
import tempfile


def name_of(path):
    return struct.pack("=H", socket.AF_UNIX) + path.encode().ljust(108, b"\0")


@attempt
def swap(wanted, seconds):
    folder = tempfile.mkdtemp()
    own = folder + "/own.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(own)
    listener.listen(4096)
    counts = {"own": 0, "wanted": 0}
    end = time.monotonic() + float(seconds)

    def serve():
        listener.settimeout(0.2)
        while time.monotonic() < end:
            try:
                client, _ = listener.accept()
            except OSError:
                continue
            try:
                client.sendall(b"own")
            except OSError:
                pass
            client.close()

    address = ctypes.create_string_buffer(name_of(own))
    names = [name_of(own), name_of(wanted)]

    def rewrite():
        while time.monotonic() < end:
            for name in names:
                ctypes.memmove(address, name, len(name))

    descriptor = os.dup(0)

    def replace():
        while time.monotonic() < end:
            for family in (socket.AF_UNIX, socket.AF_INET):
                other = socket.socket(family, socket.SOCK_STREAM)
                os.dup2(other.fileno(), descriptor)
                other.close()

    threads = [threading.Thread(target=each, daemon=True) for each in (serve, rewrite, replace)]
    for thread in threads:
        thread.start()
    libc.connect.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint]
    while time.monotonic() < end:
        mine = socket.socket(socket.AF_UNIX)
        mine.settimeout(0.2)
        os.dup2(mine.fileno(), descriptor)
        if libc.connect(descriptor, address, 110) == 0:
            try:
                mine.send(b"out of the jail")
                counts["own" if mine.recv(64) == b"own" else "wanted"] += 1
            except OSError:
                pass
        mine.close()
    if counts["wanted"]:
        return str(counts)
    raise RuntimeError("the own one only" if counts["own"] else counts)
