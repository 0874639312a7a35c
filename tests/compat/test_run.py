"""`flambeau run` against `python`: what a program sees of itself, and what is shown when it fails."""

from __future__ import annotations

import signal
import sys

import pytest

PROGRAM = """
import json, sys
import torch, torch.nn.functional as F
from torch.utils.data import DataLoader
print(json.dumps([sys.argv, __name__, __file__, sys.path[0], __spec__ is None, sys.modules["__main__"].__dict__ is globals(),
                  torch.__version__, F.relu(torch.tensor([-1.0, 2.0])).tolist()]))
"""


def test_a_program_sees_what_it_sees_under_python(program, launch, tmp_path):
    import json

    given = ["--lr", "0.1", "-m", "-h", "--", "x y"]
    result = program(PROGRAM, *given)
    assert result.returncode == 0, result.stderr
    argv, name, file, first, no_spec, is_main, version, values = json.loads(result.stdout)
    assert argv == ["program.py", *given]
    assert (name, file, first) == ("__main__", str(tmp_path / "program.py"), str(tmp_path))
    assert no_spec
    assert is_main
    assert version == "2.13.0+flambeau"
    assert values == [0.0, 2.0]


def test_module_with_relative_imports(launch, tmp_path):
    package = tmp_path / "trainer"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "parts.py").write_text("from torch import ones\n")
    (package / "__main__.py").write_text(
        "import sys\nfrom .parts import ones\nprint(ones(2).tolist(), sys.argv, __package__, __spec__.name)\n"
    )
    result = launch("-m", "flambeau", "run", "-m", "trainer", "a", "-b")
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["[1.0,", "1.0]", f"['{package / '__main__.py'}',", "'a',", "'-b']", "trainer",
                                     "trainer.__main__"]  # fmt: skip


def test_spawned_children_get_flambeau_and_pickles_of_main_work(program):
    result = program("""
import multiprocessing, pickle, torch
class Config:
    def __init__(self, n): self.n = n
def child(queue, config):
    import torch
    queue.put((torch.__version__, config.n, torch.ones(config.n).sum().item()))
if __name__ == "__main__":
    assert pickle.loads(pickle.dumps(Config(1))).n == 1
    for method in ("spawn", "forkserver", "fork"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=child, args=(queue, Config(3)))
        process.start()
        print(method, *queue.get(timeout=60))
        process.join()
""")
    assert result.returncode == 0, result.stderr
    expected = [f"{m} 2.13.0+flambeau 3 3.0" for m in ("spawn", "forkserver", "fork")]
    assert result.stdout.splitlines() == expected


@pytest.mark.parametrize(
    ("last", "status", "shown"),
    [
        ("sys.exit(7)", 7, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit('stopped')", 1, "stopped\n"),
        ("raise SystemExit(3)", 3, ""),
    ],
)
def test_exit_status(program, last, status, shown):
    result = program(f"import sys, torch\n{last}\n")
    assert (result.returncode, result.stderr) == (status, shown)


def test_a_traceback_is_the_program_s_own(program, tmp_path):
    source = "def inner():\n    import torch.fx.passes\ndef outer():\n    inner()\nouter()\n"
    result = program(source)
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    path = tmp_path / "program.py"
    assert [line for line in lines if line.startswith("  File")] == [
        f'  File "{path}", line 5, in <module>',
        f'  File "{path}", line 4, in outer',
        f'  File "{path}", line 2, in inner',
    ]
    assert lines[-2] == "ModuleNotFoundError: No module named 'torch.fx.passes'"
    assert "Flambeau has no module torch.fx.passes" in lines[-1]


def test_errors_in_syntax_and_in_the_hook_of_the_program(program, tmp_path):
    result = program("x = (\n")
    assert result.returncode == 1
    assert result.stderr.splitlines()[0] == f'  File "{tmp_path / "program.py"}", line 1'
    assert "flambeau" not in result.stderr.replace(str(tmp_path), "")
    hooked = program("import sys\nsys.excepthook = lambda kind, error, trace: print('seen', error)\n1 / 0\n")
    assert (hooked.returncode, hooked.stdout) == (1, "seen division by zero\n")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_a_program_as_under_python(program):
    result = program(
        "import os, signal, torch\nos.kill(os.getpid(), signal.SIGINT)\nimport time; time.sleep(5)\n"
    )
    assert result.returncode == -signal.SIGINT
    assert result.stderr.splitlines()[-1] == "KeyboardInterrupt"


def test_what_cannot_be_run(launch, tmp_path):
    (tmp_path / "train.py").write_text("")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "__init__.py").write_text("")
    for arguments, text in (
        (
            ["trian.py"],
            "cannot open 'trian.py': No such file or directory\n  close names in the folder: train.py",
        ),
        (["-m", "absent.part"], "No module named absent.part"),
        (
            ["-m", "plain"],
            "No module named plain.__main__; 'plain' is a package and cannot be directly executed",
        ),
        (["-m", "train.py"], "No module named train.py; to run the file, leave out -m"),
        (["--lr", "1"], "--lr is no option of flambeau run"),
        ([], "usage: flambeau run script.py"),
    ):
        result = launch("-m", "flambeau", "run", *arguments)
        assert result.returncode == 2, result.stderr
        assert text in result.stderr
        assert "Traceback" not in result.stderr


def test_a_folder_runs_its_main(launch, tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").write_text("import sys, helper, torch\nprint(helper.x, sys.argv)\n")
    (tmp_path / "app" / "helper.py").write_text("x = 5\n")
    result = launch("-m", "flambeau", "run", "app", "y")
    assert (result.returncode, result.stdout) == (0, "5 ['app', 'y']\n"), result.stderr
