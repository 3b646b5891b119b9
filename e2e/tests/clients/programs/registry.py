"""Makes a registry of npm packages in the folder argv[1]: part-N, and one with a scope."""

import base64
import hashlib
import io
import json
import pathlib
import sys
import tarfile

root = pathlib.Path(sys.argv[1])
HOST = "https://npm.example.com"
COUNT = 60


def publish(name, needs):
    package = {"name": name, "version": "1.0.0", "main": "index.js", "dependencies": needs}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        texts = {"package.json": json.dumps(package), "index.js": f"module.exports = '{name}'\n"}
        for file, text in texts.items():
            entry = tarfile.TarInfo(f"package/{file}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    data = archive.getvalue()
    folder = root / name
    short = name.split("/")[-1]
    (folder / "-").mkdir(parents=True)
    (folder / "-" / f"{short}-1.0.0.tgz").write_bytes(data)
    digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
    tarball = f"{HOST}/{name}/-/{short}-1.0.0.tgz"
    package["dist"] = {"tarball": tarball, "integrity": f"sha512-{digest}"}
    about = {"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": package}}
    (folder / "about.json").write_text(json.dumps(about))


for number in range(COUNT):
    needs = [n for n in range(number * 6 + 1, number * 6 + 7) if n < COUNT]
    publish(f"part-{number}", {f"part-{need}": "1.0.0" for need in needs})
publish("@team/part", {"part-0": "^1.0.0"})
publish("secret", {})
