"""What a render looks at before it draws, it looks at once, and passes on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facepick.cli.main import main
from facepick.media.audio import decode_audio
from facepick.media.probe import probe
from facepick.people.finder import content_hash
from facepick.render.plan import RenderPlan
from facepick.render.publish import refuse_existing
from facepick.render.target import check_target


def counted(
    monkeypatch: pytest.MonkeyPatch, counts: Counter[tuple[str, str]], function: Callable[..., Any]
) -> None:
    """Count the calls of a function by the name of the file, in every module that has it."""

    def counting(path: Any, *args: Any, **named: Any) -> Any:
        counts[function.__name__, Path(path).name] += 1
        return function(path, *args, **named)

    for module in [m for name, m in sys.modules.items() if name.startswith("facepick")]:
        for name, value in list(vars(module).items()):
            if value is function:
                monkeypatch.setattr(module, name, counting)


@pytest.mark.slow
def test_a_render_reads_video_and_speech_no_oftener_than_it_must(
    shared_media: Path, shared_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import facepick.jobs.work

    assert facepick.jobs.work.probe is probe, "loaded, so that its calls are counted"
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    counts: Counter[tuple[str, str]] = Counter()
    for function in (probe, decode_audio, content_hash, check_target, refuse_existing):
        counted(monkeypatch, counts, function)
    checked: list[RenderPlan] = []
    check = RenderPlan.validate_inputs
    monkeypatch.setattr(
        RenderPlan,
        "validate_inputs",
        lambda plan, registry: checked.append(plan) or check(plan, registry),
    )
    video = shared_media / "odd" / "base_640x360.mp4"
    mix = shared_media / "speech" / "en_jfk.mp3"
    out = tmp_path / "out.mp4"
    command = ["render", str(video), "-o", str(out), "--person", "P1", "--flow", "hide"]
    # The page beside a result looks at both videos for itself.
    command += ["--review", "off", "--soundtrack", str(mix), "--progress", "none"]
    assert main(command) == 0
    # Once when it is asked for, once when a job begins, perhaps days later.
    assert counts["probe", video.name] == 2
    assert counts["check_target", out.name] == 2
    assert counts["refuse_existing", out.name] <= 3
    assert len(checked) == 2
    assert counts["content_hash", video.name] == 1
    # Its first block, and what is heard.
    assert counts["decode_audio", mix.name] == 2
