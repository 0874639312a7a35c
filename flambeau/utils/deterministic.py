"""`torch.utils.deterministic`: whether new memory is filled. Kept for programs that set it; nothing reads it."""

fill_uninitialized_memory = True
