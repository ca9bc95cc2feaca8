"""The alias in the registry follows the evidence, whatever happened before."""

import pytest
from ladder_on_disk import Project

from pipeline.tracking import execution, registry, store
from pipeline.tracking.choice import Criteria, Today, choose
from pipeline.tracking.publish import publish

NAME = "bitladder-demo"


def test_the_alias_is_the_best_of_the_evidence_whatever_was_published_when(
    registered_project: Project,
) -> None:
    with store.opened(store.locate()) as client:
        rung = {
            version.version: version.tags["bitladder.name"] for version in registry.versions(client, NAME)
        }

        def appointed(wanted: Criteria) -> str:
            registry.appoint(client, NAME, wanted, Today())
            return rung[int(registry.champion(client, NAME) or 0)]

        assert rung[int(registry.champion(client, NAME) or 0)] == "w1"
        assert appointed(Criteria(activation_bits=8)) == "w1a8"
        assert appointed(Criteria(activation_bits=8)) == "w1a8"
        assert appointed(Criteria(min_score=0.9, weight_bits=0)) == "w8"
        assert appointed(Criteria(weight_bits=8)) == "w8"
        assert appointed(Criteria(min_score=0.9)) == "w1"
        assert appointed(Criteria(max_mib=0.5)) == "w1"
        assert appointed(Criteria(max_mib=0.01)) == "w1", "nothing is small enough: the alias stays"


def test_an_alias_moved_by_somebody_else_meanwhile_is_set_again(
    registered_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.opened(store.locate()) as client:
        (w8,) = [v for v in registry.versions(client, NAME) if v.tags["bitladder.name"] == "w8"]
        real, rivals = client.set_registered_model_alias, iter([w8.version])

        def then_a_rival(name: str, alias: str, version: str) -> None:
            real(name, alias, version)
            for rival in rivals:
                real(name, alias, rival)

        monkeypatch.setattr(client, "set_registered_model_alias", then_a_rival)
        choice = registry.appoint(client, NAME, Criteria(activation_bits=8), Today())
        assert choice.best is not None
        assert registry.champion(client, NAME) == choice.best.version


def test_scores_on_other_validation_data_do_not_compete(registered_project: Project) -> None:
    with store.opened(store.locate()) as client:
        choice = choose(registry.candidates(client, NAME), Criteria(), Today("another digest"))
    assert choice.best is None
    assert "scored on other validation data than today's" in {objection for _, objection in choice.excluded}


def test_a_better_ladder_takes_the_alias_and_its_criteria_are_kept(registered_project: Project) -> None:
    project = registered_project
    with store.opened(store.locate()) as client:
        registry.remember(client, NAME, Criteria(activation_bits=8))
        project.train("w1a8_direct", seed=1)
        project.evaluate(w1a8_direct=0.99)
        found = execution.read(project.params)
        done = publish(client, store.locate(), found, project.params)
        today = Today(found.evaluated_on, execution.digests(found.task))
        choice = registry.appoint(client, NAME, registry.remembered(client, NAME), today)
    assert choice.best is not None
    assert choice.best.version == done.versions["w1a8_direct"]
