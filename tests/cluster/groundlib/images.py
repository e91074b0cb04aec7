"""What runs in the pods of the tests, as images: made from what is on this machine, cached, and never pulled.

`localhost/` in their names says that no registry has them; pods name them with `imagePullPolicy: Never`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from . import containerd, gobuild, pytools
from .oci import Blob, Image, Layer, name_archive, write_archive
from .pyimage import python_layer, tools_layer
from .workspace import CACHE, REPO, GroundError, digest, locked, say

PROGRAMS = ("pause", "cat", "sdk-go")
# Those of the operator's image.
OPERATOR_PROGRAMS = ("keyturn", "keyturn-endpoint")
# As ground.json has them.
NAMES = {"pause": "localhost/keyturn-test/pause:dev", "python": "localhost/keyturn-test/python:dev",
         "pythonOnly": "localhost/keyturn-test/python-only:dev", "sdkGo": "localhost/keyturn-test/sdk-go:dev"}
# Where a Debian has them.
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
PATH = "PATH=/usr/local/bin:/usr/bin:/bin"


def prepare() -> Path:
    """Make and unpack them, unless that was done already; the directory. The programs and the virtual environment
    that they are made from are there."""
    version = subprocess.run(["containerd", "--version"], capture_output=True, text=True).stdout
    value = digest(_recipe(), Path(__file__).with_name("containerd.py"), version)
    unpacked = CACHE / "images" / value[:16]
    if unpacked.is_dir():
        return unpacked
    with locked(CACHE / "images" / ".lock", "making the images"):
        if not unpacked.is_dir():
            begun = time.monotonic()
            with tempfile.TemporaryDirectory(dir=unpacked.parent, prefix=".making-") as draft:
                archive, root = Path(draft, "images.oci.tar"), Path(draft, "unpacked")
                write_archive(archive, _images(Path(draft)))
                containerd.unpack(archive, root)
                os.replace(root, unpacked)
            say(f"  {'images of the tests':<24} {time.monotonic() - begun:6.1f} s")
            _remove_older(unpacked)
    return unpacked


def archive() -> Path:
    """Make them as an archive, unless that was done already, for a cluster that is not the ground's own; the file."""
    made = CACHE / "images" / f"{_recipe()[:16]}.oci.tar"
    with locked(CACHE / "images" / ".lock", "making the images"):
        if not made.is_file():
            begun = time.monotonic()
            for older in made.parent.glob("*.oci.tar"):
                older.unlink()
            with tempfile.TemporaryDirectory(dir=made.parent, prefix=".making-") as draft:
                write_archive(made, _images(Path(draft)))
            say(f"  {'archive of the images':<24} {time.monotonic() - begun:6.1f} s")
    return made


def _recipe() -> str:
    """All that they are made from, as one digest."""
    here = Path(__file__).parent
    return digest(*(here / name for name in ("images.py", "pyimage.py", "oci.py")),
                  *(gobuild.path_of(name) for name in PROGRAMS), pytools.VENV / ".stamp")


def use(unpacked: Path) -> None:
    """Keep this directory from being removed for as long as this process lives."""
    opened = os.open(unpacked, os.O_RDONLY)
    fcntl.flock(opened, fcntl.LOCK_SH)


def _remove_older(unpacked: Path) -> None:
    for other in unpacked.parent.iterdir():
        if other == unpacked or not other.is_dir():
            continue
        opened = os.open(other, os.O_RDONLY)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(other)
        except BlockingIOError:
            pass  # a running ground shows it to its pods
        finally:
            os.close(opened)


def operator(binary_dir: Path, tag: str, out: Path) -> None:
    """The operator's own image from the project's Dockerfile, with programs that are built already. In place of the
    Dockerfile's base there is one with this machine's CA certificates, without which the operator does not start."""
    programs = [binary_dir / name for name in OPERATOR_PROGRAMS]
    for program in programs:
        if not program.is_file():
            raise GroundError(f"there is no {program.name} in {binary_dir}")
        said = subprocess.run(["ldd", str(program)], capture_output=True, text=True)
        if not any(words in said.stdout + said.stderr for words in ("statically linked", "not a dynamic executable")):
            raise GroundError(f"{program} is not static: build it with RUSTFLAGS='-C target-feature=+crt-static'")
    if not AUTHORITIES.is_file():
        raise GroundError(f"there are no CA certificates at {AUTHORITIES} (Debian: apt-get install ca-certificates)")
    name = tag if "/" in tag else f"localhost/{tag}"
    with tempfile.TemporaryDirectory() as place:
        # The directory may hold a whole build, and all of it would be copied.
        context = Path(place, "build")
        context.mkdir()
        for program in programs:
            shutil.copy2(program, context)
        names = context / "names"
        names.mkdir()
        for name_of_link in ("kubectl-keyturn", "kubectl_complete-keyturn"):
            (names / name_of_link).symlink_to("keyturn")
        base = Layer(Path(place, "base.tar"))
        base.file("/etc/ssl/certs/ca-certificates.crt", AUTHORITIES)
        base.directory("/tmp", 0o1777)
        write_archive(Path(place, "base"), [Image("localhost/base:dev", [base.done()], {})])
        # The context is that directory, too: nothing of the source is copied.
        _buildah(place, "bud", "--isolation", "chroot", "--file", str(REPO / "Dockerfile"), "--tag", name,
                 "--build-arg", f"BASE=oci-archive:{place}/base", "--build-context", f"build={context}", str(context))
        _buildah(place, "push", name, f"oci:{place}/image")
        name_archive(Path(place, "image"), name, out)
    print(name)


def _buildah(place: str, command: str, *args: str) -> None:
    """Everything that it keeps stays in this place."""
    done = subprocess.run(["buildah", "--storage-driver", "vfs", "--root", f"{place}/root", "--runroot", f"{place}/run",
                           command, "--quiet", *args], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise GroundError(f"buildah {command} failed: {done.stdout}{done.stderr}")


def _images(draft: Path) -> list[Image]:
    python, tools = python_layer(draft / "python.tar"), tools_layer(draft / "tools.tar")
    with_shell = Layer(draft / "with-shell.tar")
    with_shell.file("/usr/bin/sdk-go", gobuild.path_of("sdk-go"), 0o755)
    start_python = {"Env": [PATH, "PYTHONUNBUFFERED=1"], "Cmd": ["python3"]}
    return [
        Image(NAMES["pause"], [_programs(draft, "pause")], {"Entrypoint": ["/pause"]}),
        Image(NAMES["python"], [python, tools, with_shell.done()], start_python),
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
