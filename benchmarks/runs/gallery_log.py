"""Adds to a run's gallery while it trains, for data whose test classes are not trained on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.data.datasets.base import ImageData
from benchmarks.evaluator.gallery import epoch_gallery, kept_epochs
from benchmarks.runs import store


@dataclass(frozen=True)
class GalleryLog:
    """Called after an evaluation; keeps the neighbours of a few test images of some epochs.

    Attributes:
        folder: of the run.
        data: the images.
        epochs: of the run.
        evaluate_every: epochs between two evaluations.
    """

    folder: Path
    data: ImageData
    epochs: int
    evaluate_every: int

    def __call__(self, epoch: int, embeddings: np.ndarray) -> None:
        """Keep the gallery of an epoch if it is one of those that are kept.

        Args:
            epoch: counted from 1; 0 for an untrained network.
            embeddings: (q, d), unit rows of the test images.
        """
        test = self.data.test
        if not self.data.unseen or test is None:
            return
        if epoch not in kept_epochs(self.epochs, self.evaluate_every):
            return
        made = epoch_gallery(embeddings, test, self.data)
        fresh = {name: values[None] for name, values in made.items()}
        fresh["epochs"] = np.array([epoch])
        earlier = store.read_arrays(self.folder, store.GALLERY)
        if earlier is not None and earlier.keys() == fresh.keys():
            before = earlier["epochs"] < epoch  # an interrupted epoch comes again
            fresh = {name: np.concatenate([earlier[name][before], fresh[name]]) for name in fresh}
        store.write_arrays(self.folder, store.GALLERY, fresh)
