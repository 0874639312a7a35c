"""4x4 tensors: what one operator costs when there is next to nothing to compute."""

from __future__ import annotations

from benchmarks.measure import Row, Statement

GROUP = "4x4 tensors"
MEAN, NONE_OVER = 1.2, 2.0

STATEMENTS = {
    "add": "a + b",
    "add with gradient": "p + b",
    "add scalar": "a + 1.5",
    "in-place mul": "a.mul_(ones)",
    "relu": "a.relu()",
    "matmul": "a @ b",
    "sum": "a.sum()",
    "view": "a.view(16)",
    "index": "a[1]",
    "linear": "functional.linear(a, b, bias)",
}


def names(torch) -> dict:
    """The variables that the statements use."""
    torch.manual_seed(0)
    return {
        "a": torch.randn(4, 4),
        "b": torch.randn(4, 4),
        "ones": torch.ones(4, 4),
        "bias": torch.randn(4),
        "p": torch.randn(4, 4, requires_grad=True),
    }


def statement_row(name: str, source: str) -> Row:
    def build(torch) -> Statement:
        variables = names(torch)
        if "functional" in source:
            variables["functional"] = torch.nn.functional
        return Statement(source, variables)

    return Row(f"4x4 {name}", GROUP, build, NONE_OVER)


def backward_alone(torch) -> Statement:
    variables = names(torch)
    p, a, b = variables["p"], variables["a"], variables["b"]
    variables["out"] = ((p * a + b).relu() * a).sum()
    return Statement("out.backward(retain_graph=True)", variables)


def forward_and_backward(torch) -> Statement:
    return Statement("((p * a + b).relu() * a).sum().backward()", names(torch))


ROWS = [
    *(statement_row(name, source) for name, source in STATEMENTS.items()),
    Row("4x4 backward alone", "backward", backward_alone, 0.8),
    Row("4x4 forward and backward", "backward", forward_and_backward, 0.8),
]
