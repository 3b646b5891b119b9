@attempt
def leave_a_program(folder, way):
    path = os.path.join(folder, "left-" + way).encode()
    mode = 0o6755
    # Every way also passes bits beyond the 32 that the kernel looks at.
    wide = ctypes.c_long((1 << 40) | mode)
    create = os.O_CREAT | os.O_WRONLY
    if way not in ("open", "openat", "openat2", "creat", "mknod", "mknodat", "tmpfile"):
        os.close(os.open(path, create, 0o644))
    if way == "chmod":
        call(90, path, wide)
    elif way == "fchmod":
        call(91, os.open(path, os.O_RDONLY), wide)
    elif way == "fchmodat":
        call(268, -100, path, wide)
    elif way == "fchmodat2":
        call(452, -100, path, wide, 0)
    elif way == "open":
        call(2, path, create, wide)
    elif way == "openat":
        call(257, -100, path, create, wide)
    elif way == "creat":
        call(85, path, wide)
    elif way == "openat2":
        call(437, -100, path, struct.pack("=3Q", create, mode, 0), 24)
    elif way == "mknod":
        call(133, path, ctypes.c_long(0o100000 | mode), 0)
    elif way == "mknodat":
        call(259, -100, path, ctypes.c_long(0o100000 | mode), 0)
    elif way == "tmpfile":
        made = call(257, -100, folder.encode(), os.O_TMPFILE | os.O_WRONLY, wide)
        call(265, -100, f"/proc/self/fd/{made}".encode(), -100, path, 0x400)
    found = os.stat(path).st_mode
    if not found & 0o6000:
        raise RuntimeError(oct(found))
    return oct(found)
