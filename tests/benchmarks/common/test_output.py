import io
import os
import sys

import pytest

from benchmarks.common.output import steady_output


class Broken(io.TextIOBase):
    encoding = "utf-8"

    def __init__(self, error):
        self.error = error
        self.calls = 0

    def write(self, text):
        self.calls += 1
        raise self.error

    def flush(self):
        raise self.error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BrokenPipeError(32, "Broken pipe"), False),
        (OSError(28, "No space left on device"), True),
        (ValueError("I/O operation on closed file"), False),
    ],
)
def test_output_that_is_lost_stops_nothing(monkeypatch, error, told):
    broken, heard = Broken(error), io.StringIO()
    monkeypatch.setattr(sys, "stdout", broken)
    monkeypatch.setattr(sys, "stderr", heard)
    with steady_output():
        for _ in range(3):
            print("a line", flush=True)
    assert broken.calls == 1  # the rest is dropped
    assert heard.getvalue().count("\n") == told
    assert sys.stdout is broken


def test_both_streams_may_be_lost(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Broken(OSError(28, "No space left on device")))
    monkeypatch.setattr(sys, "stderr", Broken(OSError(28, "No space left on device")))
    with steady_output():
        print("a line", flush=True)
        print("a line", file=sys.stderr)


def test_absent_streams_stay_absent(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with steady_output():
        print("a line")
    assert sys.stdout is None


def test_a_character_that_cannot_be_written_does_not_lose_the_stream(monkeypatch):
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", file)
    with steady_output():
        print("\u732b")
        print("dog")
    file.flush()
    assert file.buffer.getvalue().decode() == "\\u732b\ndog\n"


def test_errors_inside_and_other_attributes_pass(monkeypatch):
    heard = io.StringIO()
    monkeypatch.setattr(sys, "stdout", heard)

    def work():
        assert sys.stdout.isatty() is False
        sys.stdout.writelines(["a", "b"])
        raise OSError("mine")

    with steady_output(), pytest.raises(OSError, match="mine"):
        work()
    assert heard.getvalue() == "ab"


def test_closed_pipe_leads_to_nowhere_from_then_on(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    monkeypatch.setattr(sys, "stdout", stream)
    with steady_output():
        print("a line", flush=True)
    os.write(stream.fileno(), b"no error any more")
    stream.close()
