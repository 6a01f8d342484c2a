"""C2PA: signing results with the user's certificate, and reading what others signed.

A result's manifest says that it was opened from its source (the parent ingredient, whose own
manifests go along) and edited, with IPTC's digital source type where a face was made.  The
certificate belongs to whoever runs facepick, not to a plan: its place stands in the home folder,
and neither plans, reports nor HTTP clients see it or can choose it.

Specification: C2PA 2.2, https://spec.c2pa.org; library: c2pa-python.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepick import __version__
from facepick.errors import PackageMissing, RenderError, SettingsError, UserInputError
from facepick.files import read_json, write_json
from facepick.paths import home_dir
from facepick.settings import from_mapping, setting, to_mapping

__all__ = [
    "SigningSettings",
    "check_signing",
    "load_signing",
    "read_manifest",
    "save_signing",
    "sign_video",
]

_FORMAT = "facepick-signing/1"

FORMATS = {".mp4": "video/mp4", ".m4v": "video/x-m4v", ".mov": "video/quicktime"}
"""Those of facepick's containers that have a place for a manifest."""

_READABLE = {
    **FORMATS,
    ".avi": "video/avi", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png",
    ".webp": "image/webp", ".gif": "image/gif", ".tif": "image/tiff", ".tiff": "image/tiff",
    ".avif": "image/avif", ".heic": "image/heic", ".wav": "audio/wav", ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4", ".flac": "audio/flac",
}  # fmt: skip

# Files come from strangers: nothing that they name is fetched.
_QUIET = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}

_MAX_PEM_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class SigningSettings:
    """Settings of signing with C2PA; off without a certificate."""

    certificate: str | None = setting(
        None,
        label="Certificate",
        help="PEM file of the signing certificate, those that it is signed by after it.",
        kind="file",
    )
    private_key: str | None = setting(
        None,
        label="Private key",
        help="PEM file (PKCS#8) of the certificate's key; it is read when a result is signed, and "
        "nothing of it is kept.",
        kind="file",
    )
    algorithm: str = setting(
        "es256",
        label="Algorithm",
        help="What the key is made for: es* elliptic curves, ps* RSA, ed25519.",
        choices=("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"),
    )
    time_stamp: str | None = setting(
        None,
        label="Time stamps",
        help="Address of a time-stamp authority (RFC 3161), so that a signature outlives its "
        "certificate; the hash of the signature is sent there.",
    )

    def __post_init__(self) -> None:
        if bool(self.certificate) != bool(self.private_key):
            raise SettingsError(
                "Signing takes a certificate and its key, and only one of them is given.",
                hint="Give both: --certificate CHAIN.pem --private-key KEY.pem",
            )
        if self.time_stamp and not self.time_stamp.startswith(("http://", "https://")):
            raise SettingsError(
                f"--time-stamp is {self.time_stamp!r} but must be an http(s) address.",
                hint="Give the address that the authority names.",
            )

    @property
    def active(self) -> bool:
        """True when results are signed."""
        return bool(self.certificate)


def _file(home: Path | None) -> Path:
    return (home or home_dir()) / "signing.json"


def load_signing(home: Path | None = None) -> SigningSettings:
    """Load what `save_signing` kept; the default when there is nothing.

    Raises:
        UserInputError: the file is damaged; results must not go out unsigned because of that.
    """
    try:
        data = read_json(_file(home), max_bytes=2**20)
    except FileNotFoundError:
        return SigningSettings()
    except (OSError, ValueError) as error:
        raise _damaged(_file(home)) from error
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise _damaged(_file(home))
    return from_mapping(SigningSettings, {k: v for k, v in data.items() if k != "format"})


def _damaged(file: Path) -> UserInputError:
    return UserInputError(
        f"The settings of signing in {file} cannot be read.",
        hint="Set them again with facepick sign, or --off.",
    )


def save_signing(settings: SigningSettings, home: Path | None = None) -> None:
    """Keep the settings, once a trial shows that they sign.

    Raises:
        UserInputError, PackageMissing: see `check_signing`; nothing is kept.
    """
    if settings.active:
        _try_out(settings)
    file = _file(home)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"format": _FORMAT, **to_mapping(settings)})


def check_signing(settings: SigningSettings, out: Path) -> None:
    """Check before a long render that its result can be signed.

    Raises:
        SettingsError: the container has no place for a manifest.
        UserInputError: certificate, key or time stamps do not work.
        PackageMissing: c2pa-python is not there.
    """
    if not settings.active:
        return
    if out.suffix.lower() not in FORMATS:
        raise SettingsError(
            f"A {out.suffix} file has no place for a C2PA manifest.",
            hint="Choose .mp4 or .mov, or do not sign this result: --no-sign.",
        )
    _try_out(settings)


def sign_video(
    settings: SigningSettings, video: Path, *, source: Path, digital_source_type: str | None
) -> None:
    """Put a signed manifest into a video.

    Args:
        video: replaced when the signed file is whole and reads back as valid.
        source: becomes the parent ingredient; manifests in it are kept.
        digital_source_type: of the edit, an address of IPTC's NewsCodes; None for none.

    Raises:
        RenderError: it could not be signed; the video is as it was.
    """
    c2pa = _library()
    edited: dict[str, Any] = {
        "action": "c2pa.edited",
        "softwareAgent": {"name": "facepick", "version": __version__},
    }
    if digital_source_type:
        edited["digitalSourceType"] = digital_source_type
    kind = FORMATS[video.suffix.lower()]
    part = video.with_name(f".{video.stem}.signed{video.suffix}")
    try:
        context = c2pa.Context.from_dict(_QUIET)
        builder = c2pa.Builder(
            _definition(
                video.suffix,
                [{"action": "c2pa.opened", "parameters": {"ingredientIds": ["source"]}}, edited],
            ),
            context,
        )
        with builder, open(source, "rb") as file:
            ingredient = {"title": source.name, "relationship": "parentOf", "label": "source"}
            builder.add_ingredient(json.dumps(ingredient), _kind_of(source), file)
            with (
                _signer(c2pa, settings) as signer,
                open(video, "rb") as read,
                open(part, "w+b") as written,
            ):
                builder.sign(signer, kind, read, written)
        found = read_manifest(part)
        if found is None or found["state"] not in ("Valid", "Trusted"):
            raise RenderError(
                "The signed result does not read back as valid.",
                hint="Check that the certificate is valid today.",
            )
        os.replace(part, video)
    except c2pa.C2paError as error:
        raise RenderError(
            f"The result could not be signed ({error}).",
            hint="Check certificate, key and time stamps with facepick sign, then resume the job.",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Read the C2PA manifests of any file.

    Returns:
        None when there are none, or none could be in such a file; else ``state`` (``Valid``:
        unchanged since it was signed; ``Trusted``: and the signer is known; ``Invalid``),
        ``signer``, ``organisation``, ``time``, ``made_by``, ``actions``, ``source_types``,
        ``ingredients``, ``manifests`` (their number), ``problems`` (codes of C2PA) and ``store``,
        all manifests as c2pa-python reads them.

    Raises:
        PackageMissing: c2pa-python is not there.
        UserInputError: the manifests are damaged.
    """
    kind = _READABLE.get(path.suffix.lower())
    if kind is None:
        return None
    c2pa = _library()
    try:
        context = c2pa.Context.from_dict(_QUIET)
        with open(path, "rb") as file, c2pa.Reader(kind, file, context=context) as reader:
            state, store = reader.get_validation_state(), json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return None
    except OSError as error:
        raise UserInputError(f"{path.name} cannot be read ({error.strerror}).") from error
    except c2pa.C2paError as error:
        raise UserInputError(f"The C2PA manifests of {path.name} are damaged ({error}).") from error
    return _summary(str(state), store)


def _summary(state: str, store: Mapping[str, Any]) -> dict[str, Any]:
    manifests = store.get("manifests") or {}
    active = manifests.get(store.get("active_manifest")) or {}
    actions = _actions(active)
    signature = active.get("signature_info") or {}
    made_by = active.get("claim_generator_info") or ()
    types = [str(a["digitalSourceType"]) for a in actions if a.get("digitalSourceType")]
    return {
        "state": state,
        "signer": str(signature.get("common_name") or ""),
        "organisation": str(signature.get("issuer") or ""),
        "time": str(signature.get("time") or ""),
        "made_by": ", ".join(f"{g.get('name')} {g.get('version', '')}".strip() for g in made_by),
        "actions": [str(action.get("action")) for action in actions],
        "source_types": list(dict.fromkeys(types)),
        "ingredients": [
            {"title": str(i.get("title") or ""), "signed": bool(i.get("active_manifest"))}
            for i in active.get("ingredients") or ()
        ],
        "manifests": len(manifests),
        "problems": _problems(store),
        "store": dict(store),
    }


def _actions(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """List what was done, after all assertions of a manifest that say so."""
    return [
        action
        for assertion in manifest.get("assertions") or ()
        if str(assertion.get("label", "")).startswith("c2pa.actions")
        for action in (assertion.get("data") or {}).get("actions") or ()
    ]


def _problems(store: Mapping[str, Any]) -> list[str]:
    """List the codes of what was found wrong with the active manifest."""
    results = store.get("validation_results") or {}
    failures = (results.get("activeManifest") or {}).get("failure") or ()
    return [str(failure.get("code")) for failure in failures]


def _definition(suffix: str, actions: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "title": f"result{suffix}",
        "claim_generator_info": [{"name": "facepick", "version": __version__}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }


def _kind_of(source: Path) -> str:
    # Matroska and others have no place for manifests: such a source is known by its hash alone.
    return _READABLE.get(source.suffix.lower(), "application/octet-stream")


def _library() -> Any:
    try:
        import c2pa
    except ImportError as error:
        raise PackageMissing("c2pa-python", needed_for="C2PA manifests", extra="c2pa") from error
    return c2pa


def _signer(c2pa: Any, settings: SigningSettings) -> Any:
    return c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(
            settings.algorithm,
            _pem(settings.certificate or "", "certificate"),
            _pem(settings.private_key or "", "key"),
            settings.time_stamp,
        )
    )


def _pem(name: str, what: str) -> bytes:
    try:
        with open(name, "rb") as file:
            data = file.read(_MAX_PEM_BYTES)
    except OSError as error:
        raise UserInputError(
            f"The {what} {name} cannot be read ({error.strerror}).",
            hint="Set its place with facepick sign, or stop signing with facepick sign --off.",
        ) from error
    if b"-----BEGIN" not in data:
        raise UserInputError(f"{name} is no PEM file.", hint="Convert it with openssl.")
    if b"ENCRYPTED" in data:
        raise UserInputError(
            f"The {what} {name} is locked with a password.",
            hint="Unlock a copy with: openssl pkcs8 -in KEY.pem -out UNLOCKED.pem",
        )
    return data


_DOT = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>'


def _try_out(settings: SigningSettings) -> None:
    """Sign a picture of one pixel, which tells everything that can be wrong."""
    c2pa = _library()
    kind = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCreation"
    definition = _definition(".svg", [{"action": "c2pa.created", "digitalSourceType": kind}])
    try:
        context = c2pa.Context.from_dict(_QUIET)
        with c2pa.Builder(definition, context) as builder, _signer(c2pa, settings) as signer:
            builder.sign(signer, "image/svg+xml", io.BytesIO(_DOT), io.BytesIO())
    except c2pa.C2paError as error:
        raise UserInputError(
            f"Nothing can be signed with this certificate, key and time-stamp address ({error}).",
            hint="Signing takes a chain for C2PA (or for e-mail protection), valid today, its own "
            "key, the algorithm of that key, and a time-stamp authority that answers.",
        ) from error
