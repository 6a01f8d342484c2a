"""Selection of people for an assignment; unsure means untouched."""

from __future__ import annotations

from dataclasses import dataclass, replace

from facepick.errors import SelectionError
from facepick.people.person import Person, Scan

__all__ = ["Selection", "with_strangers"]


@dataclass(frozen=True)
class Selection:
    """The people an assignment changes.

    Fails closed: a face that is nobody's, or of somebody not named here, is never touched.  With
    `everyone_but` it fails the other way, for hiding: only who is surely one of those named is
    spared.

    Attributes:
        people: ids (``P1``) or names, without repeats.
        include_unsure: also change people that the scan marked unsure.  Without it, naming an
            unsure person is refused.
        everyone_but: instead of `people`: ids or names of sure people; everybody else is changed,
            unsure people, bystanders, and faces that are nobody's (see `with_strangers`).

    >>> from facepick import Selection
    >>> Selection(("P1", "Anna"))
    Selection(people=('P1', 'Anna'), include_unsure=False, everyone_but=())
    >>> Selection(())
    Traceback (most recent call last):
    facepick.errors.SelectionError: Nobody is picked.
    """

    people: tuple[str, ...]
    include_unsure: bool = False
    everyone_but: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.people and self.everyone_but:
            raise SelectionError(
                "Some are picked, and everyone but some.", hint="Say one of the two."
            )
        named = self.people or self.everyone_but
        if not named:
            raise SelectionError("Nobody is picked.", hint="Pick a person, such as --person P1.")
        if len(set(named)) != len(named):
            raise SelectionError(f"A person is named twice: {', '.join(named)}.")

    @property
    def label(self) -> str:
        """Who it is, in few words."""
        return ", ".join(self.people) or f"everyone but {', '.join(self.everyone_but)}"

    def resolve(self, scan: Scan) -> tuple[Person, ...]:
        """Find the people, in the order in which they are named.

        Raises:
            SelectionError: unknown, ambiguous, named twice under two names, or unsure.
        """
        found = tuple(scan.person(key) for key in self.people or self.everyone_but)
        if len({p.id for p in found}) != len(found):
            raise SelectionError("One person is named twice, by id and by name.")
        for person in found:
            if person.unsure and self.everyone_but:
                raise SelectionError(
                    f"{person.label} is unsure, so it cannot be said whom to spare.",
                    hint="Say that it is somebody: facepick people VIDEO --merge P1,P2.",
                )
            if person.unsure and not self.include_unsure:
                raise SelectionError(
                    f"{person.label} is unsure: these faces could not be told apart for certain.",
                    hint="Look at the gallery, then add --include-unsure to change them anyway.",
                )
        if not self.everyone_but:
            return found
        spared = {person.id for person in found}
        others = tuple(person for person in scan.people if person.id not in spared)
        if not others:
            raise SelectionError(
                f"There is nobody but {', '.join(p.label for p in found)} in this video."
            )
        return others


def with_strangers(scan: Scan) -> Scan:
    """Make an unsure person of every track that is nobody's, for `Selection.everyone_but`.

    They are called ``N1``, ``N2``, ... in time order.
    """
    owned = {key for person in scan.people for key in person.track_ids}
    free = [track for track in scan.tracks if track.id not in owned]
    taken = {person.id for person in scan.people}
    numbers = iter(f"N{i}" for i in range(1, len(free) + len(taken) + 1) if f"N{i}" not in taken)
    strangers = tuple(
        Person.of_track(next(numbers), track, scan, confidence=0.0, unsure=True, group="bystanders")
        for track in sorted(free, key=lambda track: track.start)
    )
    return replace(scan, people=(*scan.people, *strangers))
