"""How methods are run: data sets, augmentation, backbones, recipes, trainer, records, report."""

__version__ = "0.1.0"
