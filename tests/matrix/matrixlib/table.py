"""What the matrix found, as the tables of docs/pods.md, and what in it is a fault."""

from __future__ import annotations

from .cells import ELSE, Seen, short
from .clients import CLIENTS
from .pods import DELIVERIES, ROOT, SURROUNDINGS

DOCS = ROOT / "docs/pods.md"
BEGIN = "<!-- Written by `make matrix`. -->"
END = "<!-- The end of what `make matrix` writes. -->"

_AROUND = tuple(situation.name for situation in SURROUNDINGS)
# The columns: the situations and the steps whose worst verdict a cell shows.
_COLUMNS = (
    ("live", _AROUND, ("live",)),
    ("renewed", _AROUND, ("renewed",)),
    ("withdrawn before the start", _AROUND, ("withdrawn",)),
    ("withdrawn while it runs", _AROUND, ("withdrawn-while",)),
    ("expired", _AROUND, ("expired", "ended")),
    ("a [key](behaviour.md)", ("node",), ("key",)),
    ("– rotated", ("node",), ("rotated",)),
    ("no `cat`, no `sh`", ("no-programs",), ("live", "withdrawn")),
    ("keys in the image", ("image-keys",), ("live", "withdrawn-while", "withdrawn")),
    ("`AWS_PROFILE`", ("profile",), ("live", "withdrawn")),
    ("keys by `envFrom`", ("env-from",), ("live", "withdrawn")),
)
_SURROUNDING = {
    "node": "with the node's only", "pod-identity-before": "Pod Identity before keyturn",
    "pod-identity-after": "Pod Identity after keyturn", "irsa-before": "IRSA before keyturn",
    "irsa-after": "IRSA after keyturn",
}
# The steps without a credential.
_OVER = ("withdrawn", "withdrawn-while", "expired", "ended")
_TITLES = {"endpoint": "**Delivery `Endpoint`:**", "files": "**Delivery `Files`:**"}
# What keyturn cannot keep away, and no webhook can see: docs/pods.md tells it.
_KNOWN = {
    # polars reads the keys of `~/.aws/credentials` itself, whatever the variables say.
    ("polars", "image-keys"),
}
# How a withdrawal is said, by the way that the client read the withdrawn Secret.
_SAID = (("Endpoint, withdrawn", "endpoint", "withdrawn"), ("Files, withdrawn before the start", "files", "withdrawn"),
         ("Files, withdrawn while it runs", "files", "withdrawn-while"))


def faults(seen: list[Seen]) -> list[str]:
    """What must not be."""
    found = []
    for one in seen:
        where = f"{one.client}, {one.delivery}, {one.situation}, {one.step}"
        if one.error and one.error.startswith("THE MATRIX FAILED"):
            found.append(f"{where}: {one.error}")
        elif one.delivery == "none":
            # Without keyturn the client is somebody else. Otherwise the doubles would show nothing.
            if not one.others:
                found.append(f"{where}: the doubles do not show another identity: {one.verdict} {one.error}")
        elif one.others and not one.told and (one.client, one.situation) not in _KNOWN:
            found.append(f"{where}: {one.verdict}")
        elif one.step in _OVER and one.error is None and not one.others:
            found.append(f"{where}: the call succeeds without a credential")
    return found


def compare(seen: list[Seen], write: bool) -> list[str]:
    """Compares docs/pods.md with what was seen, or writes it there."""
    text = DOCS.read_text()
    before, begin, rest = text.partition(BEGIN)
    former, end, after = rest.partition(END)
    if not begin or not end:
        return ["docs/pods.md has no place for the table"]
    wanted = f"\n\n{tables(seen)}\n\n"
    if write:
        DOCS.write_text(before + begin + wanted + end + after)
    elif former != wanted:
        print(wanted)
        return ["docs/pods.md shows other results (make matrix-docs writes these)"]
    return []


def tables(seen: list[Seen]) -> str:
    """The tables, in Markdown."""
    parts = []
    for delivery in DELIVERIES:
        titles = [title for title, _, _ in _COLUMNS]
        lines = [_TITLES[delivery], "", f"| client | {' | '.join(titles)} |", f"|{' --- |' * (len(titles) + 1)}"]
        for client in CLIENTS:
            cells = [_cell(seen, client.name, delivery, situations, steps) for _, situations, steps in _COLUMNS]
            lines.append(f"| {client.title} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    lines = ["**The words of the clients** about a withdrawn credential:", "", "| client | delivery | error |",
             "| --- | --- | --- |"]
    for client in CLIENTS:
        for title, delivery, step in _SAID:
            found = [one for one in seen if (one.client, one.delivery, one.situation, one.step)
                     == (client.name, delivery, "node", step)]
            lines += [f"| {client.title} | {title} | {_code(one.error)} |" for one in found]
    return "\n\n".join([*parts, "\n".join(lines)])


def _code(error: str | None) -> str:
    return f"`{short(error)}`" if error else "none"


def _cell(seen: list[Seen], client: str, delivery: str, situations: tuple[str, ...], steps: tuple[str, ...]) -> str:
    """The verdicts of these steps."""
    rows = [one for one in seen if one.client == client and one.delivery == delivery
            and one.situation in situations and one.step in steps]
    others = sorted({identity for one in rows for identity in one.others})
    if others:
        return f"**{ELSE}**: {', '.join(others)}"
    live = _verdict([one for one in rows if one.step not in _OVER])
    over = _verdict([one for one in rows if one.step in _OVER])
    if live and over and live != over:
        return f"{live}; withdrawn: {over}"
    return live or over


def _verdict(rows: list[Seen]) -> str:
    """One verdict of all rows, and that of a surrounding in which it is another."""
    verdicts = [one.verdict for one in rows]
    if not verdicts:
        return ""
    usual = max(dict.fromkeys(verdicts), key=verdicts.count)
    apart = {one.situation for one in rows if one.verdict != usual}
    unusual = sorted({one.verdict for one in rows if one.verdict != usual})
    if any(one.situation in apart for one in rows if one.verdict == usual):
        return " or ".join(sorted({*verdicts}))
    names = [_SURROUNDING[situation] for situation in sorted(apart)]
    return f"{usual}; {' and '.join(names)}: {' or '.join(unusual)}" if apart else usual
