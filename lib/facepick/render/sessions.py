"""Sessions of the engines of a render: one for every picked person and assignment."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from facepick.engines.engine import Engine, EngineContext, EngineSession, EngineSpec
from facepick.people.person import Person
from facepick.render.footage import PersonFootage
from facepick.render.learned_store import LearnedStore
from facepick.render.learning import Classroom, Lesson
from facepick.render.plan import Assignment
from facepick.render.task import RenderTask
from facepick.settings import from_mapping

__all__ = ["EngineWork", "classroom_of", "open_sessions"]


@dataclass(frozen=True, eq=False, kw_only=True)
class EngineWork:
    """One engine at work on one person."""

    assignment: Assignment
    engine: Engine
    person: Person
    footage: PersonFootage
    session: EngineSession

    @property
    def pair(self) -> tuple[EngineSpec, Person]:
        """What is done to whom."""
        return self.engine.spec, self.person


def classroom_of(task: RenderTask, *, learned: Path | None, quick: bool = False) -> Classroom:
    """Set up what the engines of a render learn from, and where they keep it.

    Args:
        learned: folder of what was learnt from videos, see `LearnedStore`; None keeps nothing.
        quick: learn from no more of the footage than a part that is rendered alone needs.
    """
    lessons = [
        _lesson(task, number, assignment, engine, person)
        for number, (assignment, engine, person) in enumerate(
            task.plan.engines(task.scan, task.registry)
        )
    ]
    return Classroom(
        task.scan,
        lessons,
        part=task.part,
        window=task.learned,
        quick=quick,
        store=LearnedStore(learned),
        models=task.models,
        progress=task.progress,
        cancel=task.cancel,
    )


def open_sessions(classroom: Classroom, stack: ExitStack) -> list[EngineWork]:
    """Open the engines, which have learnt; they are closed with `stack`."""
    return [
        EngineWork(
            assignment=lesson.assignment,
            engine=lesson.engine,
            person=lesson.context.person,
            footage=lesson.footage,
            session=stack.enter_context(closing(lesson.engine.open(lesson.context))),
        )
        for lesson in classroom.lessons
    ]


def _lesson(
    task: RenderTask, number: int, assignment: Assignment, engine: Engine, person: Person
) -> Lesson:
    folder = task.workspace / f"{number:02d}-{assignment.flow}-{person.id}"
    folder.mkdir(parents=True, exist_ok=True)
    hidden: set[str] = set()
    if assignment.selection.everyone_but:
        # Of two who are both hidden neither is spared: no ear shows between two masks.
        hidden = {p.id for p in assignment.selection.resolve(task.scan)}
    settings = from_mapping(engine.spec.settings, assignment.settings)
    seen = replace(engine.spec, margin=engine.margin_of(settings))
    footage = PersonFootage(task.scan, person, seen, folder, hidden=hidden)
    speaks = task.plan.lines_of(assignment)
    context = EngineContext(
        settings=settings,
        scan=task.scan,
        person=person,
        frames=task.frames,
        source_frames=task.sources,
        times=task.sound.times,
        workspace=folder,
        models=task.models,
        device=task.device,
        speech=task.sound.speech_of(assignment) if speaks else None,
        source=assignment.source,
        footage=lambda: footage.stream(task.learned, task.cancel),
        footage_of=lambda frames: footage.stream_of(frames, task.cancel),
        progress=task.progress,
        cancel=task.cancel,
    )
    return Lesson(assignment, engine, footage, context)
