import hashlib

import torch

from benchmarks.common.seeds import derive_seed, generator

CPU = torch.device("cpu")


def test_a_seed_is_the_first_63_bits_of_the_digest_of_its_parts():
    expected = int(hashlib.sha256(b"3/encoder").hexdigest()[:16], 16) // 2
    assert derive_seed(3, "encoder") == expected
    assert 0 <= expected < 2**63


def test_every_part_and_the_order_count():
    seeds = {derive_seed(*parts) for parts in [(0, 1), (1, 0), (0, "a"), (0, 1, "a"), (1,)]}
    assert len(seeds) == 5


def test_a_purpose_draws_the_same_numbers_whatever_others_draw():
    first = torch.rand(3, generator=generator(0, 1, "views", CPU))
    torch.rand(7, generator=generator(0, 1, "order", CPU))
    assert torch.equal(first, torch.rand(3, generator=generator(0, 1, "views", CPU)))
    for other in [(1, 1, "views"), (0, 2, "views"), (0, 1, "order")]:
        assert not torch.equal(first, torch.rand(3, generator=generator(*other, CPU)))
