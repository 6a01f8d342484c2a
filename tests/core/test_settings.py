"""Settings: one source for widgets, options and schema."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from facepick.errors import SettingsError
from facepick.settings import fields_of, from_mapping, json_schema, setting, to_mapping


@dataclass(frozen=True, kw_only=True)
class Sample:
    blocks: int = setting(8, label="Blocks", help="How many.", min=2, max=64)
    share: float = setting(0.5, label="Share", help="How much.", min=0, max=1, step=0.1)
    shape: str = setting("oval", label="Shape", help="Which.", choices=("oval", "box"))
    color: str = setting("#000000", label="Colour", help="Which.", kind="color")
    smooth: bool = setting(True, label="Smooth", help="Whether.")
    picture: str | None = setting(None, label="Picture", help="Which.", kind="file")


def test_values_from_outside_get_their_own_type() -> None:
    made = from_mapping(
        Sample, {"blocks": "12", "share": 1, "smooth": "no", "color": "#A0b0C0", "picture": ""}
    )
    assert made == Sample(blocks=12, share=1.0, smooth=False, color="#a0b0c0", picture=None)
    assert from_mapping(Sample, to_mapping(made)) == made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("blocks", 1),
        ("blocks", 2.5),
        ("blocks", True),
        ("share", "nan"),
        ("share", float("inf")),
        ("share", None),
        ("shape", "star"),
        ("color", "red"),
        ("smooth", "maybe"),
        ("picture", 3),
        ("nothing", 1),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(name: str, value: object) -> None:
    with pytest.raises(SettingsError) as caught:
        from_mapping(Sample, {name: value})
    assert name in str(caught.value)
    assert caught.value.exit_code == 2


def test_schema_and_fields_agree() -> None:
    schema = json_schema(Sample)["properties"]
    assert [f.name for f in fields_of(Sample)] == list(schema)
    assert schema["blocks"]["minimum"] == 2
    assert schema["shape"]["enum"] == ["oval", "box"]
    assert schema["picture"]["type"] == ["string", "null"]
