"""Parts of `torch.fx` that libraries import to ask whether a tracer is at work: none is."""
