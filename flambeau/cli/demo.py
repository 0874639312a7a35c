"""``flambeau demo``: runs ``examples/digits.py`` and shows what it learnt."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

from flambeau.cli import pictures


def run(epochs: int = 12, seed: int = 0, folder: str = ".") -> int:
    """Train, show, save, load again, compare; return the exit status."""
    folder_path = Path(folder)
    if not _is_writable_folder(folder_path):
        print(f"flambeau demo: cannot write to {folder!r}; choose another folder with --out", file=sys.stderr)
        return 1
    started = time.perf_counter()
    example = _load_example()
    import flambeau as torch

    ink = pictures.ink_for(sys.stdout)
    (train_images, _), (images, labels) = example.split_digits()
    print(f"A small convolutional network learns {len(train_images)} handwritten digits of 8x8 pixels,")
    print(f"then reads {len(images)} that it has never seen.  Source: {example.__file__}\n")

    model, losses = example.train(epochs=epochs, seed=seed, progress=Progress(epochs, ink))
    with torch.no_grad():
        answers = model(images).argmax(dim=1)
    right = int((answers == labels).sum())
    _show(losses, images.squeeze(1).tolist(), labels.tolist(), answers.tolist(), ink)
    print(f"\ntest accuracy  {right / len(labels):.2%}  ({right} of {len(labels)} right)")

    model_file = folder_path / "digits.pt"
    torch.save(model.state_dict(), model_file)
    again = example.DigitNet().eval()
    again.load_state_dict(torch.load(model_file))
    with torch.no_grad():
        same = torch.equal(again(images), model(images))
    print(f"model          {model_file.resolve()}")
    print(f"loaded again   gives {'the same' if same else 'DIFFERENT'} answers")
    picture = save_picture(folder_path / "digits.png", losses, confusion(labels.tolist(), answers.tolist()))
    print(f"picture        {picture}")
    print(f"time           {time.perf_counter() - started:.1f} s")
    return 0 if same else 1


class Progress:
    """One line that is rewritten while the network learns; a line an epoch where the output is a file."""

    def __init__(self, epochs: int, ink: pictures.Ink) -> None:
        self.epochs, self.ink = epochs, ink
        self.live = sys.stdout.isatty()
        self.started = self.shown = time.perf_counter()

    def __call__(self, epoch: int, done: float, loss: float) -> None:
        """Show that the fraction `done` of the epoch is behind us."""
        now, last = time.perf_counter(), done >= 1
        wait = 0.05 if self.live else float("inf")  # 20 lines a second are enough for the eye
        if not last and now - self.shown < wait:
            return
        self.shown = now
        bar = pictures.progress_bar((epoch - 1 + done) / self.epochs, 30, self.ink)
        line = f"epoch {epoch:2d} of {self.epochs}  {bar}  loss {loss:.4f}  {now - self.started:4.1f} s"
        print(f"\r{line}" if self.live else line, end="" if self.live else "\n", flush=True)
        if self.live and last and epoch == self.epochs:
            print()


def confusion(labels: list[int], answers: list[int], classes: int = 10) -> list[list[int]]:
    """How often each true class (row) got each answer (column)."""
    counts = [[0] * classes for _ in range(classes)]
    for label, answer in zip(labels, answers):
        counts[label][answer] += 1
    return counts


def save_picture(path: Path, losses: list[float], counts: list[list[int]]) -> str:
    """Write the loss curve and the confusion matrix as a PNG; return its place, or why there is none."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return "none: matplotlib is not installed (pip install matplotlib)"
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    curve, matrix = figure.subplots(1, 2)
    curve.semilogy(losses, linewidth=1)
    curve.set(title="Training loss", xlabel="step", ylabel="cross entropy")
    matrix.imshow(counts, cmap="Blues")
    matrix.set(title="Test digits", xlabel="answer", ylabel="truth", xticks=range(10), yticks=range(10))
    for truth, row in enumerate(counts):
        for answer, count in enumerate(row):
            if count:
                colour = "white" if count > 9 else "black"
                matrix.text(answer, truth, str(count), ha="center", va="center", color=colour)
    FigureCanvasAgg(figure).print_png(str(path))
    return str(path.resolve())


def _show(losses: list[float], images: list, labels: list[int], answers: list[int], ink: pictures.Ink):
    """Print the loss curve, the confusion picture and the digits that were misread."""
    print("\nLoss of every training step (logarithmic)\n")
    print("\n".join(pictures.column_chart(losses, ink)))
    print("\nTruth (down) and answer (across)\n")
    print("\n".join(pictures.confusion_grid(confusion(labels, answers), ink)))
    wrong = [i for i, (label, answer) in enumerate(zip(labels, answers)) if label != answer]
    if wrong:
        print(f"\nMisread{'' if len(wrong) <= 4 else f', the first 4 of {len(wrong)}'}\n")
        captions = [f"{labels[i]} read as {answers[i]}" for i in wrong[:4]]
        print("\n".join(pictures.small_images([images[i] for i in wrong[:4]], captions, ink)))


def _load_example() -> ModuleType:
    """Import ``digits.py``: packed beside this file in a wheel, in ``examples/`` of a source tree."""
    here = Path(__file__).resolve().parent
    places = (here / "examples" / "digits.py", here.parents[1] / "examples" / "digits.py")
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"the example is missing: neither {places[0]} nor {places[1]} exists")
    spec = importlib.util.spec_from_file_location("flambeau_digits_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is_writable_folder(folder: Path) -> bool:
    """True when a file can be made there; tried, because permission bits do not tell the whole story."""
    probe = folder / ".flambeau-demo-probe"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True
