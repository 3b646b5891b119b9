import shutil, tempfile


@attempt
def run_as(name, way):
    url = f"http://{name}/stolen"
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "curl")
        shutil.copy("/usr/bin/curl", copy)
        program, after = copy, None
        if way == "memfd":
            memory = os.memfd_create("/usr/bin/curl")
            with open("/usr/bin/curl", "rb") as curl:
                os.write(memory, curl.read())
            program = f"/proc/self/fd/{memory}"
            os.set_inheritable(memory, True)
        elif way == "deleted":
            held = os.open(copy, os.O_RDONLY)
            os.unlink(copy)
            program = f"/proc/self/fd/{held}"
            os.set_inheritable(held, True)
        elif way == "renamed":
            program = os.path.join(folder, "usr-bin-curl (deleted)")
            os.rename(copy, program)
        elif way == "path":
            # The same path beneath another folder, and the name as the first argument.
            os.makedirs(folder + "/usr/bin")
            program = folder + "/usr/bin/curl"
            os.rename(copy, program)
        words = ["/usr/bin/curl", "-sS", "-m", "10", url]
        said = subprocess.run(words, executable=program, close_fds=False, capture_output=True)
    if said.stdout != b"hello":
        raise RuntimeError("denied" if b"policy_denied" in said.stdout else said)
