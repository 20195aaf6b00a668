"""Bytes of a text → UTF-8. A text may be UTF-8 (with its mark or not), UTF-16, or Windows-1252; a byte that is not
UTF-8 is read as Windows-1252, so that files glued together from both survive."""

import codecs
from collections.abc import Iterator
from typing import IO

import numpy as np
import pyarrow as pa

HEAD = 4096  # first bytes, by which it is told what a file is


def peek_head(binary: IO[bytes]) -> bytes:
    """The first bytes of a stream, which is then at its beginning again."""
    head = binary.read(HEAD)
    binary.seek(0)
    return head


def utf16_encoding(head: bytes) -> str | None:
    """The name of the encoding of a text of two bytes a letter; None: it is none."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    return "utf-16-be" if head[0::2].count(0) > len(head) // 4 else None


def utf8_blocks(binary: IO[bytes], block: int) -> Iterator[bytes]:
    """A stream as UTF-8 without its mark, about `block` bytes at a time; wrong bytes of UTF-8 stay as they are."""
    head = peek_head(binary)
    encoding = utf16_encoding(head)
    if head.startswith(codecs.BOM_UTF8):
        binary.read(len(codecs.BOM_UTF8))
    decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
    while more := binary.read(block):
        yield decoder.decode(more).encode() if decoder else more
    if decoder:
        yield decoder.decode(b"", True).encode()


def repair_utf8(text: bytes) -> bytes:
    """Whole letters as UTF-8: where some bytes are not, they are those of Windows-1252."""
    edges = pa.py_buffer(np.array([0, len(text)]))
    try:
        pa.LargeStringArray.from_buffers(1, edges, pa.py_buffer(text)).validate(full=True)
    except pa.ArrowInvalid:
        return text.decode("utf-8", WINDOWS).encode()
    return text


def texts(binary: IO[bytes], block: int) -> Iterator[str]:
    """A stream of text, about `block` bytes at a time."""
    decoder = codecs.getincrementaldecoder("utf-8")(WINDOWS)
    for more in utf8_blocks(binary, block):
        yield decoder.decode(more)
    yield decoder.decode(b"", True)


def _windows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in wrong), error.end


WINDOWS = "stforecast-windows-1252"
codecs.register_error(WINDOWS, _windows)
