"""What the campaign counts, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Row:
    """One part of the campaign. `wrong`: a bug, a traceback, a code that is none, a result that is not so."""

    part: str
    tried: int = 0
    wrong: int = 0
    lost: int = 0
    leaked: int = 0
    running: int = 0
    notes: list[str] = field(default_factory=list)

    def note(self, kind: str, sentences: list[str]) -> None:
        """Count what was found under a kind."""
        setattr(self, kind, getattr(self, kind) + len(sentences))
        self.notes += [f"{kind}: {sentence}" for sentence in sentences]


COLUMNS = ("tried", "wrong", "lost", "leaked", "running")


def markdown(rows: list[Row]) -> str:
    """The table of docs/concepts/campaign.md."""
    lines = ["| part | tried | wrong | lost | leaked | left running |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [f"| {row.part} | " + " | ".join(str(getattr(row, name)) for name in COLUMNS) + " |" for row in rows]
    return "\n".join(lines) + "\n"
