"""The whole of `bench speed`, on little data: what it measures, not how fast that is."""

import math

import pytest
import torch
from click.testing import CliRunner

from benchmarks.commands import speed
from benchmarks.commands.cli import main
from benchmarks.commands.speed import streaming
from benchmarks.commands.speed.evaluator import Sizes
from benchmarks.commands.speed.record import SpeedRecord
from benchmarks.runs import paper_tables

SMALL = {
    "images": 400,
    "test_images": 50,
    "sizes": Sizes(bank=300, queries=20, clusters=8, products=600, product_classes=60),
    "instances": (5000, 20_000),
    "streamed": 6,
}


@pytest.fixture(scope="module")
def said():
    return []


@pytest.fixture(scope="module")
def record(said) -> SpeedRecord:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "BATCH", 2)
        patch.setattr(torch.nn.Module, "compile", lambda module, **options: None)  # half a minute
        settings = speed.Settings(
            ("invaspread", "nce"), ("resnet10-16",), torch.device("cpu"), "fp32", 0.01, **SMALL
        )
        return speed.measure(settings, said.append)


def test_every_method_is_measured_on_every_network(record, said):
    assert [(row.method, row.backbone) for row in record.training] == [
        ("invaspread", "resnet10-16"),
        ("nce", "resnet10-16"),
    ]
    assert said[0] == "plain pipeline: invaspread, resnet10-16"


def test_figures_are_rates_and_times(record):
    for row in record.training:
        for figure in (row.plain, row.suite, row.bare, row.checkpoint, row.epoch, row.peak_memory):
            assert figure > 0
            assert math.isfinite(figure)
        assert {"sampling", "augmentation", "forward", "loss", "backward"} <= set(row.phases)
    assert record.matrix_peak > 1e9
    assert all(row.suite > 0 and row.reference_seconds > 0 for row in record.evaluation)
    assert all(row.peak_memory > 1e6 for row in record.evaluation)
    assert min(record.streaming.suite, record.streaming.bare) > 0
    assert (record.streaming.images, record.streaming.crop_size) == (6, 224)
    assert [row.instances for row in record.scaling] == [5000, 20_000]


def test_an_epoch_is_its_steps_and_its_checkpoint(record):
    for row in record.training:
        steps = 400 // record.batch_size
        views = steps * record.batch_size * row.views
        assert views / row.suite == pytest.approx(row.epoch - row.start_of_epoch)
        once = sum(row.phases.values()) / 1000
        assert steps * once + row.checkpoint == pytest.approx(views / row.suite, rel=0.5)


def test_operations_are_those_of_the_layers(record):
    """A convolution costs 2 k^2 c_in c_out a pixel forward, twice that backward."""
    layers = [(1, 3, 16, 9), (1, 16, 16, 9), (1, 16, 16, 9)]
    for stage, width in ((2, 32), (4, 64), (8, 128)):
        layers += [(stage, width // 2, width, 9), (stage, width, width, 9)]
        layers += [(stage, width // 2, width, 1)]
    forward = sum(2 * k * i * o * (32 // stride) ** 2 for stride, i, o, k in layers)
    head = 2 * 128 * 128
    first = 2 * 9 * 3 * 16 * 32**2  # its input needs no gradient
    expected = 3 * (forward + head) - first
    assert record.networks[0].flops_per_view == pytest.approx(expected, rel=1e-6)


def test_written_and_read_again(record, tmp_path):
    paths = speed.write(record, tmp_path)
    assert [path.name for path in paths] == ["speed.json", "speed.md"]
    assert SpeedRecord.model_validate_json(paths[0].read_text()) == record
    assert paths[1].read_text() == speed.markdown(record)


def test_the_tables_say_what_was_measured(record):
    text = speed.markdown(record)
    row = record.training[0]
    assert f"| `invaspread` | {row.plain:,.0f} | {row.suite:,.0f} | {row.bare:,.0f} |" in text
    ratios = row.suite / row.plain, row.bare / row.plain
    assert f"| {ratios[0]:.1f} | {ratios[1]:.1f} | {row.suite / row.bare:.0%} |" in text
    assert f"{record.streaming.suite:,.1f} views a second" in text
    assert "An evaluation embeds 450 images" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


@pytest.mark.parametrize(
    ("nce", "word"),
    [([9.0, 1.0], "from 20,000 instances on"), ([9.0, 9.0], "does not beat the full softmax")],
)
def test_where_sampling_pays(record, nce, word):
    rows = [
        row.model_copy(update={"npsoftmax": 5.0, "nce": cost})
        for row, cost in zip(record.scaling, nce, strict=True)
    ]
    assert word in speed.markdown(record.model_copy(update={"scaling": rows}))


def test_without_a_compiler_it_says_so(record):
    network = record.networks[0].model_copy(update={"bare_compiled": None, "compile_seconds": None})
    text = speed.markdown(record.model_copy(update={"networks": [network]}))
    assert "torch.compile: no compiler here." in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "nonesuch"], "Unknown method 'nonesuch'"),
        (["--backbones", "vgg"], "Unknown backbone 'vgg'"),
        (["--seconds", "0"], "0"),
    ],
)
def test_mistakes_are_told_in_a_line(options, message, tmp_path):
    result = CliRunner().invoke(main, ["speed", *options, "--results", str(tmp_path)])
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_by_default_the_methods_of_table_1_are_measured():
    (option,) = [p for p in main.commands["speed"].params if p.name == "methods"]
    assert option.show_default == "those of Table 1"
    assert "mom" not in paper_tables.methods(
        1
    )  # mining 50,000 images takes longer than all the rest
