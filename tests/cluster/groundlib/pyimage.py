"""Python with boto3, the AWS CLI and Dataiku's client, as layers of an image.

The machine's own Python and its shared libraries, with the packages of the ground's virtual environment: what a test
does in a pod it can do outside, too. DataRobot's client is left out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from . import pytools
from .oci import Blob, Layer
from .workspace import GroundError

# Of the standard library and of the packages: what no workload needs, and ministack, which is the AWS itself.
LEFT_OUT = {"test", "tests", "idlelib", "turtledemo", "tkinter", "ensurepip", "lib2to3", "site-packages",
            "dist-packages", "__pycache__", "ministack", "pip", "setuptools", "_distutils_hack", "examples",
            "distutils-precedence.pth", "EXTERNALLY-MANAGED"}
# DataRobot's client and what it alone needs. No pod runs it, and the image would be 173 MB larger. Other packages carry
# some of these inside.
DATAROBOT = ("_dr_dev_plugin", "datarobot", "numpy", "pandas", "pytz", "requests_toolbelt", "strenum", "trafaret",
             "typing_extensions", "tzdata")
LEFT_OUT_BEGINNINGS = ("config-", "_tkinter.")
LEFT_OUT_ENDINGS = (".pyc", ".a", ".exe")
TOOLS = ("sh", "cat", "ls", "sleep", "env", "date")
USERS = b"root:x:0:0:root:/root:/bin/sh\nnonroot:x:65532:65532:nonroot:/home/nonroot:/bin/sh\n"
GROUPS = b"root:x:0:\nnonroot:x:65532:\n"


def python_layer(path: Path) -> Blob:
    """Python below /usr/local, and nothing else that could be started but `aws`."""
    about = _python()
    version, layer = about["version"], Layer(path)
    home = f"/usr/local/lib/python{version}"
    objects = [Path(about["program"])]
    layer.file(f"/usr/local/bin/python{version}", objects[0].resolve(), 0o755)
    for alias in ("python3", "python"):
        layer.link(f"/usr/local/bin/{alias}", f"python{version}")
    objects += _tree(layer, Path(about["stdlib"]), home)
    objects += _tree(layer, Path(about["packages"]), f"{home}/site-packages")
    # A Debian's Python looks for packages elsewhere; this line is read by any.
    layer.file(f"{home}/dist-packages/site-packages.pth", f"{home}/site-packages\n".encode())
    command = pytools.tool("aws").read_text().partition("\n")[2]
    layer.file("/usr/local/bin/aws", f"#!/usr/local/bin/python3\n{command}".encode(), 0o755)
    _libraries(layer, objects)
    layer.file("/etc/passwd", USERS)
    layer.file("/etc/group", GROUPS)
    layer.directory("/tmp", 0o1777)
    layer.directory("/home/nonroot", 0o777)
    return layer.done()


def tools_layer(path: Path) -> Blob:
    """A shell, `cat` and a few others."""
    layer = Layer(path)
    programs = []
    for name in TOOLS:
        program = shutil.which(name)
        if program is None:
            raise GroundError(f"there is no {name} to put into an image")
        programs.append(Path(program).resolve())
        layer.file(f"/usr/bin/{name}", programs[-1], 0o755)
        layer.link(f"/bin/{name}", f"../usr/bin/{name}")
    _libraries(layer, programs)
    return layer.done()


@cache
def _python() -> dict[str, str]:
    """About the Python that the virtual environment was made from."""
    said = subprocess.run([str(pytools.tool("python")), "-c", "import json, sys, sysconfig; print(json.dumps("
                           "{'program': sys._base_executable, 'version': '%d.%d' % sys.version_info[:2],"
                           " 'stdlib': sysconfig.get_path('stdlib'), 'packages': sysconfig.get_path('purelib')}))"],
                          capture_output=True, text=True, check=True).stdout
    found: dict[str, str] = json.loads(said)
    return found


def _tree(layer: Layer, source: Path, target: str) -> list[Path]:
    """A directory without what is left out; its shared objects are returned."""
    objects = []
    for place, directories, files in os.walk(source):
        if Path(place) == source:
            directories[:] = [name for name in directories if not name.startswith(DATAROBOT)]
            files = [name for name in files if not name.startswith(DATAROBOT)]
        directories[:] = sorted(filter(_is_wanted, directories))
        for name in sorted(filter(_is_wanted, files)):
            file = Path(place, name)
            layer.file(f"{target}/{file.relative_to(source)}", file, 0o755 if os.access(file, os.X_OK) else 0o644)
            if ".so" in name:
                objects.append(file)
    return objects


def _is_wanted(name: str) -> bool:
    return not (name in LEFT_OUT or name.startswith(LEFT_OUT_BEGINNINGS) or name.endswith(LEFT_OUT_ENDINGS))


def _libraries(layer: Layer, objects: list[Path]) -> None:
    """The shared libraries of these programs and objects, at the places where their loader looks."""
    found: set[str] = set()
    for start in range(0, len(objects), 50):
        said = subprocess.run(["ldd", *map(str, objects[start:start + 50])], capture_output=True, text=True).stdout
        found.update(re.findall(r"(?:=> |^\t)(/\S+) \(0x", said, re.MULTILINE))
    for library in sorted(found):
        layer.file(library, Path(library).resolve(), 0o755)
