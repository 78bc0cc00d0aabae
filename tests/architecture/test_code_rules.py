"""Proves that a rule of the code that cannot fire, and a mark without a reason, are faults themselves."""

from workers.cli.code_rules import Finding, names, of_code, of_marks, of_rules, written

SAMPLE = ".ci/semgrep.py"
BAD = Finding(SAMPLE, 7, "unsafe-load")


def test_every_rule_has_a_line_that_it_must_find() -> None:
    assert {each.rule for each in written()} == set(names())
    assert len(names()) == len(set(names())) >= 15


def test_a_rule_that_finds_its_bad_line_and_no_other_is_good() -> None:
    assert of_rules([BAD._replace(message="Use JSON.")], [BAD.rule], {BAD}) == []


def test_a_rule_that_misses_its_bad_line_or_has_none_or_finds_a_good_one_is_a_fault() -> None:
    assert of_rules([], [BAD.rule], {BAD}) == [f"{SAMPLE}:7: unsafe-load does not find this line"]
    assert of_rules([], [BAD.rule], set()) == [".ci/semgrep.yml: unsafe-load has no bad line"]
    found = [BAD, BAD._replace(line=9)]
    assert of_rules(found, [BAD.rule], {BAD}) == [f"{SAMPLE}:9: unsafe-load finds this line, which is good"]


def test_what_is_found_in_the_product_is_told_with_its_place_and_what_is_found_in_samples_is_not() -> None:
    ours = Finding("workers/runner.py", 3, "unsafe-load", "Use JSON.")
    assert of_code([BAD, ours]) == ["workers/runner.py:3: unsafe-load: Use JSON."]


def test_a_mark_names_one_rule_and_a_reason() -> None:
    mark = "# nosem" + "grep"
    lines = [f"x = 1  {mark}: unsafe-load  # a file of ours", f"x = 1  {mark}: unsafe-load", f"x = 1  {mark}"]
    assert of_marks(("a.py", number, text) for number, text in enumerate(lines)) == [
        "a.py:1: a mark reads `nosemgrep: RULE  # why`",
        "a.py:2: a mark reads `nosemgrep: RULE  # why`",
    ]
