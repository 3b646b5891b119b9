PTRACE_SEIZE, PTRACE_ATTACH = 0x4206, 16


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


@attempt
def look_into(pid, way):
    pid = int(pid)
    if way == "seize":
        call(101, PTRACE_SEIZE, pid, 0, 0)
    elif way == "attach":
        call(101, PTRACE_ATTACH, pid, 0, 0)
    elif way == "signal":
        os.kill(pid, 0)
        os.kill(pid, signal.SIGUSR1)
    elif way == "pidfd":
        signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGUSR1)
    elif way == "descriptors":
        call(438, os.pidfd_open(pid), 0, 0)
    elif way == "memory":
        own = ctypes.create_string_buffer(8)
        local = Vector(ctypes.addressof(own), 8)
        with open(f"/proc/{pid}/maps") as maps:
            start = int(maps.readline().split("-")[0], 16)
        call(310, pid, ctypes.byref(local), 1, ctypes.byref(Vector(start, 8)), 1, 0)
    elif way == "mem":
        with open(f"/proc/{pid}/mem", "r+b", buffering=0):
            return "opened"
    elif way == "root":
        return " ".join(os.listdir(f"/proc/{pid}/root/"))
    elif way == "fd":
        return " ".join(os.listdir(f"/proc/{pid}/fd"))
    elif way == "environ":
        with open(f"/proc/{pid}/environ", "rb") as environ:
            return str(len(environ.read()))
    else:
        raise RuntimeError("no such way")
