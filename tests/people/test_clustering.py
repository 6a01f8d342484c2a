"""Grouping of tracks on made-up embeddings with known owners."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from facepick.people.clustering import ClusterOptions, Group, group_tracks, split_changed
from facepick.people.exemplars import TrackEvidence
from facepick.people.track import BRIDGED, FaceTrack

DIMENSION = 128
Patch = npt.NDArray[np.uint8]
OPTIONS = ClusterOptions()


def unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.asarray(vector / length, np.float32)


def strangers(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Directions of people, as unlike as two strangers are to a face network."""
    return unit(np.random.default_rng(1000 + seed).normal(size=(count, DIMENSION)))


def views(
    center: npt.NDArray[np.float32], count: int, rng: np.random.Generator, spread: float = 0.75
) -> npt.NDArray[np.float32]:
    """Views of one person: with 0.75 their cosines are about 0.64."""
    noise = unit(rng.normal(size=(count, DIMENSION)))
    return unit(center + spread * noise)


def made(
    start: int, stop: int, rows: npt.NDArray[np.float32], *, shot: int = 0, x: float = 100.0,
    value: float = 0.8, stillness: float | None = None,
    sharp: float = 1.0, mesh: float = 1.0, off_frontal: float = 10.0, eyes: float = 30.0,
    inside: float = 1.0, score: float = 0.9, strength: float | None = 1.5,
) -> tuple[FaceTrack, TrackEvidence]:  # fmt: skip
    n, k = stop - start, len(rows)
    track = FaceTrack(
        f"T{start}",
        shot,
        np.arange(start, stop, dtype=np.int32),
        np.tile(np.float32([x, 100, x + 80, 200]), (n, 1)),
        np.zeros((n, 5, 2), np.float32),
        np.full(n, score, np.float32),
        np.zeros(n, np.uint8),
        confidence=0.9,
    )
    evidence = TrackEvidence(
        frames=np.linspace(start, stop - 1, k).astype(np.int32),
        embeddings=rows,
        value=np.full(k, value, np.float32),
        eye_distance=np.full(k, eyes, np.float32),
        off_frontal=np.full(k, off_frontal, np.float32),
        sharpness=np.full(k, sharp, np.float32),
        inside=np.full(k, inside, np.float32),
        mesh_score=mesh,
        stillness=stillness,
        strengths=None if strength is None else np.full(k, strength, np.float32),
    )
    return track, evidence


def grouped(
    items: list[tuple[FaceTrack, TrackEvidence]], options: ClusterOptions = OPTIONS
) -> list[Group]:
    return group_tracks([t for t, _ in items], [e for _, e in items], options)


@pytest.mark.parametrize("people", range(2, 9))
@pytest.mark.parametrize(
    "seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_the_number_of_people_is_right_with_unequal_screen_time(people: int, seed: int) -> None:
    """Person k has 2^-k of the tracks of the first: where cluster counts by inertia fail."""
    rng = np.random.default_rng(seed)
    centers = strangers(people, seed)
    owners = [k for k in range(people) for _ in range(max(1, 40 >> k))]
    rng.shuffle(owners)
    items = [
        made(30 * i, 30 * i + 25, views(centers[k], 3, rng), shot=i) for i, k in enumerate(owners)
    ]
    groups = grouped(items)
    assert len(groups) == people
    for group in groups:
        assert len({owners[i] for i in group.members}) == 1
        assert not group.unsure


def test_one_wrong_link_does_not_merge_two_people() -> None:
    """One track of each is nearly the same picture (cosine 0.9); the other tracks are not."""
    rng = np.random.default_rng(1)
    a, b = strangers(2, 1)
    items = [made(30 * i, 30 * i + 25, views(a, 3, rng), shot=i) for i in range(4)]
    items += [made(30 * i, 30 * i + 25, views(b, 3, rng), shot=i) for i in range(4, 8)]
    bridge = unit(a + b)
    items.append(made(300, 325, views(bridge, 1, rng, 0.3), shot=9))
    items.append(made(330, 355, views(bridge, 1, rng, 0.3), shot=10))
    groups = grouped(items)
    for group in groups:
        members = set(group.members)
        assert not (members & {0, 1, 2, 3} and members & {4, 5, 6, 7})


def test_two_tracks_of_one_frame_are_two_people_whatever_they_look_like() -> None:
    rng = np.random.default_rng(2)
    (twin,) = strangers(1, 2)
    items = [
        made(0, 50, views(twin, 3, rng, 0.1), x=100),
        made(10, 60, views(twin, 3, rng, 0.1), x=600),
    ]
    assert sorted(g.members for g in grouped(items)) == [(0,), (1,)]


def test_apart_holds_for_whole_groups() -> None:
    """a1 and b1 share frames, a2 looks like both: it joins one of them, and only one."""
    rng = np.random.default_rng(3)
    (look,) = strangers(1, 3)
    items = [
        made(0, 50, views(look, 3, rng, 0.2), x=100),
        made(0, 50, views(look, 3, rng, 0.2), x=600),
        made(60, 90, views(look, 3, rng, 0.2), shot=1),
    ]
    groups = grouped(items)
    assert len(groups) == 2
    assert all(not {0, 1} <= set(g.members) for g in groups)


def test_a_blurred_track_is_kept_apart_and_never_part_of_somebody() -> None:
    rng = np.random.default_rng(4)
    a, b = strangers(2, 4)
    items = [
        made(0, 50, views(a, 3, rng)),
        made(60, 110, views(b, 3, rng), shot=1),
        made(120, 160, views(unit(a + b), 2, rng), shot=2, value=0.1, sharp=0.1),
    ]
    groups = {g.members: g for g in grouped(items)}
    assert groups[2,].doubt == "unclear"
    assert groups[2,].unsure
    assert not groups[0,].unsure
    assert groups[0,].doubt is None


def test_what_no_witness_takes_for_a_face_is_nobody() -> None:
    """A sharp hand: a low score, a short vector, no mesh.  Each of them alone is no proof."""
    rng = np.random.default_rng(5)
    a, b = strangers(2, 5)
    person = made(0, 50, views(a, 3, rng))

    def listed(**signs: float) -> list[tuple[tuple[int, ...], bool]]:
        other = made(120, 160, views(b, 2, rng), shot=2, **signs)  # type: ignore[arg-type]
        return [(g.members, g.unsure) for g in grouped([person, other])]

    assert listed(score=0.55, strength=0.8, mesh=0.0) == [((0,), False)]
    for sign in ({"score": 0.6}, {"strength": 0.9}, {"mesh": 0.0}):
        assert listed(**sign) == [((0,), False), ((1,), False)]


def test_a_picture_of_a_face_is_unsure_and_a_calm_person_is_not() -> None:
    rng = np.random.default_rng(6)
    a, b = strangers(2, 6)
    items = [
        made(0, 200, views(a, 4, rng), stillness=0.036, x=100),
        made(0, 200, views(b, 4, rng), stillness=0.12, x=600),
    ]
    assert [g.unsure for g in grouped(items)] == [True, False]
    assert [g.doubt for g in grouped(items)] == ["picture", None]


def test_who_is_kept_apart_says_why() -> None:
    rng = np.random.default_rng(9)
    a, b = strangers(2, 9)
    items = [made(0, 200, views(a, 3, rng)), made(300, 304, views(b, 3, rng), shot=1)]
    options = ClusterOptions()
    tracks, evidence = [t for t, _ in items], [e for _, e in items]
    assert [g.doubt for g in group_tracks(tracks, evidence, options)] == [None, "brief"]
    broken = group_tracks(tracks, evidence, options, damaged={0})
    assert [g.doubt for g in broken] == ["damaged", "brief"]


def test_a_photograph_of_somebody_who_also_lives_is_kept_apart_from_him() -> None:
    rng = np.random.default_rng(17)
    (a,) = strangers(1, 17)
    photo = views(a, 1, rng, 0.5)
    shown = [made(200 * i, 200 * i + 70, views(photo[0], 2, rng, 0.1), stillness=0.03, shot=i)
             for i in range(2)]  # fmt: skip
    alive = made(400, 460, views(a, 3, rng, 0.5), stillness=0.4, shot=2)
    calm = [made(200 * i, 200 * i + 70, views(a, 2, rng), stillness=0.05, shot=i) for i in range(2)]
    assert [(g.members, g.unsure) for g in grouped([*shown, alive])] == [
        ((0, 1), True),
        ((2,), False),
    ]
    assert [g.members for g in grouped([*calm, alive])] == [(0, 1, 2)]


def test_a_short_look_at_a_motionless_face_says_nothing() -> None:
    rng = np.random.default_rng(6)
    (a,) = strangers(1, 6)
    assert not grouped([made(0, 60, views(a, 3, rng), stillness=0.03)])[0].unsure


def test_coming_back_to_the_same_place_counts() -> None:
    """Cosine about 0.3: too little alone, enough where the face was lost a second before."""
    a, other = strangers(2, 7)
    later = unit(0.3 * a + np.sqrt(1 - 0.3**2) * (other - (other @ a) * a))
    near = [made(0, 40, a[None]), made(60, 90, later[None])]
    far = [made(0, 40, a[None]), made(60, 90, later[None], shot=1)]
    assert len(grouped(near)) == 1
    assert len(grouped(far)) == 2


def test_a_place_that_somebody_else_took_meanwhile_says_nothing() -> None:
    rng = np.random.default_rng(15)
    a, other, third = strangers(3, 15)
    later = unit(0.3 * a + np.sqrt(1 - 0.3**2) * (other - (other @ a) * a))
    between = made(45, 55, views(third, 2, rng))
    assert len(grouped([made(0, 40, a[None]), between, made(60, 90, later[None])])) == 3


def test_one_return_to_a_place_does_not_join_two_people() -> None:
    """B comes back where A was lost, and has a look of A (cosine 0.35) in every track."""
    rng = np.random.default_rng(16)
    a, other = strangers(2, 16)
    b = unit(0.35 * a + np.sqrt(1 - 0.35**2) * (other - (other @ a) * a))
    items = [made(100 * i, 100 * i + 40, views(a, 2, rng, 0.4), shot=i) for i in range(3)]
    items += [made(100 * i, 100 * i + 40, views(b, 2, rng, 0.4), shot=i) for i in range(3, 6)]
    items.append(made(260, 290, views(b, 2, rng, 0.4), shot=2))
    assert sorted(g.members for g in grouped(items)) == [(0, 1, 2), (3, 4, 5, 6)]


def test_strictness_moves_the_threshold() -> None:
    a, other = strangers(2, 8)
    alike = unit(0.45 * a + np.sqrt(1 - 0.45**2) * (other - (other @ a) * a))
    items = [made(0, 40, a[None]), made(60, 90, alike[None], shot=1)]
    assert len(grouped(items, ClusterOptions(link=0.3))) == 1
    assert len(grouped(items, ClusterOptions(link=0.6))) == 2


def test_grouping_does_not_depend_on_chance() -> None:
    rng = np.random.default_rng(9)
    centers = strangers(4, 9)
    items = [made(30 * i, 30 * i + 25, views(centers[i % 4], 3, rng), shot=i) for i in range(20)]
    first, second = grouped(items), grouped(items)
    assert [g.members for g in first] == [g.members for g in second]
    assert [g.confidence for g in first] == [g.confidence for g in second]


def dissolving(*whose: int, length: int = 100, over: int = 12) -> dict[int, Patch]:
    """Patches of a track that goes over to somebody else, equally long with each, by fading."""
    rng = np.random.default_rng(30)
    faces = rng.integers(0, 255, (max(whose) + 1, 32, 32)).astype(np.float64)
    part = length / len(whose)
    patches = {}
    for frame in range(length):
        k = min(len(whose) - 1, int(frame / part))
        share = np.clip((frame - (k + 1) * part) / over + 0.5, 0, 1) if k + 1 < len(whose) else 0.0
        back = np.clip(0.5 - (frame - k * part) / over, 0, 1) if k else 0.0
        picture = (1 - share - back) * faces[whose[k]]
        picture += share * faces[whose[min(k + 1, len(whose) - 1)]] + back * faces[whose[k - 1]]
        patches[frame] = np.asarray(picture, np.uint8)
    return patches


def test_a_track_that_dissolves_into_somebody_else_is_cut_in_the_middle_of_it() -> None:
    rng = np.random.default_rng(10)
    a, b = strangers(2, 10)
    rows = np.concatenate([views(a, 2, rng), views(b, 2, rng)])
    track, evidence = made(0, 100, rows)
    (first, seen), (second, later) = split_changed(
        track, evidence, link=OPTIONS.link, patches=dissolving(0, 1)
    )
    assert first.start == 0
    assert first.stop == second.start
    assert abs(second.start - 50) <= 2
    assert second.stop == 100
    assert len(seen.frames) == 2
    assert len(later.frames) == 2


def test_guesses_between_two_people_belong_to_neither() -> None:
    """One left the picture, and fifteen frames later another was taken for the first."""
    rng = np.random.default_rng(15)
    a, b = strangers(2, 15)
    track, evidence = made(0, 100, np.concatenate([views(a, 2, rng), views(b, 2, rng)]))
    origin = track.origin.copy()
    origin[45:60] = BRIDGED
    seen = {f: p for f, p in dissolving(0, 1).items() if origin[f] != BRIDGED}
    pieces = split_changed(replace(track, origin=origin), evidence, link=OPTIONS.link, patches=seen)
    assert [(t.start, t.stop) for t, _ in pieces] == [(0, 45), (60, 100)]


def test_a_track_that_changes_hands_twice_is_cut_twice() -> None:
    rng = np.random.default_rng(13)
    a, b = strangers(2, 13)
    rows = np.concatenate([views(a, 2, rng), views(b, 2, rng), views(a, 2, rng)])
    track, evidence = made(0, 120, rows)
    pieces = split_changed(
        track, evidence, link=OPTIONS.link, patches=dissolving(0, 1, 0, length=120)
    )
    assert [len(e.frames) for _, e in pieces] == [2, 2, 2]
    assert [t.start for t, _ in pieces[1:]] == pytest.approx([40, 80], abs=3)


def test_a_track_of_one_person_stays_whole() -> None:
    rng = np.random.default_rng(11)
    (a,) = strangers(1, 11)
    track, evidence = made(0, 100, views(a, 4, rng))
    patches = dissolving(0)
    assert len(split_changed(track, evidence, link=OPTIONS.link, patches=patches)) == 1


def test_a_large_dark_face_is_somebody_though_nothing_in_it_is_sharp() -> None:
    rng = np.random.default_rng(12)
    (a,) = strangers(1, 12)
    dark = {"value": 0.3, "sharp": 0.0}
    (large,) = grouped([made(0, 50, views(a, 3, rng), eyes=80.0, **dark)])
    (small,) = grouped([made(0, 50, views(a, 3, rng), eyes=20.0, **dark)])
    assert not large.unsure
    assert small.unsure


def test_half_a_face_at_the_edge_is_nobody_of_its_own() -> None:
    rng = np.random.default_rng(14)
    a, b = strangers(2, 14)
    whole, half = made(0, 50, views(a, 2, rng)), made(60, 90, views(b, 2, rng), inside=0.5)
    assert [g.unsure for g in grouped([whole, half])] == [False, True]


def test_nobody() -> None:
    assert grouped([]) == []


def lean(to: npt.NDArray[np.float32], share: float, seed: int) -> npt.NDArray[np.float32]:
    """Somebody whose cosine with `to` is `share`, and with everybody else about 0."""
    (other,) = strangers(1, seed)
    return unit(share * to + np.sqrt(1 - share**2) * unit(other - (other @ to) * to))


def test_a_poor_view_joins_the_one_person_it_is_like() -> None:
    rng = np.random.default_rng(20)
    people = strangers(4, 20)
    items = [made(60 * k, 60 * k + 50, views(p, 3, rng), shot=k) for k, p in enumerate(people)]
    poor = {"value": 0.15, "sharp": 0.1, "eyes": 10.0}
    items.append(made(300, 350, lean(people[2], 0.6, 21)[None], shot=5, **poor))
    assert [g.members for g in grouped(items)] == [(0,), (1,), (2, 4), (3,)]


def test_who_cannot_be_told_is_unsure_and_says_whom_he_may_be() -> None:
    rng = np.random.default_rng(22)
    a, b = strangers(2, 22)
    items = [made(0, 100, views(a, 3, rng)), made(120, 220, views(b, 3, rng), shot=1)]
    between = unit(a + b)
    items.append(made(240, 290, between[None], shot=2, value=0.2, sharp=0.1, eyes=10.0))
    (_, _, third) = grouped(items)
    assert third.unsure
    assert {first for first, _ in third.may_be} == {0, 1}
    assert all(0 < score < 1 for _, score in third.may_be)


def test_two_together_are_the_two_who_are_together_elsewhere() -> None:
    """Each agrees too little with his own to be joined alone; crosswise they do not agree."""
    a, b = strangers(2, 23)
    near = [made(0, 100, a[None], x=100), made(0, 100, b[None], x=600)]
    far_a, far_b = (
        made(200, 300, lean(p, 0.36, 24 + k)[None], shot=1, x=100 + 500 * k)
        for k, p in enumerate((a, b))
    )
    assert sorted(g.members for g in grouped([*near, far_a, far_b])) == [(0, 2), (1, 3)]
    assert len(grouped([*near, far_a])) == 3


def test_a_look_alike_in_another_place_with_other_hair_is_somebody_else() -> None:
    (a,) = strangers(1, 25)
    fair, dark = np.float32([1, 0]), np.float32([0.05, 0.95])

    def people(hair: npt.NDArray[np.float32]) -> int:
        first, second = made(0, 50, a[None]), made(60, 110, lean(a, 0.5, 26)[None], shot=1)
        return len(
            grouped(
                [
                    (first[0], replace(first[1], hair=fair)),
                    (second[0], replace(second[1], hair=hair)),
                ]
            )
        )

    assert (people(fair), people(dark)) == (1, 2)


def test_somebody_of_a_few_blurred_frames_is_one_of_the_crowd() -> None:
    rng = np.random.default_rng(27)
    a, b, c = strangers(3, 27)
    blurred = {"value": 0.1, "sharp": 0.1, "eyes": 8.0}
    items = [
        made(0, 200, views(a, 3, rng)),
        made(0, 20, views(b, 2, rng), x=600, **blurred),
        made(30, 130, views(c, 2, rng), x=600, **blurred),
    ]
    assert [(g.unsure, g.crowd) for g in grouped(items)] == [
        (False, False),
        (True, True),
        (True, False),
    ]
