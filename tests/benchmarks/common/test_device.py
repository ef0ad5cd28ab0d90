import warnings

import pytest
import torch

from benchmarks.common.device import choose_device, choose_precision
from benchmarks.common.errors import UsageProblem


@pytest.mark.parametrize("name", ["gpu0", "cuda:77", "meta"])
def test_device_that_is_not_there(name):
    with pytest.raises(UsageProblem, match="--device"):
        choose_device(name)


def test_precision_is_as_asked():
    assert choose_precision("fp32", torch.device("cpu")) == "fp32"
    assert choose_precision("auto", torch.device("cpu")) in ("fp32", "bf16")


class Cuda:
    """What `torch.cuda` and the devices' first computation answer, patched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch
        self.computed_on: list[torch.device] = []

    def devices(self, count: int, current: int = 0) -> None:
        self.patch.setattr(torch.cuda, "is_available", lambda: count > 0)
        self.patch.setattr(torch.cuda, "device_count", lambda: count)
        self.patch.setattr(torch.cuda, "current_device", lambda: current)
        real = torch.ones

        def ones(*size, device=None, **options):
            self.computed_on.append(device)
            return real(*size, **options)

        self.patch.setattr(torch, "ones", ones)

    def fails(self, name: str, error: Exception) -> None:
        def broken(*_, **__):
            raise error

        self.patch.setattr(torch if name == "ones" else torch.cuda, name, broken)

    def warns(self, text: str) -> None:
        def unavailable() -> bool:
            warnings.warn(text, stacklevel=1)
            return False

        self.patch.setattr(torch.cuda, "is_available", unavailable)


@pytest.fixture
def cuda(monkeypatch):
    return Cuda(monkeypatch)


@pytest.mark.parametrize(
    ("name", "index"), [("auto", 1), ("cuda", 1), ("cuda:0", 0), ("cuda:2", 2)]
)
def test_a_gpu_has_its_index(name, index, cuda):
    cuda.devices(3, current=1)
    device = choose_device(name)
    assert device == torch.device("cuda", index)
    assert cuda.computed_on == [device]  # it was tried


@pytest.mark.parametrize("name", ["cpu", "cpu:0"])
def test_the_processor_is_named_as_its_tensors_name_it(name, cuda):
    cuda.devices(1)
    assert choose_device(name) == torch.zeros(1).device


def test_without_a_gpu_auto_takes_the_processor_silently(cuda):
    cuda.devices(0)
    lines: list[str] = []
    assert choose_device("auto", lines.append) == torch.device("cpu")
    assert lines == []


def test_an_index_beyond_the_last_gpu(cuda):
    cuda.devices(1)
    with pytest.raises(UsageProblem, match=r"--device: cuda:7 .*found 1 CUDA device; use --device"):
        choose_device("cuda:7")


BREAKS = {
    "driver too old": lambda cuda: cuda.warns(
        "CUDA initialization: The NVIDIA driver on your system is too old (found version 1).\n"
        "Please update (Triggered internally at CUDAFunctions.cpp:108.)"
    ),
    "driver that fails": lambda cuda: cuda.fails(
        "is_available", RuntimeError("driver\nlong story")
    ),
    "no context": lambda cuda: cuda.fails("current_device", RuntimeError("device busy\nmore")),
    "no kernel": lambda cuda: cuda.fails("ones", RuntimeError("CUDA error: no kernel image\nmore")),
    "torch without CUDA": lambda cuda: cuda.fails(
        "current_device", AssertionError("Torch not compiled with CUDA enabled")
    ),
}


@pytest.mark.parametrize("case", BREAKS)
def test_auto_says_in_one_line_that_a_gpu_is_there_but_broken(case, cuda, recwarn):
    cuda.devices(1)
    BREAKS[case](cuda)
    lines: list[str] = []
    assert choose_device("auto", lines.append) == torch.device("cpu")
    (line,) = lines
    assert line.startswith("no GPU is used: ")
    assert "\n" not in line
    assert "Triggered" not in line
    assert not recwarn.list


@pytest.mark.parametrize("case", BREAKS)
def test_a_broken_gpu_that_is_asked_for_is_one_line(case, cuda, recwarn):
    cuda.devices(1)
    BREAKS[case](cuda)
    with pytest.raises(UsageProblem, match=r"^--device: cuda cannot be used: ") as caught:
        choose_device("cuda")
    assert "\n" not in str(caught.value)
    assert "use --device cpu" in str(caught.value)
    assert not recwarn.list


def test_the_line_about_a_broken_gpu_reaches_the_user(bench, tiny_recipe, cuda):
    cuda.devices(1)
    BREAKS["driver too old"](cuda)
    shown = bench("run", "--methods", "random-cnn", "--recipe", str(tiny_recipe)).output
    assert (
        "no GPU is used: CUDA initialization: The NVIDIA driver on your system is too old" in shown
    )
    line = bench("run", "--device", "cuda", "--methods", "random-cnn", status=2).output
    assert line.startswith("Error: --device: cuda cannot be used")
