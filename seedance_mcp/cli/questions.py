"""What ``init`` asks, where no option has said it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from seedance_mcp.cli.request import usual_prices
from seedance_mcp.clients import Client, is_installed, known_clients
from seedance_mcp.errors import InvalidSettings
from seedance_mcp.guard.contradictions import contradictions
from seedance_mcp.guard.document import as_toml, document
from seedance_mcp.guard.policy import BUILT_IN, Policy, parse_policy
from seedance_mcp.money import parse_usd, usd
from seedance_mcp.settings import Settings

CLIENTS = ("claude-desktop", "claude-code", "cursor", "vscode", "codex")


class Dollars(click.ParamType[int]):
    """An amount, as micro-USD."""

    name = "usd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_usd(str(value).removeprefix("$"))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def policy_text(
    settings: Settings, say: Callable[[str], object], payment: int | None, day: int | None, above: int | None
) -> str | None:
    """The text of the policy file to write, or None where there is one."""
    if settings.policy.exists():
        if not _is_in_force(settings.policy, payment, day, above):
            raise click.UsageError(
                f"{settings.policy} is there already, and the options for its limits would change nothing: edit it, "
                "and run `seedance-mcp policy check`"
            )
        say(f"Policy: {settings.policy} stays as it is.")
        return None
    built_in = parse_policy(BUILT_IN)
    payment = _amount(payment, "What may one payment cost?", built_in.caps.per_payment)
    day = _amount(day, "What may be spent within 24 hours?", built_in.caps.per_day)
    usual = min(built_in.approval_above or 0, payment * 3 // 5)  # as much below one payment as the built-in one is
    above = _amount(above, "Above which price are you asked first?", usual)
    caps = replace(built_in.caps, per_payment=payment, per_hour=max(payment, day // 2), per_day=day)
    policy = replace(built_in, caps=caps, approval_above=above)
    _warn(policy, say)
    return as_toml(document(policy))


def _is_in_force(path: Path, payment: int | None, day: int | None, above: int | None) -> bool:
    """Whether the policy that is there says what the options say. Raises InvalidPolicy."""
    policy = parse_policy(path.read_text(encoding="utf-8"))
    pairs = [(payment, policy.caps.per_payment), (day, policy.caps.per_day), (above, policy.approval_above)]
    return all(wanted in {None, there} for wanted, there in pairs)


def _warn(policy: Policy, say: Callable[[str], object]) -> None:
    for doubt in contradictions(policy, usual_prices()):
        say(click.style(f"  {'.'.join(doubt.key)}: {doubt.what}", fg="yellow"))


def _amount(given: int | None, question: str, default: int | None) -> int:
    if given is not None:
        return given
    amount: int = click.prompt(f"{question} $", default=usd(default or 0), type=Dollars(), err=True, prompt_suffix="")
    return amount


def image_folders(settings: Settings, given: Path | None) -> tuple[Path, ...]:
    """The folders that agents may use pictures of: none of them holds what agents may not touch."""
    roots = (given.resolve(),) if given is not None else settings.image_roots or _asked_images()
    for path in (settings.policy, settings.keystore):
        for root in roots:
            if path.resolve().is_relative_to(root):
                raise InvalidSettings(f"{path} lies in {root}, where an agent's files are")
    return roots


def _asked_images() -> tuple[Path, ...]:
    question = "In which folder are the pictures that agents may use? (none: only public https URLs)"
    answer: str = click.prompt(question, default="none", err=True)
    if answer == "none":
        return ()
    folder = Path(answer).expanduser()
    if not folder.is_dir():
        raise InvalidSettings(f"{answer} is not a folder")
    return (folder.resolve(),)


def wanted_clients(given: Sequence[str]) -> Sequence[Client]:
    known = {client.name: client for client in known_clients(os.environ, Path.cwd())}
    if not given:
        here = [client.name for client in known.values() if is_installed(client)]
        question = f"Which clients are to start the server? ({', '.join(CLIENTS)}; none)"
        answer: str = click.prompt(question, default=",".join(here) or "none", err=True)
        given = [name.strip() for name in answer.split(",") if name.strip()]
    if unknown := [name for name in given if name not in {*known, "none"}]:
        raise click.UsageError(f"{unknown[0]!r} is none of {', '.join(CLIENTS)}")
    return [known[name] for name in dict.fromkeys(given) if name != "none"]
