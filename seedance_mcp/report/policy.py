"""What a policy says, decides and would have decided: for programs and as text."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from seedance_mcp.guard.explanation import Explanation, Rule
from seedance_mcp.guard.policy import Mistake
from seedance_mcp.guard.simulation import Ruling, Simulation
from seedance_mcp.guard.usage import Outcome, Verdict
from seedance_mcp.money import dollars, usd
from seedance_mcp.report.days import local
from seedance_mcp.report.table import table

VERDICTS = {Outcome.ALLOW: "allowed", Outcome.ASK: "needs_approval", Outcome.REFUSE: "refused"}
"""In the words of the tools."""
_ACTS = {Outcome.ASK: "asks", Outcome.REFUSE: "refuses"}
_CHANGES = 20


def mistake_json(mistake: Mistake) -> dict[str, object]:
    line, column = mistake.place or (None, None)
    return {"key": ".".join(mistake.key) or None, "message": mistake.what, "line": line, "column": column}


def verdict_json(verdict: Verdict) -> dict[str, object]:
    return {"verdict": VERDICTS[verdict.outcome], "code": verdict.code, "reason": verdict.reason}


def explanation_json(explanation: Explanation) -> dict[str, object]:
    rules = [_rule_json(rule, decides=rule is explanation.deciding) for rule in explanation.rules]
    return {**verdict_json(explanation.verdict), "remedy": explanation.verdict.remedy or None, "rules": rules}


def explanation_text(explanation: Explanation, paint: Callable[[str], str]) -> str:
    facts, numbers = [], []
    for rule in explanation.rules:
        result = _ACTS[rule.outcome] if rule.broken else "holds"
        result += ", and decides" if rule is explanation.deciding else ""
        if rule.limit is None:
            facts.append((rule.code, result, rule.fact))
        else:
            cells = [_number(rule, number) for number in (rule.limit, rule.used, rule.asked)]
            numbers.append((rule.code, rule.scope or "", *cells, result))
    head = ("rule", "scope", "limit", "used", "this", "result")
    verdict = explanation.verdict
    by = "" if verdict.outcome is Outcome.ALLOW else f" ({verdict.code})"
    words = {Outcome.ALLOW: "Allowed", Outcome.ASK: "Needs approval", Outcome.REFUSE: "Refused"}[verdict.outcome]
    told = f"{words}{by}: {verdict.reason}." + (f" {verdict.remedy}" if verdict.remedy else "")
    parts = (
        table(("rule", "result", "because"), facts, numbers=(), paint=paint),
        table(head, numbers, numbers=head[2:5], paint=paint),
        told,
    )
    return "\n\n".join(parts)


def simulation_json(simulation: Simulation) -> dict[str, object]:
    rulings = simulation.rulings
    before, after = _counts(rulings)
    return {
        "decisions": len(rulings),
        "judged": sum(ruling.judged for ruling in rulings),
        "from": _moment(rulings[0].decided.at) if rulings else None,
        "to": _moment(rulings[-1].decided.at) if rulings else None,
        "recorded": {**before, "spent_usd": usd(simulation.recorded)},
        "simulated": {**after, "spent_usd": usd(simulation.spent)},
        "changed": [
            {
                "at": _moment(ruling.decided.at),
                "agent": ruling.decided.agent,
                "model": ruling.decided.model,
                "cost_usd": usd(ruling.decided.cost),
                "recorded": verdict_json(ruling.decided.verdict),
                "simulated": verdict_json(ruling.verdict),
            }
            for ruling in rulings
            if ruling.changed
        ],
    }


def simulation_text(simulation: Simulation, paint: Callable[[str], str]) -> str:
    """Times are the operator's; of the changed decisions the first ones are listed."""
    rulings = simulation.rulings
    if not rulings:
        return "Nothing has been decided yet."
    before, after = _counts(rulings)
    rows = [(name.replace("_", " "), str(before[name]), str(after[name])) for name in before]
    rows.append(("spent", dollars(simulation.recorded), dollars(simulation.spent)))
    parts = [
        f"{len(rulings)} decisions from {_local(rulings[0])} to {_local(rulings[-1])}.",
        table(("", "recorded", "simulated"), rows, numbers=("recorded", "simulated")),
    ]
    if others := sum(not ruling.judged for ruling in rulings):
        parts[0] += (
            f" {others} of them were not made by a policy's rules, or not recorded in full: they stay as they were."
        )
    changed = [ruling for ruling in rulings if ruling.changed]
    if changed:
        head = ("asked", "agent", "model", "cost", "recorded", "simulated", "because of")
        lines = [
            (
                _local(ruling),
                ruling.decided.agent,
                ruling.decided.model,
                usd(ruling.decided.cost),
                _verdict(ruling.decided.verdict),
                _verdict(ruling.verdict),
                (ruling.decided.verdict if ruling.verdict.outcome is Outcome.ALLOW else ruling.verdict).code,
            )
            for ruling in changed[:_CHANGES]
        ]
        parts.append(table(head, lines, numbers=("cost",), paint=paint))
    else:
        parts.append("Every decision would have been the same.")
    if len(changed) > _CHANGES:
        parts.append(f"… and {len(changed) - _CHANGES} more; --json lists all.")
    return "\n\n".join(parts)


def _counts(rulings: Sequence[Ruling]) -> tuple[Mapping[str, int], Mapping[str, int]]:
    before = Counter(ruling.decided.verdict.outcome for ruling in rulings)
    after = Counter(ruling.verdict.outcome for ruling in rulings)
    return (
        {name: before[outcome] for outcome, name in VERDICTS.items()},
        {name: after[outcome] for outcome, name in VERDICTS.items()},
    )


def _rule_json(rule: Rule, *, decides: bool) -> dict[str, object]:
    told: dict[str, object] = {
        "rule": rule.code,
        "scope": rule.scope,
        "holds": not rule.broken,
        "otherwise": _ACTS[rule.outcome],
        "decides": decides,
    }
    if rule.limit is not None:
        for name, number in (("limit", rule.limit), ("used", rule.used), ("asked", rule.asked)):
            told[f"{name}_usd" if rule.money else name] = usd(number) if rule.money else number
    return told | ({"fact": rule.fact} if rule.fact else {})


def _number(rule: Rule, number: int) -> str:
    return dollars(number) if rule.money else str(number)


def _verdict(verdict: Verdict) -> str:
    return VERDICTS[verdict.outcome].replace("_", " ")


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _local(ruling: Ruling) -> str:
    return local(ruling.decided.at).strftime("%Y-%m-%d %H:%M")
