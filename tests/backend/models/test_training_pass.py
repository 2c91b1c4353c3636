"""What training relies on: gradients, codebooks that learn, and going on later. Layout and scalers too."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from backend.models import layout
from backend.models.config import small_fine, small_level0, small_tokenizer
from backend.models.generator import Fine, Level0
from backend.models.quantizer import ResidualQuantizer
from backend.models.scaler import Scaler
from backend.models.tokenizer import Tokenizer
from sg_blender_addon.core import rotations as rot
from sg_blender_addon.core.errors import UserError
from sg_blender_addon.core.motion import Motion
from sg_blender_addon.core.skeleton import canonical

from .formula import generator


def clusters(count=400, width=8):
    """Points around 16 centres."""
    random = generator("clusters")
    centres = random.standard_normal((16, width)) * 5
    points = centres[random.integers(0, 16, count)] + 0.05 * random.standard_normal((count, width))
    return torch.from_numpy(points.astype(np.float32)).reshape(20, -1, width)


def test_codebooks_find_clusters():
    torch.manual_seed(0)
    quantizer = ResidualQuantizer(2, 32, 8).train()
    x = clusters()
    first = quantizer(x)[2]
    for _ in range(60):
        quantised, codes, commitment, used = quantizer(x)
    assert commitment < first and (quantised - x).square().mean() < 0.01
    assert codes.shape == (2, *x.shape[:2]) and used[0] > 0.4
    before = [book.k.clone() for book in quantizer.books()]
    quantizer.eval()(x)
    assert all(torch.equal(a, b.k) for a, b in zip(before, quantizer.books(), strict=True))
    assert torch.equal(quantizer.encode(x), quantizer(x)[1])
    assert torch.allclose(quantizer.decode(quantizer.encode(x)), quantizer(x)[0], atol=1e-5)


def test_dead_entries_come_back_to_life():
    torch.manual_seed(0)
    quantizer = ResidualQuantizer(1, 8, 8).train()
    x = clusters()
    quantizer(x)
    book = quantizer.books()[0]
    book.k[0] = 1000.0
    book.sums[0], book.counts[0] = 1000.0, 1.0
    for _ in range(3):
        quantizer(x)
    assert book.k.abs().max() < 100


def test_gradients_pass_straight_through():
    quantizer = ResidualQuantizer(2, 16, 8).train()
    x = clusters().requires_grad_()
    quantised, _, commitment, _ = quantizer(x)
    (gradient,) = torch.autograd.grad(quantised.sum(), x, retain_graph=True)
    assert torch.equal(gradient, torch.ones_like(x))
    assert torch.autograd.grad(commitment, x)[0].abs().sum() > 0


def test_training_goes_on_where_it_stopped():
    torch.manual_seed(0)
    quantizer = ResidualQuantizer(2, 16, 8).train()
    x = clusters()
    for _ in range(5):
        quantizer(x)
    again = ResidualQuantizer(2, 16, 8).train()
    again.load_state_dict(quantizer.state_dict())
    again.load_training_state(quantizer.training_state())
    torch.manual_seed(1)
    quantizer(x)
    torch.manual_seed(1)
    again(x)
    assert all(torch.equal(a.k, b.k) for a, b in zip(quantizer.books(), again.books(), strict=True))


def test_a_small_tokenizer_learns():
    torch.manual_seed(0)
    tokenizer = Tokenizer(small_tokenizer(16, 64, dropout=0.0)).train()
    columns = np.concatenate([layout.BODY_COLUMNS, layout.HANDS_COLUMNS])
    motion = torch.zeros(8, 120, 219)
    motion[..., columns] = torch.sin(torch.arange(120.0) / 10 + torch.arange(8.0)[:, None])[..., None]
    optimizer = torch.optim.AdamW(tokenizer.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        out = tokenizer(motion)
        loss = (out.motion - motion).abs().mean() + 0.02 * (out.body.commitment + out.hands.commitment)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert out.body.codes.shape == (4, 8, 15)
    assert not out.motion[..., layout.END_SLOTS[0] * 3].any()


def test_generators_learn_one_example():
    torch.manual_seed(0)
    audio = torch.randn(2, 15, 437)
    codes = torch.randint(0, 32, (2, 4, 2, 15))
    level0 = Level0(small_level0(24, 1, 32, dropout=0.0))
    fine = Fine(small_fine(2, 24, 1, 32, dropout=0.0))
    optimizer = torch.optim.AdamW([*level0.parameters(), *fine.parameters()], 1e-2)
    cross_entropy = torch.nn.functional.cross_entropy
    for _ in range(60):
        first = level0(audio[:, 1:], codes[0, 0, :, :-1], codes[1, 0, :, :-1])
        later = fine(audio, codes[0, :2], codes[1, :2])
        loss = sum(cross_entropy(first[p].flatten(0, 1), codes[p, 0, :, 1:].flatten()) for p in range(2))
        loss = loss + sum(cross_entropy(later[p].flatten(0, 1), codes[p, 2].flatten()) for p in range(2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 4.0  # 4 x log(32) = 13.9 at first
    assert all(p.grad is not None for p in [*level0.parameters(), *fine.parameters()])


def test_the_future_is_hidden_from_level0():
    level0 = Level0(small_level0(24, 1, 32)).eval()
    audio, body, hands = torch.randn(1, 14, 437), torch.randint(0, 32, (1, 14)), torch.randint(0, 32, (1, 14))
    before = level0(audio, body, hands)
    for x in (audio, body, hands):
        x[:, 9:] = 0
    after = level0(audio, body, hands)
    for a, b in zip(before, after, strict=True):
        assert torch.allclose(a[:, :9], b[:, :9], atol=1e-6) and not torch.allclose(a[:, 9:], b[:, 9:], atol=1e-3)


def test_windows_longer_than_the_positions_are_refused():
    with pytest.raises(ValueError, match="15"):
        Level0(small_level0(24, 1, 32))(torch.zeros(1, 15, 437), *[torch.zeros(1, 15, dtype=torch.long)] * 2)
    with pytest.raises(ValueError, match="2"):
        Fine(small_fine(2, 24, 1, 32))(torch.zeros(1, 15, 437), *[torch.zeros(3, 1, 15, dtype=torch.long)] * 2)


def test_slots_are_the_canonical_joints():
    names = canonical().names
    at = dict(zip(layout.JOINT_SLOTS, names, strict=True))
    body = [at[s] for s in layout.BODY_SLOTS[:-1]]
    assert body == [n for n in names if "Thumb" not in n and "Index" not in n and "Middle" not in n
                    and "Ring" not in n and "Pinky" not in n]  # fmt: skip
    assert len(layout.BODY_COLUMNS) == 66 and len(layout.HANDS_COLUMNS) == 114
    assert layout.BODY_SLOTS[-1] == layout.ROOT_SLOT


def wild_motion(frames=20):
    random = generator("wild")
    turn = rot.from_rotation_vector(np.cumsum(random.standard_normal((frames, 59, 3)) * 0.1, axis=0))
    signs = random.choice([-1.0, 1.0], (frames, 59, 1))
    return Motion(60.0, canonical(), random.standard_normal((frames, 3)).cumsum(axis=0) + 90, turn * signs)


def test_motion_to_vectors_and_back():
    motion = wild_motion()
    vectors = layout.to_vectors(motion)
    assert vectors.shape == (20, 219) and vectors.dtype == np.float32
    assert not vectors[:, [3 * s for s in layout.END_SLOTS]].any() and not vectors[0, 216:].any()
    assert np.abs(np.diff(vectors[:, :216], axis=0)).max() < 0.5  # signs flipped at random do not show
    back = layout.to_motion(vectors, motion.root_positions[0])
    assert_allclose(np.abs(np.sum(back.rotations * motion.rotations, axis=-1)), 1, atol=1e-6)
    assert_allclose(back.root_positions, motion.root_positions, atol=1e-4)
    assert_allclose(layout.to_motion(vectors).root_positions[0], canonical().offsets[0])


def test_a_slot_is_half_the_rotation_vector():
    motion = Motion.rest(canonical(), 2, 60.0)
    motion.rotations[:, 5] = rot.from_axis_angle([0, 1, 0], 0.8)
    slot = layout.JOINT_SLOTS[5]
    assert_allclose(layout.to_vectors(motion)[1, 3 * slot : 3 * slot + 3], [0, 0.4, 0], atol=1e-6)


def test_other_motion_is_refused():
    with pytest.raises(ValueError, match="60"):
        layout.to_vectors(Motion.rest(canonical(), 3, 30.0))
    with pytest.raises(ValueError, match="219"):
        layout.to_motion(np.zeros((3, 218)))
    assert len(layout.to_motion(layout.to_vectors(Motion.rest(canonical(), 0, 60.0)))) == 0


def test_constant_columns_are_pinned():
    mean, scale = np.linspace(-1, 1, 219), np.full(219, 2.0)
    scale[72:75] = 4e-9
    scaler = Scaler.body(mean, scale)
    x = generator("x").standard_normal((7, 219))
    standardised = scaler.standardise(x)
    assert not standardised[:, 72:75].any()
    expected = x.copy()
    expected[:, 72:75] = mean[72:75]
    assert_allclose(scaler.restore(standardised), expected, atol=1e-6)
    assert_allclose(Scaler.from_json(scaler.to_json(), 219, "body").standardise(x), standardised)


def test_the_audio_column_without_meaning_is_zero_and_small_scales_are_kept():
    scale = np.full(437, 1.0)
    scale[435], scale[436] = 2.7e-11, 3.4e-17
    scaler = Scaler.audio(np.zeros(437), scale)
    x = np.full((2, 437), 1e-11)
    standardised = scaler.standardise(x)
    assert not standardised[:, 436].any() and standardised[0, 435] == pytest.approx(1e-11 / 2.7e-11)
    assert scaler.restore(standardised)[0, 436] == 0


def test_scalers_from_data():
    rows = generator("rows").standard_normal((500, 219)) * 3 + 1
    rows[:, 5] = 7.0
    scaler = Scaler.fit_body(rows)
    standardised = scaler.standardise(rows)
    assert_allclose(np.delete(standardised.std(axis=0), 5), 1, atol=1e-5)
    assert scaler.constant.nonzero()[0].tolist() == [5]
    assert_array_equal(scaler.restore(standardised)[:, 5], np.float32(7.0))
    with pytest.raises(UserError):
        Scaler.body(np.zeros(3), np.array([1.0, np.inf, 1.0]))
