import torch

from emojudge.inference import moments
from emojudge.layers import (
    AttentiveStatistics,
    Hide,
    LayerConcat,
    LayerSum,
    MeanStatistics,
    MeanToken,
    Mixup,
    ResidualHead,
    Scale,
)
from emojudge.models import Body
from emojudge.settings import AudioSettings


def test_padding_changes_no_pooled_vector():
    torch.manual_seed(0)
    frames = torch.randn(1, 5, 4)
    padded = torch.cat([frames, torch.full((1, 3, 4), 99.0)], dim=1)
    mask = torch.tensor([[True] * 5 + [False] * 3])
    for pool in (AttentiveStatistics(4, 3), AttentiveStatistics(4, 3, heads=2), MeanStatistics(4), MeanToken(4)):
        alone = pool(frames, torch.ones(1, 5, dtype=torch.bool))
        assert torch.allclose(alone, pool(padded, mask), atol=1e-6)


def test_mean_statistics_are_numpys():
    frames = torch.randn(2, 7, 3)
    pooled = MeanStatistics(3)(frames, torch.ones(2, 7, dtype=torch.bool)).numpy()
    assert abs(pooled[:, :3] - frames.numpy().mean(1)).max() < 1e-6
    assert abs(pooled[:, 3:] - frames.numpy().std(1)).max() < 1e-5


def test_attention_follows_what_scores_high():
    pool = AttentiveStatistics(1, 1)
    with torch.no_grad():
        pool.attention.weight.fill_(1.0)
        pool.attention.bias.zero_()
        pool.score.weight.fill_(50.0)
    pooled = pool(torch.tensor([[[-3.0], [3.0]]]), torch.ones(1, 2, dtype=torch.bool))
    assert abs(pooled[0, 0].item() - 3.0) < 1e-4
    assert pool.penalty().item() == 1.0


def test_layer_sum_starts_as_the_mean_and_learns():
    frames = torch.randn(2, 3, 4, 5)
    layer_sum = LayerSum(3)
    assert torch.allclose(layer_sum(frames), frames.mean(1), atol=1e-6)
    layer_sum(frames).sum().backward()
    assert layer_sum.weight.grad is not None and layer_sum.weight.grad.abs().sum() > 0


def test_a_single_layer_and_unfitted_scales_are_passed_over_to_the_same_bits():
    settings = AudioSettings(hidden_size=8, attention_size=4)
    body = Body(settings, (1, 6))
    frames, mask = torch.randn(3, 1, 5, 6), torch.ones(3, 5, dtype=torch.bool)
    summed = torch.einsum("l,bltd->btd", body.mix.weight.softmax(0), body.scale(frames))
    longhand = body.pooled_scale(body.pooling(summed, mask))
    assert torch.equal(body(frames, mask), longhand)
    longhand.sum().backward()
    assert body.mix.weight.grad.tolist() == [0.0]  # so that going without it changes no training
    body = Body(settings.model_copy(update={"scale_frames": True, "scale_pooled": True}), (1, 6))
    body.scale.fit(torch.full((1, 1, 6), 2.0), torch.full((1, 1, 6), 3.0))
    body.pooled_scale.fit(torch.full((12,), 4.0), torch.full((12,), 5.0))
    assert torch.allclose(body(frames, mask), (body.pooling(((frames - 2) / 3)[:, 0], mask) - 4) / 5)


def test_frame_scale_standardises_and_spares_constants():
    frames = torch.randn(1, 2, 500, 3) * 4 + 7
    frames[..., 0] = 5.0
    scale = Scale(2, 1, 3)
    assert torch.equal(scale(frames), frames)
    scale.fit(frames[0].mean(1, keepdim=True), frames[0].std(1, correction=0, keepdim=True))
    out = scale(frames)
    assert out[..., 0].abs().max() == 0 and abs(out[..., 1:].std(correction=0).item() - 1) < 1e-4


def test_residual_skips_only_between_equal_widths():
    head = ResidualHead(size=3, hidden=4, blocks=2, outputs=2, dropout=0.0)
    for block in head.blocks:
        torch.nn.init.zeros_(block[0].weight)
        torch.nn.init.zeros_(block[0].bias)
    with torch.no_grad():
        head.blocks[0][0].bias.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    first = head.blocks[0](torch.zeros(1, 3))
    assert torch.allclose(head(torch.zeros(1, 3)), head.output(first))  # the second block adds nothing: the skip carries it
    head.residual = False
    assert not torch.allclose(head(torch.zeros(1, 3)), head.output(first))


def test_two_moment_frames_pool_as_all_frames_do():
    frames = torch.randn(3, 50, 4) * 2 + 1
    both = torch.ones(1, 50, dtype=torch.bool)
    pooled = MeanStatistics(12)(LayerConcat()(frames.unsqueeze(0)), both)
    two = torch.from_numpy(moments(frames.numpy())).unsqueeze(0)
    assert torch.allclose(MeanStatistics(12)(LayerConcat()(two), both[:, :2]), pooled, atol=1e-5)


def test_hidden_stretches_are_whole_and_cover_their_share():
    torch.manual_seed(0)
    frames = Hide(0.3, 0.2)(torch.ones(20, 2, 400, 100))
    assert torch.equal(frames[:, 0], frames[:, 1]), "every layer of a clip is hidden alike"
    time, channels = frames.amax(3)[:, 0] == 0, frames.amax(2)[:, 0] == 0
    assert abs(time.float().mean() - 0.3) < 0.02 and abs(channels.float().mean() - 0.2) < 0.03
    inner = "".join("x" if hidden else "." for hidden in time[0].tolist()).strip("x").split(".")
    assert all(len(stretch) >= Hide.STRETCH for stretch in inner if stretch)


def test_mixup_mixes_vectors_and_targets_alike():
    torch.manual_seed(0)
    mix, rows = Mixup(6, 0.4), torch.eye(6)
    mixed = mix(rows)
    assert torch.equal(mixed, mix(rows)) and torch.allclose(mixed.sum(1), torch.ones(6))
    assert torch.allclose(mixed.diagonal()[mix.partner != torch.arange(6)], mix.share[mix.partner != torch.arange(6), 0])
