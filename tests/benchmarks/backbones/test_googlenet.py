import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from benchmarks.backbones import googlenet as module
from benchmarks.backbones.googlenet import (
    INCEPTIONS,
    Inception,
    PixelScale,
    Widths,
    googlenet_caffe,
    googlenet_torchvision,
    local_response_norm,
)
from benchmarks.common.errors import UsageProblem
from benchmarks.data.transforms.augment import prepare


@pytest.fixture(scope="module")
def caffe() -> module.GoogLeNet:
    torch.manual_seed(0)
    return googlenet_caffe(16)


# Local response normalisation


def naive_norm(maps: torch.Tensor, size: int, alpha: float, beta: float, k: float) -> torch.Tensor:
    result, (batch, channels, height, width) = maps.clone(), maps.shape
    for b in range(batch):
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    near = range(max(0, c - size // 2), min(channels, c + size // 2 + 1))
                    total = sum(float(maps[b, j, y, x]) ** 2 for j in near)
                    result[b, c, y, x] /= (k + alpha / size * total) ** beta
    return result


@pytest.mark.parametrize("channels", [1, 4, 5, 9])
@pytest.mark.parametrize("settings", [(5, 1e-4, 0.75, 1.0), (3, 0.5, 0.5, 2.0)])
def test_norm_is_the_loop_over_near_channels(channels, settings):
    maps = 200 * torch.randn(2, channels, 3, 2, dtype=torch.float64)
    torch.testing.assert_close(local_response_norm(maps, *settings), naive_norm(maps, *settings))


def test_norm_is_torchs_at_caffes_settings():
    maps = 200 * torch.randn(2, 64, 5, 4)
    reference = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
    torch.testing.assert_close(local_response_norm(maps), reference(maps))


def test_gradients_of_the_norm():
    maps = torch.randn(1, 7, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: local_response_norm(m, alpha=0.5), maps)


def test_norm_of_bf16_is_computed_in_fp32():
    maps = (300 * torch.randn(2, 64, 6, 6)).bfloat16()
    found = local_response_norm(maps)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, local_response_norm(maps.float()).bfloat16())


# Layers


@pytest.mark.parametrize("widths", INCEPTIONS.values(), ids=INCEPTIONS)
def test_blocks_follow_one_another(widths):
    names = list(INCEPTIONS.values())
    following = names[names.index(widths) + 1 :]
    assert widths.outputs == (following[0].inputs if following else module.POOLED_WIDTH)


def test_block_puts_its_four_branches_side_by_side():
    torch.manual_seed(0)
    block = Inception(Widths(6, 1, 2, 3, 4, 5, 7)).eval()
    maps = torch.randn(2, 6, 7, 7)

    def layer(name: str, inputs: torch.Tensor) -> torch.Tensor:
        weight, bias = block.state_dict()[f"{name}.weight"], block.state_dict()[f"{name}.bias"]
        return F.conv2d(inputs, weight, bias, padding=weight.shape[-1] // 2).clamp(min=0)

    padded = F.pad(maps, (1, 1, 1, 1), value=-torch.inf)
    pooled = padded.unfold(2, 3, 1).unfold(3, 3, 1).amax((4, 5))
    expected = [
        layer("1x1", maps),
        layer("3x3", layer("3x3_reduce", maps)),
        layer("5x5", layer("5x5_reduce", maps)),
        layer("pool_proj", pooled),
    ]
    assert [branch.shape[1] for branch in expected] == [1, 3, 5, 7]
    torch.testing.assert_close(block(maps), torch.cat(expected, 1))


def test_convolutions_are_torchvisions_but_for_the_5_x_5(caffe):
    """torchvision gives the 5 x 5 branch 3 x 3 kernels, and all of them BN instead of a bias."""

    def shapes(network: nn.Module) -> list[torch.Size]:
        return [m.weight.shape for m in network.modules() if isinstance(m, nn.Conv2d)]

    found, reference = shapes(caffe.trunk), shapes(googlenet_torchvision(16).trunk)
    fives = [3 + 6 * block + 4 for block in range(len(INCEPTIONS))]
    for layer in fives:
        assert found[layer][2:] == (5, 5)
        assert reference[layer][2:] == (3, 3)
        found[layer] = (*found[layer][:2], 3, 3)
    assert found == reference


def test_count_of_parameters(caffe):
    """BVLC's network has 6,998,552 with its classifier of 1,000 classes."""
    assert sum(p.numel() for p in caffe.trunk.parameters()) == 6_998_552 - 1_025_000
    assert sum(p.numel() for p in caffe.head.parameters()) == 1024 * 16 + 16


def test_state_has_the_names_of_caffes_layers(caffe):
    names = list(caffe.trunk.state_dict())
    assert len(names) == 2 * (3 + 9 * 6)
    assert {"conv1.7x7_s2.weight", "conv2.3x3_reduce.bias", "inception_5b.pool_proj.bias"} < {
        *names
    }


@pytest.mark.parametrize(
    ("size", "sides"), [(224, [112, 56, 28, 14, 7]), (227, [114, 57, 28, 14, 7])]
)
def test_maps_have_caffes_sizes(caffe, size, sides):
    shapes = {}
    hooks = [
        caffe.trunk.get_submodule(name).register_forward_hook(
            lambda layer, inputs, output, name=name: shapes.update({name: output.shape[1:]})
        )
        for name in ["conv1.7x7_s2", "conv2.3x3", *INCEPTIONS]
    ]
    try:
        with torch.no_grad():
            assert caffe.features(torch.randn(2, 3, size, size)).shape == (2, 1024)
    finally:
        for hook in hooks:
            hook.remove()
    places = dict.fromkeys(INCEPTIONS, sides[3])
    places |= {"inception_3a": sides[2], "inception_3b": sides[2]}
    places |= {"inception_5a": sides[4], "inception_5b": sides[4]}
    widths = {name: block.outputs for name, block in INCEPTIONS.items()}
    expected = {name: (widths[name], side, side) for name, side in places.items()}
    expected |= {"conv1.7x7_s2": (64, sides[0], sides[0]), "conv2.3x3": (192, sides[1], sides[1])}
    assert shapes == expected


@pytest.mark.parametrize("size", [223, 254])
def test_sizes_at_the_limits(caffe, size):
    with torch.no_grad():
        assert caffe(torch.randn(1, 3, size, 240)).shape == (1, 16)


@pytest.mark.parametrize(("height", "width"), [(222, 227), (227, 255), (64, 64)])
def test_other_sizes_are_refused(caffe, height, width):
    words = rf"7 x 7, found .* from images of {height} x {width} pixels; .* 223 to 254"
    with torch.no_grad(), pytest.raises(UsageProblem, match=words):
        caffe(torch.randn(1, 3, height, width))


# Pixels


@pytest.mark.parametrize("told", [True, False])
def test_trunk_sees_bgr_pixels_less_the_means(told):
    mean, std = (0.1, 0.5, 0.7), (0.2, 0.3, 0.4)
    if not told:
        mean, std = module.IMAGENET_MEAN, module.IMAGENET_STD
    pixels = googlenet_caffe(8).pixels
    if told:
        pixels.set_normalisation(mean, std)
    images = torch.randint(256, (2, 3, 5, 4), dtype=torch.uint8)
    red, green, blue = images.double().unbind(1)
    expected = torch.stack((blue - 102.9801, green - 115.9465, red - 122.7717), 1)
    found = pixels(prepare(images, mean, std))
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-3)


def test_scale_travels_with_the_state():
    first, second = googlenet_caffe(8).pixels, googlenet_caffe(8).pixels
    first.set_normalisation((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    second.load_state_dict(first.state_dict())
    images = torch.randn(1, 3, 2, 2)
    assert torch.equal(first(images), second(images))
    assert not torch.equal(first(images), PixelScale(255.0, (0.0,) * 3, bgr=True)(images))


# The whole network


@pytest.fixture(scope="module")
def trained(caffe) -> tuple[module.GoogLeNet, torch.Tensor, torch.Tensor]:
    images = torch.randn(2, 3, 227, 227).contiguous(memory_format=torch.channels_last)
    network = googlenet_caffe(16).to(memory_format=torch.channels_last)
    network.load_state_dict(caffe.state_dict())
    embeddings = network(images)
    embeddings.square().sum().backward()
    return network, images, embeddings.detach()


def test_gradients_reach_every_parameter(trained):
    for name, parameter in trained[0].named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_channels_last_stays_and_changes_nothing(caffe, trained):
    _, images, embeddings = trained
    with torch.no_grad():
        torch.testing.assert_close(caffe(images.contiguous()), embeddings, rtol=1e-4, atol=1e-5)
    maps = torch.randn(2, 8, 6, 6).contiguous(memory_format=torch.channels_last)
    for layer in (local_response_norm, Inception(Widths(8, 8, 8, 8, 8, 8, 8)), caffe.pixels):
        found = layer(maps[:, :3] if layer is caffe.pixels else maps)
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_bf16_autocast_is_close(trained):
    network, images, embeddings = trained
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = network(images)
    assert found.dtype == torch.bfloat16
    assert F.cosine_similarity(found.float(), embeddings).min() > 0.999


def test_pooled_features_enter_the_head(caffe):
    entered = []
    hook = caffe.head.register_forward_pre_hook(lambda layer, inputs: entered.append(inputs[0]))
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        caffe(images)
        hook.remove()
        assert torch.equal(entered[0], caffe.features(images))


# torchvision's network


@pytest.mark.parametrize("size", [224, 64])
def test_torchvisions_network_is_torchvisions(size):
    """As torchvision's own network takes ImageNet-normalised images for its weights."""
    torch.manual_seed(0)
    network = googlenet_torchvision(16).eval()
    reference = torchvision.models.GoogLeNet(
        num_classes=16, aux_logits=False, init_weights=False, transform_input=True
    ).eval()
    state = network.trunk.state_dict()
    head = {f"fc.{name}": value for name, value in network.head.state_dict().items()}
    reference.load_state_dict(state | head)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(network(images), reference(images), rtol=1e-3, atol=1e-4)
        assert network.features(images).shape == (2, 1024)
