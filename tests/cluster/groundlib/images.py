"""What runs in the pods of the tests, as images: made from what is on this machine, cached, and never pulled.

`localhost/` in their names says that no registry has them; pods name them with `imagePullPolicy: Never`.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from . import containerd, gobuild, pytools
from .oci import Blob, Image, Layer, name_archive, write_archive
from .pyimage import python_layer, tools_layer
from .workspace import CACHE, REPO, GroundError, digest, locked, say, stamped

UNPACKED = CACHE / "images" / "containerd"
PROGRAMS = ("pause", "cat", "sdk-go")
# As ground.json has them.
NAMES = {"pause": "localhost/keyturn-test/pause:dev", "python": "localhost/keyturn-test/python:dev",
         "pythonOnly": "localhost/keyturn-test/python-only:dev", "sdkGo": "localhost/keyturn-test/sdk-go:dev"}
PATH = "PATH=/usr/local/bin:/usr/bin:/bin"


def prepare() -> None:
    """Make and unpack them, unless that was done already; the programs and the virtual environment are there."""
    here = Path(__file__).parent
    version = subprocess.run(["containerd", "--version"], capture_output=True, text=True).stdout
    value = digest(*(here / name for name in ("images.py", "pyimage.py", "oci.py", "containerd.py")), version,
                   *(gobuild.path_of(name) for name in PROGRAMS), pytools.VENV / ".stamp")
    stamp = UNPACKED.with_suffix(".stamp")
    if stamped(stamp, value):
        return
    with locked(UNPACKED.with_suffix(".lock"), "making the images"):
        if stamped(stamp, value):
            return
        begun = time.monotonic()
        stamp.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=UNPACKED.parent) as draft:
            archive = Path(draft, "images.oci.tar")
            write_archive(archive, _images(Path(draft)))
            containerd.unpack(archive, UNPACKED)
        stamp.write_text(value)
        say(f"  {'images of the tests':<24} {time.monotonic() - begun:6.1f} s")


def operator(binary_dir: Path, tag: str, out: Path) -> None:
    """The operator's own image from the project's Dockerfile, with a program that is built already on an empty base."""
    if not (binary_dir / "keyturn").is_file():
        raise GroundError(f"there is no keyturn in {binary_dir}")
    said = subprocess.run(["ldd", str(binary_dir / "keyturn")], capture_output=True, text=True)
    if not any(words in said.stdout + said.stderr for words in ("statically linked", "not a dynamic executable")):
        raise GroundError(f"{binary_dir / 'keyturn'} is not static: build it with RUSTFLAGS='-C target-feature=+crt-static'")
    name = tag if "/" in tag else f"localhost/{tag}"
    with tempfile.TemporaryDirectory() as place:
        # The directory may hold a whole build, and all of it would be copied.
        context = Path(place, "build")
        context.mkdir()
        shutil.copy2(binary_dir / "keyturn", context)
        buildah = ["buildah", "--storage-driver", "vfs", "--root", f"{place}/root", "--runroot", f"{place}/run"]
        for command in ([*buildah, "bud", "--isolation", "chroot", "--quiet", "--build-arg", "BASE=scratch",
                         "--build-context", f"build={context}", "--file", str(REPO / "Dockerfile"), "--tag", name,
                         # Nothing of the source is copied.
                         str(context)],
                        [*buildah, "push", "--quiet", "--disable-compression", name, f"oci:{place}/image"]):
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if done.returncode:
                raise GroundError(f"{' '.join(command[7:9])} failed: {done.stdout}{done.stderr}")
        name_archive(Path(place, "image"), name, out)
    print(name)


def _images(draft: Path) -> list[Image]:
    python, tools = python_layer(draft / "python.tar"), tools_layer(draft / "tools.tar")
    start_python = {"Env": [PATH, "PYTHONUNBUFFERED=1"], "Cmd": ["python3"]}
    return [
        Image(NAMES["pause"], [_programs(draft, "pause")], {"Entrypoint": ["/pause"]}),
        Image(NAMES["python"], [python, tools], start_python),
        Image(NAMES["pythonOnly"], [python], start_python),
        Image(NAMES["sdkGo"], [_programs(draft, "sdk-go", "cat")], {"Env": [PATH], "Entrypoint": ["/usr/bin/sdk-go"]}),
    ]


def _programs(draft: Path, *names: str) -> Blob:
    """A layer of static programs; the first one also at the root."""
    layer = Layer(draft / f"{names[0]}.tar")
    for name in names:
        layer.file(f"/usr/bin/{name}", gobuild.path_of(name), 0o755)
    layer.link(f"/{names[0]}", f"usr/bin/{names[0]}")
    layer.directory("/tmp", 0o1777)
    return layer.done()
