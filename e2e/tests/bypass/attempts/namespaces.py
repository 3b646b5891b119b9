import platform

CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS = 0x10000000, 0x40000000, 0x00020000
SIGCHLD = 17


@attempt
def nest(way):
    if way == "unshare":
        call(272, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)
        return os.readlink("/proc/self/ns/net")
    if way == "clone":
        # With no stack of its own it returns twice, as fork does.
        child = call(56, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)
    else:
        arguments = struct.pack("=8Q", CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0)
        child = call(435, arguments, len(arguments))
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
