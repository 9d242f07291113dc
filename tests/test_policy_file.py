import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seedance_mcp.errors import InvalidPolicy
from seedance_mcp.guard.policy import BUILT_IN, parse_policy
from seedance_mcp.ledger.sqlite import SQLite
from seedance_mcp.policy_file import LARGEST, PolicyFile, read_policy

STRICT = BUILT_IN.replace('per_payment = "2.50"', 'per_payment = "0.50"')
STRICTER = BUILT_IN.replace('per_payment = "2.50"', 'per_payment = "0.05"')

posix = pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy.toml"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SQLite]:
    database = await SQLite.open(tmp_path / "ledger.db", "real")
    yield database
    await database.close()


def write(path: Path, text: str | bytes) -> Path:
    """A new file in place of the old one, as editors do it."""
    new = path.with_name("new")
    new.write_bytes(text if isinstance(text, bytes) else text.encode())
    new.chmod(0o600)
    return new.replace(path)


def remove(path: Path) -> None:
    path.unlink()


def open_to_others(path: Path, text: str) -> None:
    path.chmod(0o666)
    path.write_text(text)


def policy_file(path: Path, database: SQLite, *, named: bool = False) -> PolicyFile:
    return PolicyFile(path, named=named, writable=(), database=database)


def refused(path: Path, *writable: Path) -> InvalidPolicy:
    with pytest.raises(InvalidPolicy) as caught:
        read_policy(path, writable)
    return caught.value


def test_a_file_is_read(path: Path) -> None:
    write(path, STRICT)
    assert read_policy(path, []) == parse_policy(STRICT)


def test_no_file_is_no_policy(path: Path) -> None:
    assert read_policy(path, []) is None


def test_a_mistake_is_told_with_the_file_and_who_can_mend_it(path: Path) -> None:
    write(path, STRICT.replace("per_day", "per_dya"))
    error = refused(path)
    told = "the policy has an unknown key `caps.per_dya`; did you mean `per_day`? (at line 5, column 1)"
    assert error.what == f"{path}: {told}"
    assert error.next == "Ask the operator to mend the policy file; nothing is bought until then."


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(path: Path, mode: int) -> None:
    write(path, STRICT).chmod(mode)
    error = refused(path)
    assert error.what == f"the policy file {path} can be written by other users"
    assert error.next == f"Run `chmod 600 {path}`."
    path.chmod(0o644)
    assert read_policy(path, []) is not None


def test_a_file_among_the_agent_s_files_is_refused(tmp_path: Path) -> None:
    images = tmp_path / "images"
    (images / "deep").mkdir(parents=True)
    path = write(images / "deep" / "policy.toml", STRICT)
    assert "where an agent's files are" in refused(path, tmp_path / "clips", images).what
    assert read_policy(path, [tmp_path / "clips"]) is not None


@posix
def test_a_link_into_the_agent_s_files_is_refused(path: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    path.symlink_to(write(images / "policy.toml", STRICT))
    assert "where an agent's files are" in refused(path, images).what


@posix
def test_the_agent_s_folder_is_known_behind_a_link_as_well(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (tmp_path / "link").symlink_to(images)
    assert "where an agent's files are" in refused(write(images / "policy.toml", STRICT), tmp_path / "link").what


def test_what_is_no_text_is_refused(path: Path) -> None:
    assert refused(write(path, b"version = 1 # \xff")).what == f"the policy file {path} is not UTF-8 text"


def test_a_huge_file_is_not_read_to_its_end(path: Path) -> None:
    write(path, STRICT + "#" * LARGEST)
    assert refused(path).what == f"the policy file {path} is larger than 100,000 bytes"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path).what == f"the policy file {tmp_path} cannot be read (Is a directory)"


async def test_the_built_in_policy_holds_for_a_ledger_that_never_saw_a_file(path: Path, database: SQLite) -> None:
    assert await policy_file(path, database).current() == parse_policy(BUILT_IN)


async def test_a_file_replaces_the_built_in_policy_as_soon_as_it_is_there(path: Path, database: SQLite) -> None:
    file = policy_file(path, database)
    await file.current()
    write(path, STRICT)
    assert await file.current() == parse_policy(STRICT)


async def test_a_changed_file_is_read_again(path: Path, database: SQLite) -> None:
    file = policy_file(write(path, STRICT), database)
    before = await file.current()
    assert await file.current() is before
    write(path, STRICTER)
    assert (await file.current()).caps.per_payment == 50_000


async def test_a_broken_change_keeps_the_old_policy_in_force_and_says_so(
    path: Path, database: SQLite, caplog: pytest.LogCaptureFixture
) -> None:
    file = policy_file(write(path, STRICT), database)
    await file.current()
    write(path, STRICT + "nonsense")
    assert await file.current() == await file.current() == parse_policy(STRICT)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1, "it is said once for one change"
    assert told[0].startswith("The policy file changed and is refused; the one before stays in force: ")
    assert f"{path}: the policy is not valid TOML" in told[0]
    write(path, STRICTER)
    assert await file.current() == parse_policy(STRICTER)


@posix
async def test_a_file_that_others_may_suddenly_write_keeps_the_old_policy(path: Path, database: SQLite) -> None:
    file = policy_file(write(path, STRICT), database)
    await file.current()
    open_to_others(path, STRICT.replace('per_payment = "0.50"', 'per_payment = "999"'))
    assert await file.current() == parse_policy(STRICT)


async def test_a_file_that_is_broken_from_the_start_stops_purchases(path: Path, database: SQLite) -> None:
    file = policy_file(write(path, "nonsense"), database)
    for _ in range(2):
        with pytest.raises(InvalidPolicy, match="is not valid TOML"):
            await file.current()
    write(path, STRICT)
    assert await file.current() == parse_policy(STRICT)


async def test_a_file_that_goes_away_stops_purchases_until_it_is_back(path: Path, database: SQLite) -> None:
    file = policy_file(write(path, STRICT), database)
    await file.current()
    remove(path)
    with pytest.raises(InvalidPolicy, match="is not there"):
        await file.current()
    write(path, STRICT)
    assert await file.current() == parse_policy(STRICT)


async def test_a_ledger_that_saw_a_file_wants_one_after_a_restart(path: Path, database: SQLite) -> None:
    await policy_file(write(path, STRICT), database).current()
    remove(path)
    with pytest.raises(InvalidPolicy, match="is not there"):
        await policy_file(path, database).current()


async def test_a_file_that_the_operator_named_must_be_there(path: Path, database: SQLite) -> None:
    with pytest.raises(InvalidPolicy, match="is not there"):
        await policy_file(path, database, named=True).current()
