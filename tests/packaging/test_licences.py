"""Every dependency, its licence, and none under the GPL."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]

LICENCES = {
    "annotated-doc": "MIT",
    "annotated-types": "MIT",
    "ast-serialize": "MIT",
    "av": "BSD",
    "clang-format": "Apache",
    "click": "BSD",
    "colorama": "BSD",
    "contourpy": "BSD",
    "cycler": "BSD",
    "filelock": "MIT",
    "flatbuffers": "Apache",
    "fonttools": "MIT",
    "fsspec": "BSD",
    "grimp": "BSD",
    "hypothesis": "MPL",
    "import-linter": "BSD",
    "importlib-resources": "Apache",
    "iniconfig": "MIT",
    "jinja2": "BSD",
    "kiwisolver": "BSD",
    "librt": "MIT",
    "markdown-it-py": "MIT",
    "markupsafe": "BSD",
    "matplotlib": "Python Software Foundation",
    "mdurl": "MIT",
    "ml-dtypes": "Apache",
    "mpmath": "BSD",
    "msgspec": "BSD",
    "mypy": "MIT",
    "mypy-extensions": "MIT",
    "nanobind": "BSD",
    "networkx": "BSD",
    "ninja": "Apache",
    "nlohmann-json": "MIT",
    "numpy": "BSD",
    "onnx": "Apache",
    "onnx-ir": "Apache",
    "onnxruntime": "MIT",
    "onnxscript": "MIT",
    "onnxslim": "MIT",
    "opencv-python-headless": "Apache",
    "packaging": "Apache",
    "pathspec": "Mozilla",
    "pillow": "MIT",
    "pluggy": "MIT",
    "protobuf": "BSD",
    "pycuda": "MIT",
    "pydantic": "MIT",
    "pydantic-core": "MIT",
    "pygments": "BSD",
    "pyparsing": "MIT",
    "pytest": "MIT",
    "pytest-timeout": "MIT",
    "python-dateutil": "BSD",
    "rich": "MIT",
    "ruff": "MIT",
    "safetensors": "Apache",
    "scikit-build-core": "Apache",
    "scipy": "BSD",
    "setuptools": "MIT",
    "shellingham": "ISC",
    "sortedcontainers": "Apache",
    "sympy": "BSD",
    "tomli": "MIT",
    "torch": "Apache",
    "typer": "MIT",
    "typing-extensions": "PSF",
    "typing-inspection": "MIT",
    "tzdata": "Apache",
}
"""Dependency -> licence family. A new dependency is looked up and entered here."""
PERMITTED = {"MIT", "BSD", "Apache", "ISC", "PSF", "Python Software Foundation", "MPL", "Mozilla"}
BACKENDS_OF_TORCH = re.compile(r"nvidia-|cuda-|triton")
"""What torch's CUDA build adds on its own; it is no dependency of ours and the CPU build has none of it."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def direct() -> list[str]:
    """Requirement strings of pyproject.toml, extras included; read without tomllib, which 3.10 lacks."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = text[text.index("[project]") : text.index("[project.scripts]")]
    lists = re.findall(r"^(?:dependencies|train|jetson|dev) = \[(.*?)\]$", project, re.DOTALL | re.MULTILINE)
    return [match for found in lists for match in re.findall(r'"([^"]+)"', found)]


def closure() -> set[str]:
    """Names of everything installed that our requirements lead to."""
    found: set[str] = set()
    todo = [Requirement(text) for text in direct()]
    while todo:
        requirement = todo.pop()
        name = canonical(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        try:
            todo += [Requirement(text) for text in metadata.distribution(name).requires or ()]
        except metadata.PackageNotFoundError:
            continue
    return found


def stated_licence(name: str) -> str:
    facts = metadata.metadata(name)
    classifiers = [line for line in facts.get_all("Classifier") or [] if line.startswith("License")]
    return " ".join([facts.get("License-Expression") or "", (facts.get("License") or "")[:200], *classifiers])


def test_every_dependency_is_listed_with_its_licence() -> None:
    unlisted = {name for name in closure() - set(LICENCES) if not BACKENDS_OF_TORCH.match(name)}
    assert not unlisted, f"look up the licence of {sorted(unlisted)} and list it"
    assert set(LICENCES.values()) <= PERMITTED


@pytest.mark.parametrize("name", sorted(LICENCES))
def test_a_dependency_states_the_listed_licence_and_no_gpl(name: str) -> None:
    try:
        stated = stated_licence(name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed here")
    assert LICENCES[name].lower() in stated.lower()
    assert not re.search(r"\bA?GPL|GNU (Affero )?General", stated), stated


def test_the_project_itself_is_apache_licensed() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
