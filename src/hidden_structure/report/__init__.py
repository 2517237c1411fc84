"""Tables in; claims, figures and one page out. Nothing here reads a network, and nothing below imports it."""
