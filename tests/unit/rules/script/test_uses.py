"""What the code does with an option's value, where the option's name says little."""

from __future__ import annotations

import textwrap

import pytest

from ragent_jupyter.rules.script import read_script
from ragent_jupyter.rules.script.parsers import module_of
from ragent_jupyter.rules.script.uses import Uses

HEAD = """
import argparse
p = argparse.ArgumentParser()
p.add_argument("--zorp", {options})
args = p.parse_args()
"""


def used(body: str) -> frozenset[str]:
    module = module_of("train.py", textwrap.dedent(body), main=True)
    return frozenset(Uses([module], ["zorp"]).of("zorp"))


def role(options: str, body: str) -> str:
    script = read_script(HEAD.format(options=options) + textwrap.dedent(body), "train.py", {}, "python train.py")
    found = script.flag("zorp")
    assert found is not None
    return found.role


@pytest.mark.parametrize(
    ("body", "use"),
    [
        ("opt = torch.optim.SGD(net.parameters(), lr=args.zorp)", "method"),
        ("net = TinyNet(8, args.zorp)", "method"),
        ("loss = a + args.zorp * b", "method"),
        ("drop = nn.Dropout(p=cfg['zorp'])", "method"),
        ("zorp = args.zorp\nnet = TinyNet(zorp)", "method"),
        ("for _ in range(args.zorp):\n    opt.step()", "spent"),
        ("for _ in tqdm(range(args.zorp)):\n    loss.backward()", "spent"),
        ("for _ in x:\n    for _ in range(args.zorp):\n        opt.step()", "update"),
        ("while t < args.zorp:\n    train_one(net)\n    opt.step()", "spent"),
        ("if t % args.zorp == 0:\n    target.load_state_dict(net.state_dict())", "update"),
        ("if t % args.zorp == 0:\n    torch.save(net, 'x')", "look"),
        ("if args.zorp:\n    plot_curve(x)", "look"),
        ("print(f'{args.zorp} of them')", "said"),
        ("os.makedirs(args.zorp)", "place"),
        ("d = torch.device(args.zorp)", "machine"),
        ("load = DataLoader(d, num_workers=args.zorp)", "machine"),
        ("net.load_state_dict(torch.load(FLAGS.zorp))", "load"),
        ("torch.manual_seed(args.zorp)", "seed"),
        ("ZORP = 1\ndef f(zorp):\n    return TinyNet(zorp)", "method"),
    ],
)
def test_a_use_is_seen_for_what_it_is(body: str, use: str) -> None:
    assert used(body) == {use}


@pytest.mark.parametrize(
    "body", ["x = args.zorp + 1", "other.zorp()", "args.zorp = 3", "for _ in range(args.zorp):\n  f()"]
)
def test_what_says_nothing_is_not_taken_for_evidence(body: str) -> None:
    assert used(body) == frozenset()


@pytest.mark.parametrize(
    ("options", "body", "expected"),
    [
        ("type=int, default=9", "for _ in range(args.zorp):\n    opt.step()", "fidelity"),
        ("type=int, default=9", "torch.manual_seed(args.zorp)", "seed"),
        ("type=int, default=9", "load = DataLoader(d, num_workers=args.zorp)", "exclude"),
        ("type=float, default=0.9, help='for the test report'", "opt = SGD(w, momentum=args.zorp)", "tune"),
        ("action='store_true'", "if args.zorp:\n    plot_curve(x)", "exclude"),
        ("action='store_true'", "if args.zorp:\n    x = mix(x)", "exclude"),
        ("action='store_true', help='mix by the curriculum'", "if args.zorp:\n    x = mix(x)", "tune"),
        ("action='store_true'", "name = f'run-{args.zorp}'", "exclude"),
        ("type=float, default=0.5", "name = f'run-{args.zorp}'", "tune"),
    ],
)
def test_where_the_name_says_nothing_the_use_decides(options: str, body: str, expected: str) -> None:
    assert role(options, body) == expected


def test_a_name_that_says_what_it_is_outweighs_a_use() -> None:
    source = HEAD.replace("--zorp", "--dropout").format(options="type=float, default=0.1")
    script = read_script(source + "os.makedirs(args.dropout)\n", "train.py", {}, "python train.py")
    assert [f.role for f in script.flags] == ["tune"]


def test_a_file_of_a_thousand_loops_is_read_in_time() -> None:
    assert used("".join(f"for i{n} in range(args.zorp):\n    opt.step()\n" for n in range(1000))) == {"spent"}


@pytest.mark.parametrize(
    ("options", "body", "is_now"),
    [
        ("action='store_true'", "model = Zarp(4, args.zorp)", "tune"),
        ("action='store_true'", "data = ZarpDataset(4, args.zorp)", "exclude"),
        ("action='store_true'", "def make_env(args):\n    return Zarp(args.zorp)", "exclude"),
        ("action='store_true'", "log = ZarpLogger(args.zorp)", "exclude"),
        ("default='0123'", "model = Zarp(4, args.zorp)", "exclude"),
    ],
)
def test_what_a_class_is_built_with_is_of_the_method(options: str, body: str, is_now: str) -> None:
    assert role(options, body) == is_now


def test_a_patience_of_the_schedule_is_seen_where_it_is_used() -> None:
    head = HEAD.replace("--zorp", "--patience").format(options="type=int, default=2")
    for body, is_now in (
        ("s = ReduceLROnPlateau(opt, patience=args.patience)", "tune"),
        ("s = EarlyStopping(patience=args.patience)", "fidelity"),
    ):
        found = read_script(head + body, "train.py", {}, "python train.py").flag("patience")
        assert found is not None
        assert found.role == is_now
