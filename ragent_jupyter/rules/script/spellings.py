"""How the libraries that make a command line of classes and functions spell their options."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Spelling(Struct, frozen=True):
    """How a library spells what it makes of a class.

    nested: "dotted" (`optim.lr`) or "flat" (`lr`).  kebab: `learning-rate` for learning_rate.
    boolean: the template of a switch, {name} its name and {no} its negated name.
    """

    template: str = "--{name} {value}"
    nested: Literal["dotted", "flat"] = "dotted"
    kebab: bool = False
    boolean: str = "--{name} true|--{name} false"
    equals: bool = False


HF = Spelling(nested="flat")
TYRO = Spelling(kebab=True, boolean="--{name}|--{no}")
SIMPLE = Spelling(nested="flat")
DRACCUS = Spelling()
CHZ = Spelling(template="{name}={value}", boolean="{name}=True|{name}=False", equals=True)
CONF = Spelling(template="{name}={value}", boolean="{name}=true|{name}=false", equals=True)
TAP = Spelling(nested="flat", boolean="--{name}|")
DEFOPT = Spelling(kebab=True, boolean="--{name}|--{no}")

# The last part of what is called, and what it makes of its arguments.
ENTRIES: dict[str, Spelling] = {
    "HfArgumentParser": HF,
    "H4ArgumentParser": HF,
    "TrlParser": HF,
    "tyro.cli": TYRO,
    "tyro.extras.overridable_config_cli": TYRO,
    "simple_parsing.parse": SIMPLE,
    "simple_parsing.ArgumentParser": SIMPLE,
    "add_arguments": SIMPLE,
    "draccus.parse": DRACCUS,
    "pyrallis.parse": DRACCUS,
    "jsonargparse.CLI": DRACCUS,
    "jsonargparse.auto_cli": DRACCUS,
    "add_class_arguments": DRACCUS,
    "add_dataclass_arguments": DRACCUS,
    "add_function_arguments": DRACCUS,
    "LightningCLI": DRACCUS,
    "OmegaConf.structured": CONF,
    "chz.entrypoint": CHZ,
    "chz.nested_entrypoint": CHZ,
    "defopt.run": DEFOPT,
    "CliApp.run": DRACCUS,
}
WRAPPERS = {"draccus.wrap": DRACCUS, "pyrallis.wrap": DRACCUS, "simple_parsing.main": SIMPLE}
