"""Fetches TensorRT's real Python bindings and loads them over empty stand-ins for its libraries.

The bindings are a wheel of their own, without the libraries that compute; what they need of those are some C entry
points. So every class, method and enumeration can be looked at without a GPU; only calling them is not possible.

``python tests/jetson/bindings.py`` fetches the wheels into ``build/tensorrt-bindings``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

WHEELS = {"tensorrt-cu12-bindings": "10.3.0", "tensorrt-cu13-bindings": "11.4.0.106"}
"""The oldest version that is supported (JetPack 6.1), and the newest that was looked at."""
FOLDER = Path(__file__).parents[2] / "build" / "tensorrt-bindings"
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
ENTRY_POINTS = (
    "createInferBuilder_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "getPluginRegistry",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "initLibNvInferPlugins",
    "getInferLibVersion",
    "getLogger",
)


def fetch(package: str, folder: Path = FOLDER) -> Path:
    """The wheel of a package, from the folder or the package index.

    Raises:
        RuntimeError: It cannot be had; the message holds what pip says.
    """
    version = WHEELS[package]
    pattern = f"{package.replace('-', '_')}-{version}-cp{sys.version_info.major}{sys.version_info.minor}-*.whl"
    if not list(folder.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        done = subprocess.run([*command, f"{package}=={version}"], capture_output=True, text=True, check=False)
        if done.returncode or not list(folder.glob(pattern)):
            raise RuntimeError(f"pip cannot download {package}=={version}: {done.stderr[-2000:]}")
    return next(folder.glob(pattern))


def unpack(wheel: Path, folder: Path) -> dict[str, str]:
    """Unpack a wheel beside stand-ins for its libraries.

    Returns:
        The environment in which Python finds both.
    """
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    major = wheel.name.split("-")[1].partition(".")[0]
    source = folder / "empty.c"
    source.write_text("\n".join(f"void* {name}(void) {{ return 0; }}" for name in ENTRY_POINTS))
    for library in LIBRARIES:
        name = f"lib{library}.so.{major}"
        command = [os.environ.get("CC", "cc"), "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(folder / name)]
        subprocess.run([*command, str(source)], check=True, capture_output=True)
    return {**os.environ, "PYTHONPATH": str(folder), "LD_LIBRARY_PATH": str(folder)}


def ask(environment: dict[str, str], uses: dict[str, Any], script: Path) -> dict[str, Any]:
    """Run ``script``, which gets ``uses`` and prints its answer, both as JSON, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(script)],
        input=json.dumps(uses),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the bindings do not load: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    for each in WHEELS:
        print(fetch(each))
