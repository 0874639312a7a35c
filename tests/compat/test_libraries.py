"""Libraries on top of PyTorch, run on Flambeau: einops and torchmetrics (where they are installed)."""

from __future__ import annotations

import importlib.util

import pytest


def needs(*packages: str):
    absent = [p for p in packages if importlib.util.find_spec(p) is None]
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)}")


EINOPS = """
import torch
from einops import einsum, pack, rearrange, reduce, repeat, unpack
from einops.layers.torch import EinMix, Rearrange, Reduce
x = torch.arange(48.0).reshape(2, 3, 2, 4).requires_grad_()
y = rearrange(x, "b c (h p) (w q) -> b (h w) (c p q)", p=2, q=2)
assert y.shape == (2, 2, 12) and y[1, 1, 11].item() == 47.0
assert reduce(x, "b c h w -> b c", "mean")[1, 2].item() == 43.5
assert repeat(x[0, 0, 0], "w -> (w k)", k=2).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
assert einsum(x, x, "b c h w, b c h w -> b")[0].item() == sum(k * k for k in range(24))
packed, shapes = pack([x[:, 0, 0], x[:, 0, 0, 0]], "b *")
assert packed.shape == (2, 5) and unpack(packed, shapes, "b *")[1].tolist() == [0.0, 24.0]
model = torch.nn.Sequential(Rearrange("b c h w -> b (c h) w"), Reduce("b c w -> b w", "max"),
                            EinMix("b w -> b d", weight_shape="w d", bias_shape="d", w=4, d=2))
model(x).sum().backward()
assert x.grad.count_nonzero() > 0 and all(p.grad is not None for p in model.parameters())
print("done")
"""


@needs("einops")
def test_einops(program):
    result = program(EINOPS)
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr


METRICS = """
import warnings; warnings.simplefilter("ignore")
import pickle, torch, torchmetrics as tm
scores = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7]])
truth = torch.tensor([0, 1, 2, 2])
accuracy = tm.Accuracy("multiclass", num_classes=3, average="micro")
accuracy.update(scores[:2], truth[:2]); accuracy.update(scores[2:], truth[2:])
assert accuracy.compute().item() == 0.75
assert tm.ConfusionMatrix("multiclass", num_classes=3)(scores, truth).tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
assert tm.AUROC("multiclass", num_classes=3)(scores[[0, 1, 2, 2]], truth[[0, 1, 2, 0]]).item() < 1
a, b = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 5.0])
both = tm.MetricCollection([tm.MeanSquaredError(), tm.MeanAbsoluteError()])(a, b)
assert abs(both["MeanSquaredError"].item() - 4 / 3) < 1e-6 and abs(both["MeanAbsoluteError"].item() - 2 / 3) < 1e-6
assert abs(tm.PearsonCorrCoef()(a, b).item() - 0.9607689) < 1e-5
mean = tm.MeanMetric()
mean.update(a, weight=torch.tensor([1.0, 1.0, 2.0]))
assert pickle.loads(pickle.dumps(mean)).compute().item() == 2.25
from torchmetrics.image import PeakSignalNoiseRatio
assert abs(PeakSignalNoiseRatio(data_range=1.0)(torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 0.1)).item() - 20) < 1e-4
print("done")
"""


@needs("torchmetrics", "lightning_utilities")
def test_torchmetrics(program):
    result = program(METRICS)
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr


TRAINING = """
import os, torch, torch.nn as nn, torch.backends.cudnn as cudnn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset
cudnn.deterministic, cudnn.benchmark = True, False
torch.use_deterministic_algorithms(True)
device = torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
torch.manual_seed(0)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.0), nn.Linear(16, 3))

    def forward(self, x):
        return self.body(x)

model = nn.DataParallel(Net()).to(device)
x = torch.randn(64, 4)
loader = DataLoader(TensorDataset(x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()), batch_size=16, shuffle=True)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
scheduler, losses = StepLR(optimizer, 5, 0.5), []
for epoch in range(12):
    total = 0.0
    for inputs, labels in loader:
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(model(inputs.to(device)), labels.to(device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item()
    scheduler.step()
    losses.append(total / len(loader))
torch.save({"model": model.state_dict(), "losses": losses}, "checkpoint.pt")
again = nn.DataParallel(Net())
again.load_state_dict(torch.load("checkpoint.pt", weights_only=True)["model"])
assert torch.equal(again.eval()(x), model.eval()(x))
assert losses[-1] < 0.5 * losses[0], losses
print(f"{losses[0]:.4f}")
"""


def test_a_training_script_runs_unchanged(program):
    result = program(TRAINING)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) > 0.5
