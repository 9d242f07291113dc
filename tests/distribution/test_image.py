"""The Dockerfile, as far as it can be judged without an engine: by a linter, and by what it says."""

import fnmatch
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    """Each instruction and what follows it, with continued lines joined and comments left out."""
    text = "\n".join(line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#"))
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(word, " ".join(rest.split())) for word, _, rest in (line.partition(" ") for line in lines)]


def last_stage() -> list[Instruction]:
    found = instructions()
    begins = max(number for number, (word, _) in enumerate(found) if word == "FROM")
    return found[begins:]


def only(word: str) -> str:
    (rest,) = [rest for name, rest in last_stage() if name == word]
    return rest


def test_a_linter_finds_nothing() -> None:
    linter = shutil.which("hadolint", path=sysconfig.get_path("scripts"))
    assert linter is not None
    done = subprocess.run([linter, "--no-color", str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_finds_a_fault(tmp_path: Path) -> None:
    linter = shutil.which("hadolint", path=sysconfig.get_path("scripts"))
    assert linter is not None
    (tmp_path / "Dockerfile").write_text("FROM python\nUSER root\n")
    assert subprocess.run([linter, str(tmp_path / "Dockerfile")], capture_output=True, check=False).returncode == 1


def test_what_runs_is_not_what_built(tmp_path: Path) -> None:
    stages = [rest for word, rest in instructions() if word == "FROM"]
    assert len(stages) == 2
    assert all(word != "COPY" or rest.startswith("--from=build ") for word, rest in last_stage())


def test_it_runs_as_nobody_of_importance_from_compiled_code() -> None:
    assert only("USER") == "10001"
    assert "--uid 10001" in only("RUN")
    assert any(word == "RUN" and "-m compileall" in rest for word, rest in instructions())
    assert not any("PYTHONDONTWRITEBYTECODE" in rest for _, rest in instructions())
    assert only("ENTRYPOINT") == '["python", "-m", "seedance_mcp"]'


def test_the_ledger_and_the_clips_outlive_the_container() -> None:
    volumes = re.findall(r'"([^"]+)"', only("VOLUME"))
    environment = dict(part.split("=", 1) for part in only("ENV").split())
    for name in ("LEDGER", "KEYSTORE", "OUTPUT_DIR"):
        path = Path(environment[f"SEEDANCE_{name}"].removeprefix("sqlite:"))
        assert any(path.is_relative_to(volume) for volume in volumes), name


def test_no_key_comes_by_the_environment() -> None:
    assert not any("PRIVATE_KEY" in rest for _, rest in instructions())
    assert "SEEDANCE_KEYSTORE_PASSWORD_FILE=/run/secrets/" in only("ENV")


def test_the_package_goes_where_the_images_python_looks_for_it() -> None:
    (stage, *_) = [rest for word, rest in instructions() if word == "FROM"]
    version = re.match(r"python:(\d+\.\d+)-slim", stage)
    assert version is not None
    copied = [rest for word, rest in instructions() if word == "COPY" and rest.startswith("seedance_mcp ")]
    assert copied == [f"seedance_mcp /opt/seedance/lib/python{version[1]}/site-packages/seedance_mcp"]


def test_what_is_copied_is_there_and_all_that_the_engine_is_sent() -> None:
    rules = (ROOT / ".dockerignore").read_text().split()
    copied = [rest.split()[0] for word, rest in instructions() if word == "COPY" and not rest.startswith("--from")]
    assert all((ROOT / source).exists() for source in copied)
    assert rules == ["*", *(f"!{source}" for source in copied), "**/__pycache__"]
    assert fnmatch.fnmatch("seedance_mcp/cli/__pycache__", rules[-1])
