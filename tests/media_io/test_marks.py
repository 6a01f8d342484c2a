"""Marks of provenance: AIGC fields in every container, and C2PA by a chain made here."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facepick.app import App
from facepick.engines.registry import default_registry
from facepick.errors import RenderError, SettingsError, UserInputError
from facepick.files import read_json
from facepick.media.encode import EncodeSettings
from facepick.media.marks import AIGC_FIELDS, read_marks
from facepick.people.selection import Selection
from facepick.render.plan import Assignment, OutputSettings, RenderPlan
from facepick.render.renderer import Renderer
from facepick.render.report import DIGITAL_SOURCE_TYPE, container_metadata
from facepick.render.signing import (
    SigningSettings,
    load_signing,
    read_manifest,
    save_signing,
    sign_video,
)
from facepick.render.target import check_target

FIELDS = {
    "aigc_label": "2",
    "content_producer": "某某工作室",
    "produce_id": "EP-07",
    "reserved_code1": "r1",
    "content_propagator": "Platform",
    "propagate_id": "77",
    "reserved_code2": "r2",
}


def _plan(video: Path, flow: str, engine: str, **output: Any) -> RenderPlan:
    item = Assignment(selection=Selection(("P1",)), flow=flow, engine=engine)
    return RenderPlan(
        video=str(video),
        content_hash="ab" * 32,
        assignments=(item,),
        output=OutputSettings(**output),
    )


def _metadata(video: Path, **output: Any) -> dict[str, str]:
    plan = _plan(video, "lipsync", "rewrite", **output)
    spec = default_registry().get("lipsync", "rewrite").spec
    return container_metadata(plan, [(spec, None)], read_marks(video))  # type: ignore[list-item]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v", ".mkv", ".webm"])
def test_aigc_fields_are_read_back_from_every_container(
    odd: Callable[[str], Path], copy_video: Callable[..., Any], suffix: str
) -> None:
    encode = EncodeSettings(preset="ultrafast")
    if suffix == ".webm":
        encode = EncodeSettings(encoder="vp9")

    def copied(source: Path, name: str, **output: Any) -> Path:
        metadata = _metadata(source, **output)
        made = copy_video(source, suffix=suffix, segments=1, encode=encode, metadata=metadata).path
        return made.rename(made.with_name(name + suffix))

    once = copied(odd("one_frame.mp4"), "once", **FIELDS)
    marks = read_marks(once)
    assert list(marks.aigc) == list(AIGC_FIELDS)
    assert list(marks.aigc.values()) == list(FIELDS.values())
    assert marks.digital_source_type == DIGITAL_SOURCE_TYPE
    # A video that is edited again keeps what its first source said, the first time and ever after.
    twice = copied(once, "twice")
    assert read_marks(twice).aigc["ContentProducer"].startswith("facepick ")
    assert read_marks(twice).aigc_before == marks.aigc
    assert read_marks(copied(twice, "thrice")).aigc_before == marks.aigc


def test_foreign_metadata_is_no_error(
    odd: Callable[[str], Path], copy_video: Callable[..., Any]
) -> None:
    source = odd("one_frame.mp4")
    nested = json.dumps({"AIGC": {"Label": 1, "ContentProducer": "x"}})
    for text, found in ((nested, {"Label": "1", "ContentProducer": "x"}), ("{", {}), ("[1]", {})):
        made = copy_video(source, suffix=".mp4", segments=1, metadata={"AIGC": text}).path
        assert read_marks(made).aigc == found


# --- C2PA -----------------------------------------------------------------------------------


def make_chain(folder: Path, *, days: int = 30) -> SigningSettings:
    """Make a root, and a certificate signed by it that is valid for so many days."""
    pytest.importorskip("c2pa")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = dt.datetime.now(dt.timezone.utc)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Studio"),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        for name in ("Studio root", "Studio signer")
    ]
    made = []
    for row, (key, name) in enumerate(zip(keys, names, strict=True)):
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=90))
            .not_valid_after(now + dt.timedelta(days=days if row else 365))
            .add_extension(x509.BasicConstraints(row == 0, None), True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=row == 1, key_cert_sign=row == 0, crl_sign=row == 0, **usage
                ),
                True,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), False
            )
        )
        if row:
            purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purpose, False)
        made.append(builder.sign(keys[0], hashes.SHA256()))
    pem = serialization.Encoding.PEM
    folder.mkdir(parents=True, exist_ok=True)
    chain, key_file = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(c.public_bytes(pem) for c in reversed(made)))
    key_file.write_bytes(
        keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return SigningSettings(certificate=str(chain), private_key=str(key_file))


@pytest.fixture
def signing(tmp_path: Path) -> SigningSettings:
    return make_chain(tmp_path / "keys")


def _by_library(path: Path) -> Any:
    """Read a file with c2pa-python's own reader."""
    c2pa = pytest.importorskip("c2pa")
    with c2pa.Reader(str(path)) as reader:
        return reader.get_validation_state(), json.loads(reader.json())


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
def test_a_signed_result_says_what_was_done_and_keeps_the_source_s_manifest(
    odd: Callable[[str], Path],
    copy_video: Callable[..., Any],
    signing: SigningSettings,
    tmp_path: Path,
    suffix: str,
) -> None:
    source = odd("one_frame.mp4")
    first = tmp_path / f"first{suffix}"
    shutil.copy(copy_video(source, suffix=suffix, segments=1).path, first)
    second = tmp_path / f"second{suffix}"
    shutil.copy(first, second)
    sign_video(signing, first, source=source, digital_source_type=None)
    before = first.read_bytes()
    sign_video(signing, second, source=first, digital_source_type=DIGITAL_SOURCE_TYPE)
    assert first.read_bytes() == before

    state, store = _by_library(second)
    assert state == "Valid"
    assert len(store["manifests"]) == 2
    active = store["manifests"][store["active_manifest"]]
    (actions,) = (
        a["data"]["actions"] for a in active["assertions"] if a["label"] == "c2pa.actions.v2"
    )
    assert [a["action"] for a in actions] == ["c2pa.opened", "c2pa.edited"]
    assert actions[1]["digitalSourceType"] == DIGITAL_SOURCE_TYPE
    (parent,) = active["ingredients"]
    assert (parent["relationship"], parent["title"]) == ("parentOf", first.name)
    assert parent["active_manifest"] in store["manifests"]

    found = read_manifest(second)
    assert found is not None
    assert (found["state"], found["signer"], found["manifests"]) == ("Valid", "Studio signer", 2)
    assert found["actions"] == ["c2pa.opened", "c2pa.edited"]
    assert found["ingredients"] == [{"title": first.name, "signed": True}]


def test_a_changed_file_reads_as_invalid(
    odd: Callable[[str], Path], signing: SigningSettings, tmp_path: Path
) -> None:
    video = tmp_path / "out.mp4"
    shutil.copy(odd("one_frame.mp4"), video)
    assert read_manifest(video) is None
    sign_video(signing, video, source=odd("one_frame.mp4"), digital_source_type=None)
    data = bytearray(video.read_bytes())
    at = data.rindex(b"mdat") + 100
    data[at] ^= 1
    video.write_bytes(data)
    found = read_manifest(video)
    assert found is not None
    assert found["state"] == "Invalid"
    assert found["problems"]


def test_settings_that_cannot_sign_are_refused_and_nothing_is_kept(
    odd: Callable[[str], Path], signing: SigningSettings, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    other = make_chain(tmp_path / "other")
    junk = tmp_path / "junk.pem"
    junk.write_text("no key")
    wrong = [
        replace(signing, private_key=other.private_key),
        replace(signing, private_key=str(junk)),
        replace(signing, private_key=str(tmp_path / "missing.pem")),
        replace(signing, algorithm="ps256"),
        replace(signing, time_stamp="http://127.0.0.1:9/nobody"),
    ]
    for settings in wrong:
        with pytest.raises(UserInputError):
            save_signing(settings, home)
        assert load_signing(home) == SigningSettings()
    with pytest.raises(SettingsError):
        replace(signing, private_key=None)
    save_signing(signing, home)
    assert load_signing(home) == signing
    assert b"PRIVATE" not in (home / "signing.json").read_bytes()
    (home / "signing.json").write_text("{")
    with pytest.raises(UserInputError):
        load_signing(home)
    # A video that cannot be signed stays as it was.
    video = tmp_path / "out.mp4"
    shutil.copy(odd("one_frame.mp4"), video)
    before = video.read_bytes()
    with pytest.raises(RenderError):
        sign_video(wrong[0], video, source=odd("one_frame.mp4"), digital_source_type=None)
    assert video.read_bytes() == before
    assert [p.name for p in tmp_path.glob(".*signed*")] == []


def test_containers_without_a_place_for_manifests_are_told_before_the_render(
    odd: Callable[[str], Path], signing: SigningSettings, tmp_path: Path
) -> None:
    save_signing(signing, tmp_path / "home")
    plan = _plan(odd("one_frame.mp4"), "hide", "pixelate")
    out = tmp_path / "out.mkv"
    with pytest.raises(SettingsError, match="no place for a C2PA manifest"):
        check_target(out, plan, home=tmp_path / "home")
    check_target(out.with_suffix(".mp4"), plan, home=tmp_path / "home")
    check_target(out, plan.unsigned(), home=tmp_path / "home")


@pytest.mark.slow
@pytest.mark.parametrize("sign", [True, False])
def test_a_render_is_signed_where_a_certificate_is_set(
    shared_media: Path,
    shared_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sign: bool,
) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACEPICK_MODELS", str(shared_models))
    app = App()
    app.set_signing(make_chain(tmp_path / "keys"))
    scan = app.find_people(shared_media / "odd" / "base_640x360.mp4")
    plan = replace(_plan(scan.video.path, "hide", "pixelate", sign=sign), stop=5)
    plan = replace(plan, content_hash=scan.content_hash)
    (tmp_path / "work").mkdir()
    out = tmp_path / "out.mp4"
    Renderer(
        plan, scan, workspace=tmp_path / "work", registry=default_registry(), models=app.models
    ).run(out)
    marks = app.marks(out)
    assert ("c2pa" in marks) is sign
    assert marks["comment"].startswith("Edited with facepick")
    # The report knows the signed file, and nothing of where the key lies.
    assert app.inspect(out)["unchanged_since"] is True
    assert "key.pem" not in json.dumps(read_json(Path(f"{out}.facepick.json")))
