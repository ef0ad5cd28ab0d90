import pytest
import torch

from benchmarks.environment import choose_device, choose_precision, describe
from benchmarks.errors import UsageProblem


def test_describe_names_versions_and_commit():
    environment = describe(torch.device("cpu"), "fp32")
    assert environment.packages["torch"] == torch.__version__.split("+")[0] or environment.packages[
        "torch"
    ].startswith(torch.__version__)
    assert environment.device
    assert environment.precision == "fp32"
    assert environment.git_commit is None or len(environment.git_commit) == 40


@pytest.mark.parametrize("name", ["gpu0", "cuda:77", "meta"])
def test_device_that_is_not_there(name):
    with pytest.raises(UsageProblem, match="--device"):
        choose_device(name)


def test_precision_is_as_asked():
    assert choose_precision("fp32", torch.device("cpu")) == "fp32"
    assert choose_precision("auto", torch.device("cpu")) in ("fp32", "bf16")
