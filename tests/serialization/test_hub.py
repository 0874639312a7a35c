"""Downloads from a server on this machine: complete and checked, or not there; and folders with a hubconf.py."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import pickle
import threading
import urllib.error
import zipfile

import pytest

import flambeau as torch
from flambeau import hub
from flambeau.utils import model_zoo


@pytest.fixture
def server(tmp_path):
    """A folder, and the address under which its files can be downloaded."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        requests: list[str] = []

        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments):
            self.requests.append(self.path)

        def do_GET(self):
            if self.path == "/cut.pt":  # promises more than it sends
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"a" * 10)
            else:
                super().do_GET()

    Handler.requests = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}", Handler.requests
        httpd.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def hub_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "_chosen", [])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home" / "hub"


def test_the_folder(hub_folder, monkeypatch, tmp_path):
    assert hub.get_dir() == str(hub_folder)
    hub.set_dir(tmp_path / "other")
    assert hub.get_dir() == str(tmp_path / "other")
    hub._chosen.clear()
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert hub.get_dir() == os.path.join("/cache", "torch", "hub")


def test_a_state_dict_is_downloaded_once_and_its_hash_checked(server, hub_folder, capfd):
    folder, address, requests = server
    torch.save({"w": torch.ones(3)}, folder / "w.pt")
    digest = hashlib.sha256((folder / "w.pt").read_bytes()).hexdigest()
    (folder / "w.pt").rename(folder / f"net-{digest[:8]}.pt")
    url = f"{address}/net-{digest[:8]}.pt"
    for load in (hub.load_state_dict_from_url, model_zoo.load_url):
        assert load(url, check_hash=True)["w"].tolist() == [1.0] * 3
    assert len(requests) == 1
    assert os.listdir(hub_folder / "checkpoints") == [f"net-{digest[:8]}.pt"]
    assert "100%" in capfd.readouterr().err
    assert hub.load_state_dict_from_url(url, file_name="x.pt", map_location="meta")["w"].device.type == "meta"


def test_a_wrong_hash_leaves_nothing(server, tmp_path):
    folder, address, _ = server
    (folder / "a.pt").write_bytes(b"content")
    target = tmp_path / "got"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError, match=r'^invalid hash value \(expected "0123", got "ed70'):
        hub.download_url_to_file(f"{address}/a.pt", str(target), "0123", progress=False)
    assert target.read_bytes() == b"old"
    hub.download_url_to_file(f"{address}/a.pt", str(target), "ed70", progress=False)
    assert target.read_bytes() == b"content"


def test_a_download_that_is_cut_off_leaves_nothing(server, tmp_path):
    _, address, _ = server
    with pytest.raises(Exception, match=r"cut off after 10 of 1000 bytes|IncompleteRead"):
        hub.download_url_to_file(f"{address}/cut.pt", str(tmp_path / "got"), progress=False)
    assert not (tmp_path / "got").exists()
    with pytest.raises(urllib.error.HTTPError):
        hub.download_url_to_file(f"{address}/missing.pt", str(tmp_path / "got"), progress=False)
    assert sorted(os.listdir(tmp_path)) == ["served"]


class Attack:
    def __reduce__(self):
        return os.getcwd, ()


def test_a_download_runs_no_code(server):
    folder, address, _ = server
    torch.save(Attack(), folder / "a.pt")
    with pytest.raises(pickle.UnpicklingError):
        hub.load_state_dict_from_url(f"{address}/a.pt", progress=False)
    assert hub.load_state_dict_from_url(f"{address}/a.pt", weights_only=False) == os.getcwd()


def test_a_checkpoint_in_a_plain_zip(server):
    folder, address, _ = server
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(2)}, buffer)
    with zipfile.ZipFile(folder / "w.zip", "w") as archive:
        archive.writestr("w.pth", buffer.getvalue())
    assert hub.load_state_dict_from_url(f"{address}/w.zip", progress=False)["w"].sum() == 2


def test_a_local_repository(tmp_path):
    (tmp_path / "helper.py").write_text("SIZE = 4\n")
    (tmp_path / "hubconf.py").write_text(
        "dependencies = ['math']\nfrom helper import SIZE\ndef net(scale, extra=0):\n    return SIZE * scale + extra\n"
    )
    assert hub.load(tmp_path, "net", 2, extra=1, source="local") == 9
    with pytest.raises(RuntimeError, match="Cannot find callable other in hubconf"):
        hub.load(str(tmp_path), "other", source="local")
    with pytest.raises(ValueError, match='Unknown source: "web"'):
        hub.load(str(tmp_path), "net", source="web")
    (tmp_path / "hubconf.py").write_text("dependencies = ['no_such_module_here']\n")
    with pytest.raises(RuntimeError, match="Missing dependencies: no_such_module_here"):
        hub.load(str(tmp_path), "net", source="local")


def github_archive(names: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_github_repository(monkeypatch, hub_folder):
    content = {
        "owner-net-1a2b/hubconf.py": "def net():\n    'Makes a net.'\n    return 5\ndef _hidden(): pass\n"
    }
    asked = []

    def download(url, target, *rest, **options):
        asked.append(url)
        if url.endswith("/main"):
            raise urllib.error.HTTPError(url, 404, "Not Found", {}, None)  # type: ignore[arg-type]
        with open(target, "wb") as file:
            file.write(github_archive(content))

    monkeypatch.setattr(hub, "download_url_to_file", download)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    with pytest.raises(Exception, match=r"^Untrusted repository"):
        hub.load("owner/net", "net")
    assert not asked
    assert hub.load("owner/net", "net", trust_repo=True, verbose=False) == 5
    assert hub.list("owner/net", verbose=False) == ["net"]
    assert hub.help("owner/net", "net") == "Makes a net."
    assert len(asked) == 2
    assert asked[-1] == "https://github.com/owner/net/zipball/master"
    content["../evil.py"] = "1"
    with pytest.raises(RuntimeError, match="lies outside its folder"):
        hub.load("owner/net", "net", force_reload=True, verbose=False)
    assert hub.load("owner/net", "net", verbose=False) == 5
    for name in ("../net", "net", "a/b/c", "a/..", "a/b:../../x"):
        with pytest.raises(ValueError, match="is no repository"):
            hub.load(name, "net", trust_repo=True)
