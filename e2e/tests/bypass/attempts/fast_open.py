MSG_FASTOPEN = 0x20000000
TCP_FASTOPEN_CONNECT = 30


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]


class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("namelen", ctypes.c_uint32),
                ("vector", ctypes.POINTER(Vector)), ("vectors", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int), ("length", ctypes.c_uint32)]


@attempt
def send_first(host, port, way):
    data = b"out of the jail"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        stream.settimeout(5)
        to = struct.pack("=H", socket.AF_INET) + struct.pack("!H", int(port)) + socket.inet_aton(host) + b"\0" * 8
        os.set_blocking(stream.fileno(), True)
        vector = Vector(data, len(data))
        message = Message(to, len(to), ctypes.pointer(vector), 1, None, 0, 0, 0)
        if way == "sendto":
            call(44, stream.fileno(), data, len(data), MSG_FASTOPEN, to, len(to))
        elif way == "sendmsg":
            call(46, stream.fileno(), ctypes.byref(message), MSG_FASTOPEN)
        elif way == "sendmmsg":
            call(307, stream.fileno(), ctypes.byref(message), 1, MSG_FASTOPEN)
        elif way == "option":
            stream.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
            stream.connect((host, int(port)))
            stream.sendall(data)
        if stream.recv(64) != data:
            raise RuntimeError("nothing")
