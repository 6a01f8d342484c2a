"""Changes of single lines between a plan that was rendered and what is said now."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from facepick.people.selection import Selection
from facepick.render.plan import Assignment, RenderPlan
from facepick.speech.line import SpeechLine

__all__ = ["LineChanges", "LineNow"]

NEAR_SECONDS = 1.0
"""How far a line may have moved and still be the same one: a cue cuts a mixed track short, or is
trimmed, by less."""


@dataclass(frozen=True, kw_only=True)
class LineNow:
    """One line as it stands now.

    Attributes:
        people: ids of who says it.
        line: its sound, time and words.
        listed: when it starts in its list, whatever was trimmed of it, in seconds.
        seconds: how long it is heard.
    """

    people: tuple[str, ...]
    line: SpeechLine
    listed: float
    seconds: float

    def _distance(self, other: SpeechLine) -> float | None:
        """Tell how far another line lies from this one, in seconds; None when it is not this."""
        far = other.start_seconds - self.listed
        return abs(far) if -NEAR_SECONDS <= far <= self.seconds + NEAR_SECONDS else None


class LineChanges:
    """What single lines have become since a plan was rendered.

    Args:
        plan: of the result.
        now: the lines as they stand.
        content: names a sound file by what it holds, for the same may lie in two places.
    """

    def __init__(
        self, plan: RenderPlan, now: Sequence[LineNow], content: Callable[[str], str] = str
    ) -> None:
        self._plan, self._now, self._content = plan, now, content
        before = [
            (number, place)
            for number, item in enumerate(plan.assignments)
            if item.flow == "lipsync"
            for place in range(len(item.speech))
        ]
        left: dict[str, list[tuple[int, int]]] = {}
        for number, place in before:
            item = plan.assignments[number]
            key = self._key(item.selection.people, item.speech[place])
            left.setdefault(key, []).append((number, place))
        changed = []
        for index, line in enumerate(now):
            same = left.get(self._key(line.people, line.line))
            if same:
                same.pop()
            else:
                changed.append(index)
        self._before = self._paired(changed, [place for some in left.values() for place in some])

    def _paired(
        self, changed: Sequence[int], left: Sequence[tuple[int, int]]
    ) -> dict[int, tuple[int, int] | None]:
        """Find for each changed line the one that it was: the nearest pairs first."""
        near = []
        for index in changed:
            for number, place in left:
                before = self._plan.assignments[number].speech[place]
                distance = self._now[index]._distance(before)
                if distance is not None:
                    near.append((distance, index, (number, place)))
        found: dict[int, tuple[int, int] | None] = dict.fromkeys(changed)
        taken: set[tuple[int, int]] = set()
        for _, index, where in sorted(near):
            if found[index] is None and where not in taken:
                found[index] = where
                taken.add(where)
        return found

    @property
    def changed(self) -> frozenset[int]:
        """Numbers of the lines that are not in the plan as they stand now."""
        return frozenset(self._before)

    def retaken(self, number: int, *, include_unsure: bool = False) -> RenderPlan:
        """Give the plan in which this one line is as it stands now, and nothing else has changed.

        Args:
            include_unsure: whether who says it takes in what is unsure of them.

        Raises:
            KeyError: the line has not changed.
            ValueError: nobody's lips were moved by the plan.
        """
        where = self._before[number]
        now = self._now[number]
        items = list(self._plan.assignments)
        template = next((a for a in items if a.flow == "lipsync"), None)
        if template is None:
            raise ValueError("nobody's lips were moved")
        if where is not None:
            old, place = where
            template = items[old]
            speech = template.speech[:place] + template.speech[place + 1 :]
            items[old] = replace(template, speech=speech)
        own = next(
            (
                i
                for i, item in enumerate(items)
                if item.flow == "lipsync" and item.selection.people == now.people
            ),
            None,
        )
        if own is None:
            # Somebody who has said nothing so far says it as the others do.
            own = len(items)
            selection = Selection(now.people, include_unsure)
            items.append(replace(template, selection=selection, speech=()))
        said = sorted((*items[own].speech, now.line), key=lambda line: line.start_seconds)
        items[own] = replace(items[own], speech=tuple(said))
        # Who says nothing any more is left alone, and does not follow a soundtrack instead.
        kept = tuple(
            item
            for item, before in zip(items, (*self._plan.assignments, None), strict=False)
            if item.speech or before is None or not before.speech
        )
        return replace(self._plan, assignments=kept)

    def _key(self, people: tuple[str, ...], line: SpeechLine) -> str:
        """Name a line by all that a plan holds of it."""
        same = replace(line, path=self._content(line.path))
        item = Assignment(selection=Selection(people), flow="", engine="", speech=(same,))
        return json.dumps(item.to_json())
