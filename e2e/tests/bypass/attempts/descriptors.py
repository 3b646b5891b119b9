@attempt
def read_what_is_open(secret):
    seen = []
    for descriptor in range(3, 256):
        try:
            seen.append(f"{descriptor}={os.readlink(f'/proc/self/fd/{descriptor}')}")
            os.lseek(descriptor, 0, os.SEEK_SET)
            if secret.encode() in os.read(descriptor, 4096):
                return f"read from {descriptor}"
        except OSError:
            pass
    raise RuntimeError(" ".join(["nothing"] + seen))
