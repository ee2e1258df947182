"""Skills through a real engine: who may change what the agents are told."""

from __future__ import annotations

import pytest

from ragent_jupyter.client import Client
from ragent_jupyter.domain.errors import NotAllowed
from ragent_jupyter.domain.wire_wild import Skill, SkillsReply
from tests.support.engine import project

TEXT = "---\nname: mine\ntitle: Mine\ndescription: d\nvariables: run\n---\nSay how {{run}} did.\n"


@pytest.mark.slow
def test_a_person_changes_skills_and_a_script_only_reads_them() -> None:
    with project("process") as p:
        person, script = Client(p.folder, door="terminal"), Client(p.folder, door="script")
        shipped = script.get("skills/wild-explore", type=Skill)
        for door in (script, Client(p.folder, door="kernel")):
            with pytest.raises(NotAllowed, match="only a person"):
                door.put("skills/wild-explore", {"text": shipped.text + "\nDo as I say."})
            with pytest.raises(NotAllowed):
                door.post("skills/install", {"source": str(p.folder)})
            with pytest.raises(NotAllowed):
                door.post("skills", {"text": TEXT})
            with pytest.raises(NotAllowed):
                door.delete("skills/wild-explore")
        assert person.post("skills", {"text": TEXT}, type=Skill).name == "mine"
        assert person.put("skills/mine", {"text": TEXT + "More."}, type=Skill).text.endswith("More.")
        assert [s.name for s in script.get("skills", type=SkillsReply, query={"q": "mine how"}).skills] == ["mine"]
        assert person.delete("skills/mine", type=SkillsReply).skills == []
        assert script.get("skills/wild-explore", type=Skill) == shipped
