"""Plants secrets, and looks for them, in every form. They come as `NAME=SECRET` with the secret
written backwards, so that nothing finds them in this program itself.

    plant SECRETS FOLDER...       one file for each form
    search SECRETS SINCE ROOT...  prints `NAME FORM PLACE` for each that is found
    memory SECRETS PID...         looks there, and prints `refused - PID` where it may not
    hold SECRETS                  waits for the end of its input, and aborts

A ROOT is a folder, of which the files are read that changed SINCE (nanoseconds), or `pid:N` for what
/proc says of a process. The folder /proc is read as a whole."""
import base64, gzip, os, stat, sys, urllib.parse, zlib

LIMIT = 64 * 1024 * 1024
verb, rest = sys.argv[1], sys.argv[3:]
pairs = (pair.split("=") for pair in sys.argv[2].split(","))
secrets = {name: secret[::-1] for name, secret in pairs}

def halves(secret):
    """A part of a secret is a secret: what any of its halves is found by."""
    middle = len(secret) // 2
    return [secret[:middle].encode(), secret[middle:].encode()]

def base64s(part):
    """Base64 at each of the three places in its groups, without what its neighbours change."""
    for start in range(3):
        text = base64.b64encode(b"\0" * start + part)
        yield text[[0, 2, 3][start] : len(text) - 4]

def forms(secret):
    for part in halves(secret):
        yield "plain", part
        for text in base64s(part):
            yield "base64", text
            yield "base64", text.translate(bytes.maketrans(b"+/", b"-_"))
        yield "hex", part.hex().encode()
        yield "hex", part.hex().upper().encode()
        percent = urllib.parse.quote(part.decode(), safe="")
        yield "percent", percent.encode()
        yield "percent", percent.replace("%2F", "%2f").replace("%2B", "%2b").encode()

needles = [(name, form, text) for name, secret in secrets.items() for form, text in forms(secret)]
needles = list(dict.fromkeys(needles))

def unpacked(data):
    """What any stream of gzip within it holds."""
    at = data.find(b"\x1f\x8b\x08")
    while at >= 0:
        try:
            yield zlib.decompressobj(31).decompress(data[at:], LIMIT)
        except zlib.error:
            pass
        at = data.find(b"\x1f\x8b\x08", at + 1)

def look(place, data):
    found = set()
    for kind, view in [("", data), *(("gzip-", view) for view in unpacked(data))]:
        joined = view.translate(None, b" \t\r\n\0\\")
        for name, form, text in needles:
            if text in view:
                found.add((name, kind + form))
            elif text in joined:
                found.add((name, kind + "split-" + form))
    for name, form in sorted(found):
        print(name, form, place, flush=True)

def read(path):
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return b""
    data = b""
    try:
        while len(data) < LIMIT and (more := os.read(descriptor, 1024 * 1024)):
            data += more
    except OSError:
        pass
    os.close(descriptor)
    return data

def files(root, since):
    for folder, folders, names in os.walk(root):
        if folder == "/":
            folders[:] = [name for name in folders if name not in ("proc", "sys")]
        for name in names:
            path = os.path.join(folder, name)
            try:
                about = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(about.st_mode) and about.st_ctime_ns >= since:
                yield path

def search(root, since):
    if root.startswith("pid:"):
        for name in ("environ", "cmdline", "comm", "status", "maps", "mountinfo"):
            path = f"/proc/{root[4:]}/{name}"
            look(path, read(path))
        return
    if root == "/proc":
        shown = set(os.listdir("/proc")) - {"kmsg", "kcore", "self", "thread-self"}
        for name in sorted(shown):
            if name.isdigit():
                search(f"pid:{name}", since)
                continue
            path = f"/proc/{name}"
            for path in [path] if os.path.isfile(path) else files(path, 0):
                look(path, read(path))
        return
    for path in files(root, since):
        look(path, read(path))

def plant(folder, secret):
    text = secret.encode()

    def lines(text):
        return b"\n".join(text[at : at + 7] for at in range(0, len(text), 7))

    texts = {
        "plain": text,
        "split-plain": lines(text),
        "base64": base64.b64encode(b"user:" + text),
        "split-base64": lines(base64.b64encode(text)),
        "hex": text.hex().encode(),
        "percent": urllib.parse.quote(secret, safe="").encode(),
        "gzip-plain": b"before" + gzip.compress(text),
    }
    for form, data in texts.items():
        with open(os.path.join(folder, f"planted-{form}"), "wb") as file:
            file.write(data)

def memory(pid):
    try:
        spans = [line.split(" ", 2) for line in open(f"/proc/{pid}/maps")]
        with open(f"/proc/{pid}/mem", "rb", 0) as file:
            for span, rights, _ in spans:
                start, end = (int(word, 16) for word in span.split("-"))
                if rights[:2] != "rw" or end - start > LIMIT:
                    continue
                try:
                    file.seek(start)
                    look(f"memory:{pid}", file.read(end - start))
                except (OSError, ValueError, OverflowError):
                    pass
    except OSError:
        print("refused", "-", pid, flush=True)

if verb == "plant":
    for folder in rest:
        plant(folder, *secrets.values())
elif verb == "search":
    for root in rest[1:]:
        search(root, int(rest[0]))
elif verb == "memory":
    for pid in rest:
        memory(pid)
elif verb == "hold":
    print("holding", flush=True)
    sys.stdin.read()
    os.abort()
