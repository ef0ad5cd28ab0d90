"""Networks that map images to embeddings; every method of a comparison starts from the same one."""

from benchmarks.backbones.backbone import Backbone
from benchmarks.backbones.googlenet import googlenet_caffe, googlenet_torchvision
from benchmarks.backbones.resnet import ResNet, resnet10_16, resnet18, resnet18_topleft7
from benchmarks.backbones.resnet_imagenet import resnet18_imagenet
from benchmarks.backbones.weights import GOOGLENET_CAFFE, GOOGLENET_TORCHVISION

_ALL = (
    Backbone("resnet18", resnet18),
    Backbone("resnet18-topleft7", resnet18_topleft7),
    Backbone("resnet10-16", resnet10_16),
    Backbone("resnet18-imagenet", resnet18_imagenet),
    Backbone("googlenet", googlenet_caffe, GOOGLENET_CAFFE),
    Backbone(
        "googlenet-torchvision",
        googlenet_torchvision,
        GOOGLENET_TORCHVISION,
        remark="another network with another start than the Caffe GoogLeNet of published figures",
    ),
)

BACKBONES: dict[str, Backbone] = {backbone.name: backbone for backbone in _ALL}
"""Backbone by name; calling one with the embedding size gives its network."""

__all__ = ["BACKBONES", "Backbone", "ResNet"]
