"""The README and the other pages: each name, default, limit, command and link in them is the program's own."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from html import unescape
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from mcp import Client

from seedance_mcp.cli import main
from seedance_mcp.guard.policy import BUILT_IN
from seedance_mcp.runtime import Runtime
from seedance_mcp.server import build_server
from seedance_mcp.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), ROOT / "skills" / "seedance" / "SKILL.md"]
README = (ROOT / "README.md").read_text()
SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "seedance_mcp").rglob("*.py")))
OWN = "seedance-mcp "


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's tables, without their heads."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = [number for number, row in enumerate(cells) if set("".join(row)) == {"-"}]
    return [row for number, row in enumerate(cells) if not {number, number + 1} & set(rules)]


def codes(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_settings_are_those_that_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Asked(dict[str, str]):
        names: set[str]

        def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
            self.names.add(name)
            return default

    monkeypatch.setenv("HOME", str(tmp_path))
    asked = Asked()
    asked.names = {"SEEDANCE_PRIVATE_KEY"}  # taken out of the environment, not asked for
    settings = Settings.from_env(asked)
    table = {codes(name)[0]: default for name, _, default in rows("Settings")}
    assert set(table) == asked.names
    for name, told in table.items():
        attribute = name.removeprefix(PREFIX).lower()
        value = getattr(settings, attribute, None) or getattr(settings, f"{attribute}s", None)
        if not value:
            assert told.startswith("none"), name
        elif isinstance(value, tuple):
            assert codes(told) == [",".join(value)]
        elif isinstance(value, Path) or value.startswith("sqlite:"):
            assert codes(told) == [Path(value).name]
        else:
            assert codes(told) == [value]


def test_the_policy_is_the_built_in_one() -> None:
    (policy,) = blocks(section("The policy"), "toml")
    assert tomllib.loads(policy) == tomllib.loads(BUILT_IN)


async def test_the_tools_and_resources_are_the_servers() -> None:
    def never() -> None:
        raise AssertionError("nothing has to be opened to be listed")

    async with Client(build_server(Runtime(never))) as client:  # type: ignore[arg-type]
        tools = [tool.name for tool in (await client.list_tools()).tools]
        fixed = [str(resource.uri) for resource in (await client.list_resources()).resources]
        patterns = [template.uri_template for template in (await client.list_resource_templates()).resource_templates]
    first = [codes(row[0]) for row in rows("The tools")]
    assert [names[0] for names in first if not names[0].startswith("seedance://")] == tools
    assert {name for names in first for name in names if name.startswith("seedance://")} == {*fixed, *patterns}


def leaves(group: click.Group, *path: str) -> Iterator[str]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from leaves(command, *path, name)
        else:
            yield " ".join((*path, name))


def named(line: str) -> Sequence[str]:
    """The commands that ``line`` names, as in ``wallet new|import``; its options and lists of choices are checked."""
    words = re.sub(r"[\[\]]", " ", line.replace("\\|", "|")).split()
    found: dict[str, click.Command] = {"": main}
    while words and any(isinstance(command, click.Group) for command in found.values()):
        if words[0].startswith("-") and list(found) == [""]:
            return []
        found = dict(_below(found, words.pop(0).split("|")))
    for number, word in enumerate(words):
        if word.startswith("--"):
            after = words[number + 1] if number + 1 < len(words) else ""
            for name, command in found.items():
                _check_option(line, name, command, word.partition("=")[0], after)
    return list(found)


def _below(groups: dict[str, click.Command], names: Sequence[str]) -> Iterator[tuple[str, click.Command]]:
    for path, group in groups.items():
        assert isinstance(group, click.Group), path
        for name in names:
            command = group.get_command(click.Context(group), name)
            assert command is not None, f"there is no {path} {name}"
            yield f"{path} {name}".strip(), command


def _check_option(line: str, name: str, command: click.Command, option: str, after: str) -> None:
    known = {flag: param for param in command.params for flag in (*param.opts, *param.secondary_opts)}
    if option in {"--help", "--version"}:
        return
    assert option in known, f"`{line}`: {name} has no {option}"
    if isinstance(kind := known[option].type, click.Choice) and "|" in after:
        assert after.split("|") == list(kind.choices), f"`{line}`"


def test_every_command_stands_in_the_table() -> None:
    cells = [line for row in rows("The operator's commands") for line in codes(row[0]) if line.startswith(OWN)]
    assert sorted({name for line in cells for name in named(line.removeprefix(OWN))}) == sorted(leaves(main))


@pytest.mark.parametrize("page", [*PAGES, ROOT / "seedance_mcp"], ids=lambda page: page.name)
def test_the_commands_that_are_named_exist(page: Path) -> None:
    """In running text, and in what the program itself advises."""
    for line in codes(SOURCE if page.is_dir() else page.read_text()):
        if line.startswith(OWN):
            assert named(line.removeprefix(OWN).replace("{", "<")) != [""]


def lines() -> Iterator[str]:
    for page in PAGES:
        for block in blocks(page.read_text(), "sh"):
            yield from (line for line in block.splitlines() if line and not line.startswith("#"))


ELSEWHERE = {
    r"pip install uv && .*requirements/demo\.txt": "tests/distribution/test_release.py",
    r"pip install uv && .*requirements/dev\.txt": ".ci/run",
    r"seedance-mcp buy --sandbox ": "tests/distribution/test_release.py",
    r"(claude|codex) mcp add ": "tests/test_clients.py",
    r"uv run --no-sync scripts/check ": ".ci/run",
    # It wants a package that is not pinned here, and five minutes.
    r"(npm install --prefix |uv run --no-sync scripts/compare --agentcash )": "scripts/compare",
}
"""Which lines are run by what; the last ones by hand."""


def run_here() -> list[str]:
    return [line for line in lines() if not any(re.match(pattern, line) for pattern in ELSEWHERE)]


def test_each_line_of_a_block_is_run_somewhere() -> None:
    for place in ELSEWHERE.values():
        assert (ROOT / place).is_file()
    assert [line for line in run_here() if not line.startswith(OWN)] == []


@pytest.mark.parametrize("line", run_here())
def test_a_line_works_in_an_empty_home(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new-policy.toml").write_text(blocks(section("The policy"), "toml")[0])
    (tmp_path / "new-policy.toml").chmod(0o600)
    done = CliRunner().invoke(main, shlex.split(line)[1:])
    assert done.exit_code == 0, done.output


def test_the_scripts_that_are_named_exist_and_are_run_as_they_can_be() -> None:
    told = "\n".join(page.read_text() for page in PAGES).replace("\\|", "|")
    scripts = set(re.findall(r"\bscripts/([a-z_]+)\b(?!\.py)", told))
    assert [name for name in scripts if not (ROOT / "scripts" / name).is_file()] == []
    ways = re.findall(r"\bscripts/(bench|soak|check) \[?([a-z|-]+)", told)
    assert {name for name, _ in ways} == {"bench", "soak", "check"}
    for name, words in ways:
        source = "".join(path.read_text() for path in (ROOT / "scripts").glob(f"{name}*") if path.is_file())
        assert [word for word in words.split("|") if not re.search(rf'(def |"){word}\b', source)] == []


def test_what_the_program_is_quoted_with_it_says() -> None:
    said = re.sub(r'"\s*\n\s*f?"', "", SOURCE)
    quoted = [code for row in rows("Trouble") for code in codes(row[0]) if " " in code and "ENOENT" not in code]
    assert quoted
    for words in quoted:
        assert [piece for piece in words.split("…") if piece.strip() not in said] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"', text):
        link = target[0] or target[1]
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        there = page if not path else page.parent / path
        assert there.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}, link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_are_named_exist(page: Path) -> None:
    """Below this folder, or below the package."""
    paths = re.findall(r"`([a-z_]+/[\w./-]*)`", page.read_text())
    assert [path for path in paths if not ((ROOT / path).exists() or (ROOT / "seedance_mcp" / path).exists())] == []


def test_the_extras_that_are_named_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(re.findall(r"seedance-mcp\[([a-z]+)\]", README)) <= set(project["optional-dependencies"])


def test_the_picture_is_of_this_demo() -> None:
    drawn = re.sub(r"<[^>]+>", "", (ROOT / "docs" / "demo.svg").read_text())
    drawn = unescape(drawn).replace("\N{NO-BREAK SPACE}", " ")
    source = (ROOT / "seedance_mcp" / "demo.py").read_text()
    steps = [step or other for step, other in re.findall(r"""_step\((?:"(.+)"|'(.+)')\)""", source)]
    assert len(steps) > 5
    assert [step for step in steps if f"> {step}" not in drawn] == []


def test_what_was_measured_is_told_alike() -> None:
    page = [line for line in (ROOT / "docs" / "comparison.md").read_text().splitlines() if line.startswith("| ")]
    told = [line for line in section("Beside other ways to pay").splitlines() if line.startswith("| ")]
    assert len(told) > 5
    assert set(told[1:]) < set(page)


def test_no_page_and_no_picture_tells_where_it_was_made() -> None:
    for path in [*PAGES, ROOT / "docs" / "demo.svg"]:
        assert not re.search(r"/(?:root|work|tmp|home)/(?!you\b)|npmjs\.|pypi\.org", path.read_text()), path


def test_the_example_of_the_configuration_is_that_of_a_client() -> None:
    config = json.loads((ROOT / "mcp.json.example").read_text())
    assert list(config["mcpServers"]) == ["seedance"]
