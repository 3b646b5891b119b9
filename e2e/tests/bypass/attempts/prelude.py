# Stands before every attempt. The last line of the output says what came of it:
# `succeeded ...`, or `failed ERRNO`, or `failed` and a word.
import ctypes, errno, os, signal, socket, struct, subprocess, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
socket.setdefaulttimeout(5)


def call(number, *arguments):
    """A system call by its number on x86-64; raises what it answers."""
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = libc.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def address(host, port):
    """The family and the address of a literal."""
    return (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, int(port))


def echoed(stream):
    """What comes back over a connection to a server that sends back what it gets."""
    stream.sendall(b"out of the jail")
    got = stream.recv(64)
    if got != b"out of the jail":
        raise RuntimeError("nothing")
    return "it came back"


def attempt(function):
    try:
        print("succeeded", function(*sys.argv[1:]) or "", flush=True)
    except OSError as error:
        name = errno.errorcode.get(error.errno, type(error).__name__)
        print("failed", "EOPNOTSUPP" if name == "ENOTSUP" else name, flush=True)
    except RuntimeError as error:
        print("failed", error, flush=True)
