"""A QR code as an inline drawing, so that a secret goes through nobody's picture service."""

_QUIET = 4
"""Light modules around the code (ISO/IEC 18004, 5.3.8)."""
_SIDE_PX = 220


def svg(text: str) -> str:
    """Returns a text as a QR code, black on white whatever the theme, as scanners want it."""
    from reportlab.graphics.barcode.qrencoder import QRCode, QRErrorCorrectLevel  # seldom needed

    code = QRCode(None, QRErrorCorrectLevel.M)
    code.addData(text)
    code.make()
    count = code.getModuleCount()
    dark = "".join(
        f"M{column + _QUIET} {row + _QUIET}h1v1h-1z"
        for row in range(count)
        for column in range(count)
        if code.isDark(row, column)
    )
    side = count + 2 * _QUIET
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" width="{_SIDE_PX}"'
        f' height="{_SIDE_PX}" shape-rendering="crispEdges" data-qr="true">'
        f'<rect width="{side}" height="{side}" fill="#fff"/><path d="{dark}" fill="#000"/></svg>'
    )
