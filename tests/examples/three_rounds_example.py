"""A method of three rounds: from round to round more images get their nearest neighbour."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import Batch, Clock, Method, TrainingSet
from methods.blocks.logits import similarity


class ThreeRoundsExample(Method):
    """Classify instances; a discovered neighbour counts as the same instance."""

    name = "example-three-rounds"
    paper = "Huang et al., ICML 2019"
    rounds = 3
    views = 1
    neighbour: Tensor

    def __init__(self, encoder: nn.Module, instances: int, *, temperature: float = 0.1) -> None:
        super().__init__(encoder, instances)
        self.temperature = temperature
        width = self.backbone.embedding_size
        self.weights = nn.Parameter(F.normalize(torch.randn(instances, width)))
        self.register_buffer("neighbour", torch.arange(instances))  # (n,): itself, none yet

    @torch.no_grad()
    def start_round(self, clock: Clock, train: TrainingSet) -> None:
        """Give the images that are nearest to another image that neighbour."""
        if clock.round == 0:
            return
        rows = train.embeddings()  # (n, d)
        cosines, nearest = similarity(rows, rows).fill_diagonal_(-2).max(1)  # (n,) each
        found = cosines.argsort(descending=True)[: clock.round * len(rows) // clock.rounds]
        self.neighbour[found] = nearest[found]

    def loss(self, batch: Batch) -> Tensor:
        """Return -log P(the image or its neighbour) of a batch with one view."""
        logits = similarity(self.embed(batch.views[0]), self.weights, self.temperature)  # (b, n)
        members = torch.stack([batch.index, self.neighbour[batch.index]], 1)  # (b, 2)
        same = torch.zeros_like(logits, dtype=torch.bool).scatter(1, members, True)
        own = logits.masked_fill(~same, -torch.inf).logsumexp(1)  # (b,)
        return (logits.logsumexp(1) - own).mean()

    def metrics(self) -> dict[str, float]:
        """Return the share of the images that have a neighbour."""
        itself = torch.arange(len(self.neighbour), device=self.neighbour.device)
        return {"neighbours_found": float((self.neighbour != itself).float().mean())}
