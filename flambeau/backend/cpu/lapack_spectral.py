"""Eigenvalues and singular values by LAPACK."""

from __future__ import annotations

from .host import host
from .lapack import COLUMN, columns, each, place, raise_first, routine, rows


def _symmetric(call, inputs, outputs) -> None:
    """Eigenvalues, in ascending order, and eigenvectors of symmetric or Hermitian matrices."""
    import numpy as np

    values = call.values
    made = columns(inputs[0])
    batch, n, _ = made.shape
    found, codes = np.zeros((batch, n), made.real.dtype), np.zeros(batch, "i4")
    run = routine(made.dtype.char, "heevd" if made.dtype.kind == "c" else "syevd")
    job = b"V" if values["vectors"] else b"N"
    if made.size:
        part = values["uplo"].upper().encode()
        codes[...] = [run(COLUMN, job, part, n, a, n, w) for a, w in zip(each(made), each(found))]
    outputs[0][...] = found.reshape(outputs[0].shape)
    if values["vectors"]:
        rows(made, outputs[1])
    raise_first(codes, inputs[0].ndim - 2, lambda code: ("linalg.eigh", (
        "The algorithm failed to converge because the input matrix is ill-conditioned or has too many repeated "
        f"eigenvalues (error code: {code}).")))  # fmt: skip


def _general(call, inputs, outputs) -> None:
    """Eigenvalues and eigenvectors of any square matrices, as complex numbers."""
    import numpy as np

    wanted = call.values["vectors"]
    made = columns(inputs[0])
    batch, n, _ = made.shape
    kind = np.result_type(made.dtype, np.complex64)
    found, vectors, codes = np.zeros((batch, n), kind), np.zeros((batch, n, n), kind), np.zeros(batch, "i4")
    if not np.isfinite(made).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    run, job = routine(made.dtype.char, "geev"), b"V" if wanted else b"N"
    for k in range(batch if n else 0):
        if made.dtype.kind == "c":
            codes[k] = run(
                COLUMN, b"N", job, n, place(made, k), n, place(found, k), 0, 1, place(vectors, k), n
            )
            continue
        parts, right = np.zeros((2, n), made.dtype), np.zeros((n, n), made.dtype)
        codes[k] = run(
            COLUMN, b"N", job, n, place(made, k), n, place(parts), place(parts, 1), 0, 1, place(right), n
        )
        found[k] = parts[0] + 1j * parts[1]
        vectors[k] = joined(right, parts[1])
    outputs[0][...] = found.reshape(outputs[0].shape)
    if wanted:
        rows(vectors, outputs[1])
    raise_first(codes, inputs[0].ndim - 2, lambda code: ("linalg.eig", (
        "The algorithm failed to converge because the input matrix is ill-conditioned or has too many repeated "
        f"eigenvalues (error code: {code}).")))  # fmt: skip


def joined(right, imaginary):
    """Complex eigenvectors from LAPACK's columns: a pair of conjugate values has its parts in two columns."""
    made = right.astype("D" if right.dtype.char == "d" else "F")
    k = 0
    while k < len(imaginary):
        if imaginary[k] != 0 and k + 1 < len(imaginary):
            made[k] = right[k] + 1j * right[k + 1]
            made[k + 1] = right[k] - 1j * right[k + 1]
            k += 1
        k += 1
    return made


def _singular(call, inputs, outputs) -> None:
    """Singular values in descending order, and the vectors."""
    import numpy as np

    values = call.values
    made = columns(inputs[0])
    batch, n, m = made.shape
    small = min(m, n)
    found, codes = np.zeros((batch, small), made.real.dtype), np.zeros(batch, "i4")
    job = b"N" if not values["vectors"] else b"A" if values["full"] else b"S"
    left, right = (m, n) if values["full"] else (small, small)
    u, v = np.zeros((batch, left, m), made.dtype), np.zeros((batch, n, right), made.dtype)
    if made.size:
        run = routine(made.dtype.char, "gesdd")
        for k in range(batch):
            codes[k] = run(
                COLUMN,
                job,
                m,
                n,
                place(made, k),
                m,
                place(found, k),
                place(u, k),
                m,
                place(v, k),
                max(1, right),
            )
    elif values["full"]:
        u[...], v[...] = np.eye(left, m), np.eye(n, right)
    outputs[1][...] = found.reshape(outputs[1].shape)
    if values["vectors"]:
        rows(u, outputs[0])
        rows(v, outputs[2])
    raise_first(codes, inputs[0].ndim - 2, lambda code: ("linalg.svd", (
        "The algorithm failed to converge because the input matrix is ill-conditioned or has too many repeated singular "
        f"values (error code: {code}).")))  # fmt: skip


symmetric, general, singular = map(host, (_symmetric, _general, _singular))
