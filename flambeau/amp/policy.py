"""Which operators compute in a lower precision under autocast, which in float32: PyTorch's lists for the CPU.

Operators on no list compute in the type that their operands have.
"""

from __future__ import annotations

#: products and convolutions: half the memory traffic, and sums are kept in float32 by the kernels
LOWER = frozenset(
    """
    mm bmm matmul addmm baddbmm addbmm linalg.vecdot linalg.multi_dot
    nn.functional.linear nn.functional.prelu nn.functional.scaled_dot_product_attention
    nn.functional.conv1d nn.functional.conv2d nn.functional.conv3d nn.functional.conv_tbc
    nn.functional.conv_transpose1d nn.functional.conv_transpose2d nn.functional.conv_transpose3d
    """.split()
)

#: losses, factorisations, transforms: what loses too much with eight bits of mantissa
FLOAT32 = frozenset(
    """
    cdist prod trace quantile nanquantile polar view_as_complex stft
    cholesky cholesky_inverse cholesky_solve geqrf inverse lu lu_solve orgqr ormqr pinverse qr svd triangular_solve
    linalg.cholesky linalg.cholesky_ex linalg.cond linalg.eig linalg.eigh linalg.eigvals linalg.eigvalsh
    linalg.householder_product linalg.inv linalg.inv_ex linalg.lstsq linalg.lu_factor linalg.matrix_rank
    linalg.qr linalg.solve linalg.svd linalg.svdvals linalg.tensorinv linalg.tensorsolve
    fft.fft fft.fft2 fft.fftn fft.hfft fft.ifft fft.ifft2 fft.ifftn fft.ihfft fft.irfft fft.irfft2 fft.irfftn
    fft.rfft fft.rfft2 fft.rfftn
    nn.functional.binary_cross_entropy nn.functional.binary_cross_entropy_with_logits
    nn.functional.cosine_embedding_loss nn.functional.cross_entropy nn.functional.ctc_loss
    nn.functional.hinge_embedding_loss nn.functional.huber_loss nn.functional.kl_div nn.functional.l1_loss
    nn.functional.linear_cross_entropy nn.functional.margin_ranking_loss nn.functional.mse_loss
    nn.functional.multi_margin_loss nn.functional.multilabel_margin_loss nn.functional.nll_loss
    nn.functional.poisson_nll_loss nn.functional.smooth_l1_loss nn.functional.soft_margin_loss
    nn.functional.triplet_margin_loss
    nn.functional.adaptive_avg_pool3d nn.functional.adaptive_max_pool3d nn.functional.avg_pool3d
    nn.functional.fractional_max_pool2d nn.functional.fractional_max_pool3d
    nn.functional.max_unpool1d nn.functional.max_unpool2d nn.functional.max_unpool3d
    nn.functional.grid_sample nn.functional.pad nn.functional.max_pool3d
    """.split()
)

#: operands that must agree, and do so at the widest type among them
WIDEST = frozenset(("cat", "stack", "index_copy"))

#: in the lower precision unless it is a GRU, which PyTorch leaves alone
RECURRENT = "recurrent_layer"

#: listed for some of their arguments only: a test of the arguments, by operator
ONLY_WHEN = {
    "nn.functional.pad": lambda options: (
        options["mode"] == "replicate" or options["mode"] == "reflect" and len(options["pad"]) < 6
    ),
    "inner": lambda options: options["input"].dim() < 2,
    "nn.functional.max_pool3d": lambda options: not options["return_indices"],
}

#: written here with products, but operators of their own to PyTorch's autocast, which leaves them alone
UNTOUCHED = frozenset(
    ("mv", "addmv", "dot", "vdot", "inner", "nn.functional.bilinear", "ger", "outer", "addr", "linalg.pinv")
)
