"""The install script in a root of its own, and with the machine's programs replaced by ones that write down calls."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "jetson" / "deploy"
FILES = (
    "etc/systemd/system/edge-vss@.service",
    "etc/edge-vss/camera.toml",
    "etc/udev/rules.d/70-edge-vss.rules",
    "opt/edge-vss/share/edge-vss/installed",
)
Tree = dict[str, tuple[int, bytes]]


def install(*options: object, path: str | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": path or os.environ["PATH"]}
    command = ["sh", str(DEPLOY / "install.sh"), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def tree(root: Path) -> Tree:
    """Every entry with its mode, files with their content."""
    return {
        str(path.relative_to(root)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system with a file of its own where ours go."""
    root = tmp_path / "root"
    (root / "etc/udev/rules.d").mkdir(parents=True)
    (root / "etc/udev/rules.d/10-own.rules").write_text("# own\n")
    (root / "etc/hostname").write_text("orin\n")
    return root


def test_installed_twice_and_undone_the_tree_is_as_before(root: Path) -> None:
    before = tree(root)
    done = install("--root", root)
    assert done.returncode == 0, done.stderr
    after = tree(root)
    assert set(FILES) <= set(after) and before.items() <= after.items()
    unit = (root / FILES[0]).read_text()
    assert "ExecStart=/opt/edge-vss/bin/python -m edge_vss.jetson.service /etc/edge-vss/%i.toml" in unit
    assert "User=edge-vss\n" in unit and not any(line.count("@") > 1 for line in unit.splitlines())
    again = install("--root", root)
    assert again.returncode == 0 and again.stdout.count("there already") == 3
    assert tree(root) == after
    undone = install("--root", root, "--uninstall")
    assert undone.returncode == 0, undone.stderr
    assert tree(root) == before


def test_a_dry_run_changes_nothing(root: Path) -> None:
    before = tree(root)
    done = install("--root", root, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "would: install -m 0644" in done.stdout and tree(root) == before
    install("--root", root)
    installed = tree(root)
    done = install("--root", root, "--uninstall", "--dry-run")
    assert done.returncode == 0 and f"would: rm {root}/etc/edge-vss/camera.toml" in done.stdout
    assert tree(root) == installed


def test_a_configuration_that_was_changed_outlives_everything(root: Path) -> None:
    install("--root", root)
    config = root / "etc/edge-vss/camera.toml"
    config.write_text('bundle = "mine"\n')
    again = install("--root", root)
    assert f"kept, not as installed: {config}" in again.stdout
    undone = install("--root", root, "--uninstall")
    assert f"kept, was changed: {config}" in undone.stdout
    assert config.read_text() == 'bundle = "mine"\n'
    assert [str(path.relative_to(root)) for path in root.rglob("*edge-vss*")] == ["etc/edge-vss"]


def test_a_newer_version_replaces_files_that_nobody_has_changed(root: Path, tmp_path: Path) -> None:
    install("--root", root)
    newer = tmp_path / "newer"
    shutil.copytree(DEPLOY, newer)
    (newer / "edge-vss@.service").write_text("[Unit]\nDescription=newer\n")
    subprocess.run(["sh", newer / "install.sh", "--root", root], check=True, capture_output=True)
    assert (root / FILES[0]).read_text() == "[Unit]\nDescription=newer\n"
    before = {"etc", "etc/hostname", "etc/udev", "etc/udev/rules.d", "etc/udev/rules.d/10-own.rules"}
    assert install("--root", root, "--uninstall").returncode == 0 and set(tree(root)) == before


def test_another_prefix_and_user_reach_the_unit(root: Path) -> None:
    assert install("--root", root, "--prefix", "/srv/vss/", "--user", "camera").returncode == 0
    unit = (root / FILES[0]).read_text()
    assert "ExecStart=/srv/vss/bin/python" in unit and "User=camera\n" in unit
    assert install("--root", root, "--uninstall").returncode == 2, "the record lies under the other prefix"
    assert install("--root", root, "--uninstall", "--prefix", "/srv/vss").returncode == 0
    assert not (root / "srv").exists()


def test_a_folder_that_is_not_ours_is_left_alone(root: Path) -> None:
    (root / "opt/edge-vss").mkdir(parents=True)
    before = tree(root)
    done = install("--root", root)
    assert done.returncode == 2 and "there and not ours" in done.stderr and tree(root) == before


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--prefix", "opt"], "absolute path"),
        (["--prefix", "/"], "absolute path"),
        (["--prefix"], "wants a value"),
        (["--user", "Some One"], "small letters"),
        (["--prefix", "/a b"], "blanks"),
        (["--root", "/no/such/folder"], "no such folder"),
        (["--now"], "unknown option --now"),
    ],
)
def test_wrong_usage_is_one_line(options: list[str], reason: str) -> None:
    done = install("--dry-run", *options)
    assert done.returncode == 2 and reason in done.stderr and done.stderr.count("\n") == 1


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Programs that would change the machine; each writes down how it was called. Nobody is called edge-vss."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("useradd", "usermod", "userdel", "chown", "systemctl", "udevadm", "python3", "install", "mkdir", "rm"):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >>"$0.log"\n')
        (folder / name).chmod(0o755)
    (folder / "id").write_text('#!/bin/sh\n[ "$1" = -u ] && echo 0\n')
    (folder / "getent").write_text('#!/bin/sh\n[ "$2" != i2c ]\n')
    for name in ("id", "getent"):
        (folder / name).chmod(0o755)
    return folder


def test_a_machine_gets_a_user_with_the_groups_that_it_has_and_an_environment(programs: Path) -> None:
    done = install("--dry-run", "--from", "edge-vss==1", path=f"{programs}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    lines = [line.removeprefix("would: ") for line in done.stdout.splitlines()]
    assert any(line.startswith("useradd --system") and line.endswith("nologin edge-vss") for line in lines)
    joined = [line for line in lines if line.startswith("usermod")]
    assert joined == [f"usermod --append --groups {group} edge-vss" for group in ("video", "render")]
    assert "python3 -m venv --system-site-packages /opt/edge-vss" in lines
    assert any(line.endswith("--upgrade edge-vss==1") for line in lines)
    called = {log.name.removesuffix(".log") for log in programs.glob("*.log")}
    assert called <= {"rm"}, "a dry run removes its own scratch folder, no more"
