"""Multi-crop (Caron et al., NeurIPS 2020): two views of the recipe's size and two small ones."""

from torch import Tensor, nn

from methods import Batch, Method, View


class MultiCropExample(Method):
    """Pull the small views of an image to the mean of its large ones, and spread the images."""

    name = "example-multi-crop"
    paper = "Caron et al., NeurIPS 2020"
    family = "siamese"
    views = (View(), View(), *[View(size=6, changes={"crop_scale": (0.1, 0.4)})] * 2)

    def __init__(self, encoder: nn.Module, instances: int, *, spread: float = 1.0) -> None:
        super().__init__(encoder, instances)
        self.spread = spread

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean squared distance of small to large views, less the images' variance."""
        large = self.embed_views(Batch(batch.index, batch.views[:2], batch.clock))
        small = self.embed_views(Batch(batch.index, batch.views[2:], batch.clock))
        centre = (large[0] + large[1]) / 2  # (b, d)
        near = sum(((rows - centre) ** 2).sum(1).mean() for rows in small)
        return near - self.spread * centre.var(0).sum()
