"""The scan as JSON, format ``facepick-people/1``."""

from __future__ import annotations

from typing import Any

from facepick.people.person import Scan

__all__ = ["FORMAT", "people_json"]

FORMAT = "facepick-people/1"


def people_json(scan: Scan) -> dict[str, Any]:
    """Build what ``facepick people --json`` prints: plain JSON values only.

    Boxes are rows ``[frame, x0, y0, x1, y1]`` in display pixels, one for every frame in which
    the face is held to be visible.  A track of nobody has ``"person": null``; people that are
    only kept apart have ``"unsure": true`` and come last, with ``"doubt"``: why (`Doubt`),
    ``"may_be"``: the people whom they may be, and ``"group": "bystanders"`` for the crowd; ignored
    ones have ``"ignored": true``.
    """
    video = scan.video
    base = video.time_base
    total = int(scan.pts[-1] - scan.pts[0]) + scan.duration_pts if scan.frames else 0
    owner = {track: person.id for person in scan.people for track in person.track_ids}
    people = []
    for person in scan.people:
        entry: dict[str, Any] = {
            "id": person.id,
            "name": person.name,
            "frames": person.frames,
            "seconds": round(float(person.screen_time), 3),
            "confidence": round(person.confidence, 3),
            "thumbnails": list(person.thumbnails),
            "tracks": list(person.track_ids),
        }
        if person.unsure:
            entry["unsure"] = True
        if person.unsure and person.doubt:
            entry["doubt"] = person.doubt
        if person.may_be:
            entry["may_be"] = [{"person": key, "score": score} for key, score in person.may_be]
        if person.group:
            entry["group"] = person.group
        if person.ignored:
            entry["ignored"] = True
        people.append(entry)
    return {
        "format": FORMAT,
        "video": {
            "path": str(video.path),
            "width": video.width,
            "height": video.height,
            "frames": scan.frames,
            "time_base": f"{base.numerator}/{base.denominator}",
            "duration_seconds": round(float(total * base), 3),
        },
        "shots": [{"start": s.start, "stop": s.stop} for s in scan.shots],
        "people": people,
        "tracks": [
            {
                "id": track.id,
                "person": owner.get(track.id),
                "shot": track.shot,
                "confidence": round(track.confidence, 3),
                "boxes": [
                    [int(frame), *(round(float(v), 1) for v in box)]
                    for frame, box in zip(track.frames, track.boxes, strict=True)
                ],
            }
            for track in scan.tracks
        ],
    }
