# SPDX-License-Identifier: MIT
"""A terminal as far as domain 0's full-screen commands use one: what is sent to it, and what then stands on it."""
import re

TOKEN = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])|\r|\n|\x08|[^\x00-\x1f]")


class Screen:
    """feed() takes output in pieces of any size; `lines` is what a person sees; answers to questions go to `reply`."""

    def __init__(self, reply, rows=24, columns=80):
        self.reply, self.rows, self.columns = reply, rows, columns
        self.pending = ""
        self.modes = {"?25": True, "?7": True, "?1049": False}
        self.wrapped = self.scrolled = 0  # characters that came behind the right edge, line feeds on the last line
        self.clear()

    def clear(self):
        self.cells = [[" "] * self.columns for _ in range(self.rows)]
        self.row = self.column = 0

    @property
    def lines(self):
        return ["".join(row).rstrip() for row in self.cells]

    def feed(self, text):
        text = self.pending + text
        self.pending = ""
        at = 0
        while at < len(text):
            token = TOKEN.match(text, at)
            if not token and text[at] == "\x1b" and len(text) - at < 16:
                self.pending = text[at:]  # the rest of it comes with the next piece
                return
            assert token, f"not understood: {text[at:at + 16]!r}"
            at = token.end()
            if token.group(3):
                self.control(token.group(1), token.group(2), token.group(3))
            else:
                self.put(token.group(0))

    def put(self, c):
        if c == "\r":
            self.column = 0
        elif c == "\n":
            if self.row + 1 < self.rows:
                self.row += 1
            else:
                self.cells = self.cells[1:] + [[" "] * self.columns]
                self.scrolled += 1
        elif c == "\x08":
            self.column = max(self.column - 1, 0)
        elif self.column < self.columns:
            self.cells[self.row][self.column] = c
            self.column += 1
        else:
            self.wrapped += 1

    def control(self, private, numbers, final):
        numbers = [int(n or 0) for n in numbers.split(";")]
        if final == "H":
            row, column = (numbers + [1])[:2]
            self.row, self.column = min(max(row, 1), self.rows) - 1, min(max(column, 1), self.columns) - 1
        elif final == "K":
            self.cells[self.row][self.column:] = [" "] * (self.columns - self.column)
        elif final == "J":
            self.control("", "", "K")
            for row in range(self.row + 1, self.rows):
                self.cells[row] = [" "] * self.columns
        elif final == "n" and numbers == [6]:
            self.reply(f"\x1b[{self.row + 1};{self.column + 1}R")
        elif final in "hl" and private:
            self.modes[f"?{numbers[0]}"] = final == "h"
            if numbers[0] == 1049:
                self.clear()
        else:
            assert final == "m", f"not understood: CSI {numbers} {final}"
