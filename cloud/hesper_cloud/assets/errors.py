"""Why an asset was not changed, cut by what the caller should do.

AssetError
├── WrongField   a value is not one; ``field`` says which
├── Missing      there is no such asset
├── Forbidden    its state, or another asset, forbids it
└── Outdated     it was changed meanwhile; read it again
"""

from hesper_cloud.worded import worded


class AssetError(Exception):
    """An asset stays as it is; the text is fit for a person to read."""


class WrongField(AssetError):
    """One value is not one that this field takes."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(worded("{field}: {why}", field=field, why=reason))
        self.field = field
        self.reason = reason


class Missing(AssetError):
    """There is no such asset, or it was deleted."""


class Forbidden(AssetError):
    """The asset's state, or another asset that stands against it, forbids the change."""


class Outdated(AssetError):
    """The asset has another version than the one that the change was made from."""
