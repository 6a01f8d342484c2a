"""The catalogue: what may be fetched, what ships, and that what ships is right."""

from __future__ import annotations

import pytest

from facepick.errors import UserInputError
from facepick.models.catalog import (
    FACE_MESH,
    SFACE,
    SILERO_VAD,
    YUNET,
    all_specs,
    default_specs,
    spec_by_id,
)
from facepick.models.spec import ModelSpec, UrlSource
from facepick.models.store import BUNDLED_DIR, sha256_of


def test_ids_and_file_names_are_unique() -> None:
    ids = [spec.id for spec in all_specs()]
    assert len(set(ids)) == len(ids)
    names = [name for spec in all_specs() for name in (spec.file, *spec.aliases)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("spec", all_specs(), ids=lambda spec: spec.id)
def test_only_files_with_a_known_hash_are_fetched(spec: ModelSpec) -> None:
    if spec.sources or spec.bundled:
        assert spec.sha256
    # Size and hash go together: both known or neither.
    assert bool(spec.sha256) == (spec.size > 0)
    for source in spec.sources:
        if isinstance(source, UrlSource):
            assert source.url.startswith("https://")
    assert spec.purpose.endswith(".")
    assert spec.licence
    assert spec.homepage.startswith("https://")


@pytest.mark.parametrize("spec", [YUNET, FACE_MESH, SILERO_VAD], ids=lambda spec: spec.id)
def test_bundled_files_are_what_the_catalogue_says(spec: ModelSpec) -> None:
    path = BUNDLED_DIR / spec.file
    assert path.stat().st_size == spec.size < 2_000_000
    assert sha256_of(path) == spec.sha256


def test_every_bundled_file_is_in_the_catalogue_with_its_licence_beside_it() -> None:
    models = {p.name for p in BUNDLED_DIR.iterdir() if p.suffix in (".onnx", ".tflite")}
    assert models == {spec.file for spec in all_specs() if spec.bundled}
    readme = (BUNDLED_DIR / "README.md").read_text(encoding="utf-8")
    for spec in all_specs():
        if spec.bundled:
            row = next(line for line in readme.splitlines() if f"`{spec.file}`" in line)
            licence = BUNDLED_DIR / row.rsplit("`", 2)[1]
            assert spec.licence.split("-")[0] in licence.read_text(encoding="utf-8")[:200] or (
                "Apache License" in licence.read_text(encoding="utf-8")[:200]
            )


def test_the_default_set_may_be_used_commercially() -> None:
    assert SFACE in default_specs()
    assert all(spec.commercial_use for spec in default_specs())
    assert all(spec.bundled or spec.sources for spec in default_specs())


def test_unknown_id_lists_the_known_ones() -> None:
    assert spec_by_id("sface") is SFACE
    with pytest.raises(UserInputError) as failure:
        spec_by_id("sfaec")
    assert "sface" in failure.value.hint
