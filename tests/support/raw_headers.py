"""Messages whose headers are given as they go over the wire: those that a client's library would not make."""
import struct

import pika

# What a table of headers may have in a frame, beside a content type and a delivery mode.
LARGEST = 131072 - 8 - 12 - 2 - 4 - len("-application/json") - 1


def text(name, value):
    return bytes([len(name)]) + name.encode() + b"S" + struct.pack(">I", len(value)) + value


def padded(size, *headers):
    """`headers` and one more, `size` bytes together."""
    table = b"".join(headers)
    return table + text("x-mine", b"x" * (size - len(table) - len("-x-mine") - 5))


def nested(levels):
    """A list in a list in a list…"""
    return b"\1a" + b"".join(b"A" + struct.pack(">I", 5 * (levels - 1 - level)) for level in range(levels))


class Properties(pika.BasicProperties):
    def __init__(self, table):
        super().__init__(content_type="application/json", delivery_mode=2, headers={})
        self.table = table

    def encode(self):
        flags = self.FLAG_CONTENT_TYPE | self.FLAG_HEADERS | self.FLAG_DELIVERY_MODE
        kind = self.content_type.encode()
        return [struct.pack(">H", flags), bytes([len(kind)]), kind, struct.pack(">I", len(self.table)), self.table, b"\2"]
