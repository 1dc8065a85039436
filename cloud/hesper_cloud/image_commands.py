"""`hesper-cloud image`: releasing firmware where the release keys are, and a look at what is kept.

``keygen``, ``describe`` and ``sign`` need no head end: they belong on the two machines of the two
people who release. The head end holds the public keys alone (`[firmware.release_keys]`).
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from hesper_contracts import jsonbody, manifest
from hesper_contracts.frame import Refused
from hesper_contracts.manifest import ANY, Manifest, SignedManifest
from hesper_contracts.signing import Signer

from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.images.filling import Kept, NotKept, digest
from hesper_cloud.images.shelf import Shelf, shelf_of
from hesper_cloud.settings import Settings

image = typer.Typer(no_args_is_help=True, help="Firmware images and their manifests.")
KeyFile = Annotated[Path, typer.Argument(help="The release key, which never leaves its owner.")]
ManifestFile = Annotated[Path, typer.Argument(help="The manifest, with the seals it has so far.")]
ImageFile = Annotated[Path, typer.Argument(help="The octets, as the meter or gateway gets them.")]
_PIECE = 1024 * 1024


@image.command()
def keygen(path: KeyFile) -> None:
    """Makes a release key and prints its public half, as head end and gateways are told it."""
    signer = Signer.generate()
    try:
        signer.save(path)
    except OSError as error:
        _give_up(f"{path}: {error.strerror}")
    typer.echo(f'"{signer.key_id}" = "{signer.public_key.hex()}"')


@image.command()
def describe(
    file: ImageFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="The manifest to write.")],
    version: Annotated[str, typer.Option(help="What is read back once it runs.")],
    not_after: Annotated[datetime, typer.Option(help="Last date (UTC).")],
    hardware: Annotated[str, typer.Option(help="The type that must be told.")] = ANY,
    type_: Annotated[str, typer.Option("--type", help="meter or gateway.")] = "meter",
    minimum_version: str | None = None,
    identifier: Annotated[str | None, typer.Option(help="Class 18; else the version.")] = None,
    signature: Annotated[str | None, typer.Option(help="The maker's, hex.")] = None,
) -> None:
    """Writes what is to be said of an image, unsigned."""
    said = {
        "type": type_,
        "hardware": hardware,
        "version": version,
        "image_hash": digest(file),
        "size": file.stat().st_size,
        "not_after": not_after.replace(tzinfo=UTC),
        "minimum_version": minimum_version,
        "identifier": identifier,
        "signature": signature,
    }
    try:
        checked = jsonbody.decode(jsonbody.encode(said), Manifest)
    except Refused as refusal:
        _give_up(str(refusal))
    out.write_bytes(jsonbody.encode(manifest.unsigned(checked)) + b"\n")
    _show(checked)


@image.command()
def sign(
    file: ManifestFile,
    key: Annotated[Path, typer.Option(help="Your release key.")],
    image_file: Annotated[
        Path | None, typer.Option("--image", help="The octets, to be held against it.")
    ] = None,
) -> None:
    """Adds your seal to a manifest, after showing what it says."""
    document = _read(file)
    said = manifest.contents(document)
    if image_file is not None and digest(image_file) != said.image_hash:
        _give_up(f"{image_file} is not the image of this manifest")
    signed = manifest.sign(document, Signer.load(key))
    file.write_bytes(jsonbody.encode(signed) + b"\n")
    _show(said)
    typer.echo(f"{len(signed.seals)} of {manifest.SEALS_NEEDED} seals")


@image.command()
def add(
    file: ImageFile,
    manifest_file: ManifestFile,
    changelog: Annotated[
        Path | None, typer.Option(help="What is new in it: a plain text, UTF-8.")
    ] = None,
    config: Config = DEFAULT,
) -> None:
    """Keeps an image at the head end; on its own machine, else `POST /firmware/images`."""
    shelf = shelf_of(Settings.load(config))
    document = _read(manifest_file)
    try:
        said = shelf.announce(document, datetime.now(UTC)).said
        if changelog is not None:
            shelf.describe(said.image_hash, changelog.read_bytes())
        _fill(shelf, said.image_hash, file)
    except (NotKept, OSError) as refusal:
        _give_up(str(refusal))
    typer.echo(f"{said.image_hash} is kept")


@image.command("list")
def list_(config: Config = DEFAULT) -> None:
    """Shows what is kept, one JSON object a line."""
    shelf = shelf_of(Settings.load(config))
    for kept in shelf.all():
        beside = {
            "changelog": shelf.changelog(kept.said.image_hash),
            "signed_by": shelf.signers(kept),
        }
        typer.echo(json.dumps(_told(kept) | beside, sort_keys=True))


@image.command()
def verify(config: Config = DEFAULT) -> None:
    """Counts every image anew; exits with 1 when one is not what its name says."""
    shelf = shelf_of(Settings.load(config))
    altered = 0
    for kept in shelf.all():
        is_good = kept.is_whole and digest(shelf.path_of(kept.said.image_hash)) == (
            kept.said.image_hash
        )
        altered += kept.is_whole and not is_good
        word = "intact" if is_good else "ALTERED" if kept.is_whole else "its octets have not come"
        typer.echo(f"{kept.said.image_hash} {word}")
    if altered:
        raise typer.Exit(1)


def _fill(shelf: Shelf, image_hash: str, file: Path) -> None:
    filling = shelf.filling(image_hash)
    try:
        with file.open("rb") as source:
            while octets := source.read(_PIECE):
                filling.write(octets)
        filling.finish()
    finally:
        filling.abandon()


def _read(file: Path) -> SignedManifest:
    try:
        return jsonbody.decode(file.read_bytes(), SignedManifest)
    except (OSError, Refused) as error:
        _give_up(f"{file}: {error}")


def _told(kept: Kept) -> dict[str, object]:
    told: dict[str, object] = json.loads(jsonbody.encode(kept.said))
    return told | {"is_whole": kept.is_whole}


def _show(said: Manifest) -> None:
    typer.echo(json.dumps(json.loads(jsonbody.encode(said)), indent=2))


def _give_up(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(1)
