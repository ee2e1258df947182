"""Types that several threads decode for the first time at once: that ended the process."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import ragent_jupyter.engine
from ragent_jupyter.domain.prepare import prepare
from ragent_jupyter.domain.wild import Loop
from ragent_jupyter.domain.wire_wild import LoopsReply

RACE = """
import sys, threading
import msgspec
from ragent_jupyter.domain.prepare import prepare
from ragent_jupyter.domain.wire import RunsReply
from ragent_jupyter.domain.wire_wild import JournalReply, LoopsReply
prepare()
sys.setswitchinterval(1e-6)
together = threading.Barrier(8)
def decode():
    together.wait()
    msgspec.json.decode(b'{"entries":[],"total":1}', type=JournalReply)
    msgspec.json.decode(b'{"loops":[]}', type=LoopsReply)
    msgspec.json.decode(b'{"runs":[],"total":0,"counts":{}}', type=RunsReply)
threads = [threading.Thread(target=decode) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
"""


def test_what_is_prepared_is_decoded_by_many_threads_at_once() -> None:
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


def test_every_struct_that_was_imported_is_prepared_and_no_others() -> None:
    found = prepare()
    assert {Loop, LoopsReply} <= set(found) and len(found) == len(set(found))
    assert prepare("nobody.") == []


def test_the_engine_does_it_before_its_first_thread() -> None:
    source = Path(ragent_jupyter.engine.__file__).with_name("app.py").read_text()
    engine = next(n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == "Engine")
    init = next(n for n in engine.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    said = [ast.unparse(line) for line in init.body]
    assert said.index("prepare()") < next(at for at, line in enumerate(said) if "open_store" in line)
