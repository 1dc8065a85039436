"""Our own line drawings: constants, 24 units square, drawn in the current colour."""


def _drawing(body: str) -> str:
    return (
        '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.7"'
        f' stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{body}</svg>'
    )


STAR = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path fill="currentColor" d="M12 1.5c.9 6.3 3.3 '
    '8.9 10.5 10.5-7.2 1.6-9.6 4.2-10.5 10.5C11.1 16.2 8.7 13.6 1.5 12 8.7 10.4 11.1 7.8 12 1.5z"/>'
    "</svg>"
)
OVERVIEW = _drawing(
    '<rect x="3.5" y="3.5" width="7" height="9" rx="1.5"/>'
    '<rect x="13.5" y="3.5" width="7" height="5" rx="1.5"/>'
    '<rect x="3.5" y="15.5" width="7" height="5" rx="1.5"/>'
    '<rect x="13.5" y="11.5" width="7" height="9" rx="1.5"/>'
)
METERS = _drawing(
    '<circle cx="12" cy="11" r="7.5"/>'
    '<path d="M8.5 13.5a4 4 0 1 1 7 0M12 12.5l2-3M9 18.5V21h6v-2.5"/>'
)
GATEWAYS = _drawing(
    '<rect x="3.5" y="13.5" width="17" height="7" rx="1.8"/>'
    '<path d="M7 17h.01M10.5 17h.01M16 13.5V10'
    'M12.8 8.2a4.5 4.5 0 0 1 6.4 0M10.6 5.8a7.8 7.8 0 0 1 10.8 0"/>'
)
ALERTS = _drawing('<path d="M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15zM10 20.5h4"/>')
GAPS = _drawing(
    '<path d="M3.5 19.5h17M5.5 16v-6M9.5 16V6M18.5 16V8M13 5v11" stroke-dasharray="none"/>'
)
EVENTS = _drawing('<path d="M4 6.5h.01M4 12h.01M4 17.5h.01M8.5 6.5h11.5M8.5 12h11.5M8.5 17.5h7"/>')
LEVELS = _drawing('<path d="M4 17.5a8 8 0 1 1 16 0M12 17.5l4-6.5"/>')
AUDIT = _drawing('<path d="M6 3.5h9l3.5 3.5v13.5H6zM9 11l2 2 4-4M9 17h6"/>')
COMMANDS = _drawing('<path d="M12 3.5v8M7.2 6.4a7.5 7.5 0 1 0 9.6 0"/>')
SLIDERS = _drawing(
    '<circle cx="12" cy="12" r="8"/><path d="M12 4v16a8 8 0 0 0 0-16z" fill="currentColor"/>'
)
BATCHES = _drawing('<path d="M4 7l8-3.5L20 7l-8 3.5zM4 12l8 3.5 8-3.5M4 16.5L12 20l8-3.5"/>')
FIRMWARE = _drawing(
    '<rect x="4" y="4" width="16" height="16" rx="2"/><path d="M12 8v7M9 12.5l3 3 3-3"/>'
)
MAP = _drawing(
    '<path d="M3.5 6.5l5.5-2.5 6 2.5 5.5-2.5v13.5L15 20l-6-2.5-5.5 2.5zM9 4v13.5M15 6.5V20"/>'
)
RIDDLE = _drawing('<path d="M4 5h16l-6 7.5V19l-4 1.5v-8z"/>')
RULES = _drawing('<path d="M4 18.5h16M4 8.5h16M7 18.5v-4M11 18.5v-7M15 18.5v-13M19 18.5v-6"/>')
OUTAGES = _drawing('<path d="M13 3.5L6.5 13H11l-1 7.5L17.5 10H13zM4 4l16 16"/>')
PEOPLE = _drawing(
    '<circle cx="9" cy="8.5" r="3"/><path d="M3.5 19.5c0-3.6 2.4-5.5 5.5-5.5s5.5 1.9 5.5 5.5'
    'M15.5 6a3 3 0 0 1 0 5.5M17 14.5c2.2.6 3.5 2.3 3.5 5"/>'
)
COG = _drawing(
    '<circle cx="12" cy="12" r="3"/><path d="M12 3.5v2.2M12 18.3v2.2M3.5 12h2.2M18.3 12h2.2'
    'M6 6l1.6 1.6M16.4 16.4L18 18M18 6l-1.6 1.6M7.6 16.4L6 18"/>'
)
PLANS = _drawing(
    '<rect x="4" y="5" width="16" height="15.5" rx="2"/><path d="M4 9.5h16M8.5 3.5v3M15.5 3.5v3'
    'M8 13.5h4M8 17h8"/>'
)
SEEK = _drawing('<circle cx="10.5" cy="10.5" r="6"/><path d="M15 15l5 5"/>')
MORE = _drawing('<path d="M4 6.5h16M4 12h16M4 17.5h16"/>')
ARROW_DOWN = "M7 10l5 5 5-5z"
IMPORT = _drawing(
    '<path d="M12 3.5v10M8 9.5l4 4 4-4"/><path d="M4.5 14.5v4a2 2 0 0 0 2 2h11a2 2 0 0 0 2-2v-4"/>'
)
REPORTS = _drawing(
    '<path d="M6.5 3.5h8l4 4v13h-12z"/><path d="M14 3.5v4.5h4.5M9.5 12.5h6M9.5 16h6"/>'
)
JOBS = _drawing(
    '<circle cx="12" cy="12" r="8.5"/><path d="M12 7v5l3.5 2"/><path d="M3.5 12H6M18 12h2.5"/>'
)
