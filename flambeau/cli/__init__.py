"""The ``flambeau`` command: ``flambeau run``, ``flambeau demo``, ``flambeau info``, ``flambeau --version``."""

from __future__ import annotations

import argparse
import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    if arguments is None:
        arguments = sys.argv[1:]
    if arguments[:1] == ["run"]:  # what follows belongs to the program: argparse must not read it
        from flambeau.cli.run import run

        return run(arguments[1:])
    options = _parser().parse_args(arguments)
    if options.command is None:
        _parser().print_help()
        return 2
    try:
        return options.command(options)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `flambeau demo | head`: nobody reads any more, so there is nothing left to say
        sys.stdout = None
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("flambeau", description="PyTorch's programming model in pure Python.")
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="show the version and exit")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="")

    commands.add_parser("run", help="run a PyTorch program: imports that say torch get Flambeau")

    demo = commands.add_parser("demo", help="train a network on handwritten digits and look at the result")
    demo.add_argument("--epochs", type=_positive, default=12, help="passes over the images (default: 12)")
    demo.add_argument("--seed", type=int, default=0, help="seed of the weights and the order (default: 0)")
    demo.add_argument("--out", default=".", metavar="FOLDER", help="where digits.pt and digits.png go")
    demo.set_defaults(command=_run_demo)

    info = commands.add_parser("info", help="show the processor, threads, versions and the kernel cache")
    info.set_defaults(command=_run_info)
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


class _PrintVersion(argparse.Action):
    """Asks the package for its version only when it is wanted: the parser itself imports nothing."""

    def __call__(self, parser, namespace, values, option_string=None):
        import flambeau

        print(f"flambeau {flambeau.__version__}")
        parser.exit()


def _run_demo(options: argparse.Namespace) -> int:
    from flambeau.cli.demo import run

    return run(epochs=options.epochs, seed=options.seed, folder=options.out)


def _run_info(options: argparse.Namespace) -> int:
    from flambeau.cli.info import run

    return run()
