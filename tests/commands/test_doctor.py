from __future__ import annotations

import json
from pathlib import Path

from tests.program import rtcli


PARTS = {"python", "opus", "echo", "sandbox", "API key", "configuration"}


def test_doctor_names_every_part_and_what_to_do_about_what_is_missing(tmp_path: Path) -> None:
    done = rtcli("doctor", "--json", home=tmp_path)
    found = json.loads(done.out)
    assert done.status == 0
    assert {finding["part"] for finding in found} >= PARTS
    assert all(finding["advice"] for finding in found if not finding["ok"])
    key = next(finding for finding in found if finding["part"] == "API key")
    assert (key["ok"], "set OPENAI_API_KEY" in key["advice"]) == (False, True), "there is no keyring to log in to"


def test_doctor_says_where_the_key_comes_from_and_nothing_of_it(tmp_path: Path) -> None:
    done = rtcli("doctor", home=tmp_path, env={"OPENAI_API_KEY": "sk-marked-1234567890abcdef"})
    assert "from OPENAI_API_KEY" in done.out
    assert "marked" not in done.out + done.err


def test_devices_is_a_list_even_when_there_is_none(tmp_path: Path) -> None:
    done = rtcli("devices", "--json", home=tmp_path)
    assert done.status in {0, 6}
    assert done.status == 6 or isinstance(json.loads(done.out), list)


def test_what_can_not_be_used_is_a_row_and_hides_none_of_the_others(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("model = ")
    env = {"RTCLI_CONFIG": str(file), "OPENAI_API_KEY": "sk-a b"}
    done = rtcli("doctor", "--json", home=tmp_path, env=env)
    found = {finding["part"]: finding for finding in json.loads(done.out)}
    assert done.status == 0
    assert found.keys() >= PARTS
    for part, fact in (("configuration", "is not TOML"), ("API key", "holds a space")):
        assert (found[part]["ok"], fact in found[part]["fact"]) == (False, True), found[part]
    assert rtcli("doctor", "-p", "absent", home=tmp_path).status == 2
