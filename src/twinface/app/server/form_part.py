"""The one file of a form, found in the form's bytes as they come: nothing of it is held."""

from __future__ import annotations

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from twinface.app.server.problems import Problem


class FormPart:
    """Feeds on a form that has one part, and gives that part's content.

    Args:
        content_type: the form's, with its boundary.
        field: name of the part.

    Raises:
        Problem: 422, there is no sound boundary.
    """

    def __init__(self, content_type: str, field: str) -> None:
        self.name = ""
        """What the part's file was called; "" before that is known."""
        self._field = field
        self._parts = 0
        self._ended = self._field_found = False
        self._header = self._value = b""
        self._content: list[bytes] = []
        try:
            self._parser = MultipartParser(
                parse_options_header(content_type)[1].get(b"boundary", b""),
                {
                    "on_part_begin": self._on_part,
                    "on_header_begin": self._on_header,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_end": self._on_end,
                },
            )
        except (FormParserError, ValueError) as error:
            raise self._refusal() from error

    def feed(self, chunk: bytes) -> bytes:
        """Takes more of the form, and gives what of it is the part's content.

        Raises:
            Problem: 422, it is no such form.
        """
        try:
            self._parser.write(chunk)
        except (FormParserError, ValueError) as error:
            raise self._refusal() from error
        content, self._content = b"".join(self._content), []
        return content

    def end(self) -> None:
        """Ends it.

        Raises:
            Problem: 422, the form is not complete.
        """
        if not (self._ended and self._parts == 1):
            raise self._refusal()

    def _refusal(self) -> Problem:
        return Problem(422, f"the form cannot be read; it must have the file as its only part, named {self._field}")

    def _on_part(self) -> None:
        self._parts += 1
        self._field_found = False
        if self._parts > 1:
            raise ValueError("more than one part")

    def _on_header(self) -> None:
        self._header = self._value = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._field_found = options.get(b"name", b"").decode("utf-8", "replace") == self._field
            self.name = options.get(b"filename", b"").decode("utf-8", "replace")

    def _on_headers_finished(self) -> None:
        if not self._field_found:
            raise ValueError("another part")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def _on_end(self) -> None:
        self._ended = True
