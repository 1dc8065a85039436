"""What is told of an image beside its figures: who signed it, and what is new in it."""

from hesper_ui.elements import Text, box
from hesper_ui.services import ImageRow
from hesper_ui.words import say


def about_image(row: ImageRow) -> None:
    """Draws by whose keys an image is signed, and its changelog, as a text and as it came."""
    if not row.changelog:
        Text(say("Nobody has told what is new in it."), "p", "meta")
    else:
        with box("details", "long", open=True):
            Text(say("What is new in {version}", version=row.version), "summary")
            Text(row.changelog, "p")
    if row.signed_by:
        keys = ", ".join(row.signed_by)
        Text(say("signed with the release keys {keys}", keys=keys), "p", "meta hash")
