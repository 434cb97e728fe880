"""Text from strangers, made safe for a terminal, a journal line and an sd_notify datagram."""


def printable(text: str) -> str:
    r"""`text` in one line: control, format and unassigned characters become escapes such as \n and \x1b."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
