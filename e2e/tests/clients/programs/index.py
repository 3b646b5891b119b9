"""Makes an index of packages in the folder argv[2]: of the wheels in argv[1], and of small ones."""

import pathlib
import shutil
import sys
import zipfile

wheels, root = map(pathlib.Path, sys.argv[1:])
COUNT = 150
files = root / "files"
files.mkdir()
for wheel in wheels.glob("*.whl"):
    shutil.copy(wheel, files)
for number in range(COUNT + 1):
    # Number n needs 6n + 1 to 6n + 6; the last one stands alone.
    needs = [n for n in range(number * 6 + 1, number * 6 + 7) if n < COUNT]
    name = f"part_{number}"
    about = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    metadata += "".join(f"Requires-Dist: part_{need}\n" for need in needs)
    with zipfile.ZipFile(files / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"number = {number}\n")
        wheel.writestr(f"{about}/METADATA", metadata)
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", f"{name}.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
pages = {}
for wheel in sorted(files.iterdir()):
    name = wheel.name.split("-")[0].lower().replace("_", "-")
    pages[name] = pages.get(name, "") + f'<a href="/files/{wheel.name}">{wheel.name}</a><br>\n'
for name, links in pages.items():
    folder = root / "simple" / name
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
