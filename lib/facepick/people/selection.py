"""Selection of people for an assignment; unsure means untouched."""

from __future__ import annotations

from dataclasses import dataclass

from facepick.errors import SelectionError
from facepick.people.person import Person, Scan

__all__ = ["Selection"]


@dataclass(frozen=True)
class Selection:
    """The people an assignment changes.

    Fails closed: a face that is nobody's, or of somebody not named here, is never touched.

    Attributes:
        people: ids (``P1``) or names, at least one, without repeats.
        include_unsure: also change people that the scan marked unsure.  Without it, naming an
            unsure person is refused.

    >>> from facepick import Selection
    >>> Selection(("P1", "Anna"))
    Selection(people=('P1', 'Anna'), include_unsure=False)
    >>> Selection(())
    Traceback (most recent call last):
    facepick.errors.SelectionError: Nobody is picked.
    """

    people: tuple[str, ...]
    include_unsure: bool = False

    def __post_init__(self) -> None:
        if not self.people:
            raise SelectionError("Nobody is picked.", hint="Pick a person, such as --person P1.")
        if len(set(self.people)) != len(self.people):
            raise SelectionError(f"A person is named twice: {', '.join(self.people)}.")

    def resolve(self, scan: Scan) -> tuple[Person, ...]:
        """Find the people, in the order in which they are named.

        Raises:
            SelectionError: unknown, ambiguous, named twice under two names, or unsure.
        """
        found = tuple(scan.person(key) for key in self.people)
        if len({p.id for p in found}) != len(found):
            raise SelectionError("One person is named twice, by id and by name.")
        for person in found:
            if person.unsure and not self.include_unsure:
                raise SelectionError(
                    f"{person.label} is unsure: these faces could not be told apart for certain.",
                    hint="Look at the gallery, then add --include-unsure to change them anyway.",
                )
        return found
