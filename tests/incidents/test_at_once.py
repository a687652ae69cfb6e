"""Two people at the same moment, each on a connection of her own: who loses is told what the other
did, and nothing of either is lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection

from console import presence
from console.presence import look_at, who_looks
from console.queries.work import work_of
from incidents.models import Comment, Incident, SavedView, SlaPlan, Task, TaskTemplate
from incidents.regroup import merge_incidents
from incidents.services import assign_incident, reopen_incident, resolve_incident, take_incident
from incidents.services.comments import add_comment
from incidents.services.many import Order, act_on_many
from incidents.services.tasks import add_task, save_template, settle_task
from incidents.services.views import save_view
from incidents.sla.plan import BUILT_IN_TARGETS, WORKING_WEEK, agree, newest_plan
from tenants.errors import Conflict, DomainError
from tenants.models import Person
from tests.factories import Cast
from tests.incidents.work_on import open_incident, staff

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def cast(transactional_cast: Cast) -> Cast:
    return transactional_cast


def fresh(incident: Incident) -> Incident:
    return Incident.objects.select_related("tenant", "campaign").get(id=incident.id)


def at_once(
    cast: Cast,
    read: Callable[[], Any],
    *acts: Callable[[Any], object],
) -> list[object]:
    """Each reads what her page shows; when all have, each acts.

    Answers what came of each: its result, or the sentence by which it was refused.
    """
    ready = threading.Barrier(len(acts), timeout=30)
    came_of: list[object] = [None] * len(acts)

    def run(n: int) -> None:
        try:
            with staff(cast):
                page = read()
            ready.wait()
            with staff(cast):
                came_of[n] = acts[n](page)
        except DomainError as error:
            came_of[n] = error.sentence
        except Exception as error:  # noqa: BLE001 (the test shows it)
            came_of[n] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return came_of


def after(came_first: Callable[[], object], act: Callable[[], object]) -> str:
    """What the second is told whose page was shown before the first acted."""
    came_first()
    with pytest.raises(Conflict) as caught:
        act()
    return caught.value.sentence


def the_loser(came_of: list[object]) -> tuple[int, str]:
    """Exactly one was refused: which, and with what words."""
    refused = [(n, each) for n, each in enumerate(came_of) if isinstance(each, str)]
    assert len(refused) == 1, came_of
    assert not any(isinstance(each, Exception) for each in came_of), came_of
    return refused[0]


def test_both_take_one_incident(cast):
    incident = open_incident(cast.acme)
    people = (cast.ana, cast.bo)

    def take(person: Person) -> Callable[[Incident], None]:
        return lambda page: take_incident(incident=page, actor=person, revision=page.revision)

    loser, words = the_loser(at_once(cast, lambda: fresh(incident), *map(take, people)))
    winner = people[1 - loser]
    assert f"{winner.name} changed the owner at" in words
    with staff(cast):
        assert (fresh(incident).owner_id, fresh(incident).revision) == (winner.id, 1)


def test_both_take_one_incident_by_a_program_that_names_no_revision(cast):
    incident = open_incident(cast.acme)
    people = (cast.ana, cast.bo)

    def take(person: Person) -> Callable[[Incident], None]:
        return lambda page: take_incident(incident=page, actor=person)

    loser, words = the_loser(at_once(cast, lambda: fresh(incident), *map(take, people)))
    winner = people[1 - loser]
    assert words == f"{winner.name} took this incident a moment ago."


@pytest.mark.parametrize("closes_the_one_that_stays", [True, False])
def test_one_closes_while_the_other_merges(cast, closes_the_one_that_stays):
    """Either the merge came first, or it is refused: nothing open is closed by it unseen."""
    kept, gone = open_incident(cast.acme, 1), open_incident(cast.acme, 2)
    closed = kept if closes_the_one_that_stays else gone
    # The merge is done on the page of what the other closes.
    merged_with = gone if closes_the_one_that_stays else kept

    def close(page: dict[Any, Incident]) -> None:
        resolve_incident(
            incident=page[closed.id],
            actor=cast.ana,
            classification="benign",
            cause="A drill",
            revision=page[closed.id].revision,
        )

    def merge(page: dict[Any, Incident]) -> None:
        merge_incidents(
            kept=page[closed.id],
            gone=page[merged_with.id],
            actor=cast.bo,
            reason="the same hand",
            revision=page[closed.id].revision,
        )

    read = lambda: {each.id: fresh(each) for each in (kept, gone)}  # noqa: E731
    loser, words = the_loser(at_once(cast, read, close, merge))
    with staff(cast):
        now = fresh(closed)
        if loser == 1:
            assert "Ana resolved it at" in words
            assert (now.cause, now.merged_into_id) == ("A drill", None)
        elif closes_the_one_that_stays:
            assert "Bo merged another into it at" in words
            assert now.is_open
        else:
            assert "was merged" in words
            assert now.merged_into_id == kept.id
        assert fresh(merged_with).is_open or fresh(merged_with).merged_into_id == kept.id


def test_what_is_open_does_not_end_by_going_into_what_was_closed_meanwhile(cast):
    """The other incident is named by its number alone: nobody knows what was seen of it."""
    closed, threat = open_incident(cast.acme, 1), open_incident(cast.acme, 2)
    with staff(cast):
        words = after(
            lambda: resolve_incident(
                incident=closed, actor=cast.ana, classification="benign", cause="A drill"
            ),
            lambda: merge_incidents(
                kept=threat, gone=closed, actor=cast.bo, reason="the same hand", revision=0
            ),
        )
        assert "#1 is resolved: what is open in #2 would be closed with it" in words
        assert fresh(threat).is_open
        reopen_incident(incident=closed, actor=cast.bo, reason="more of it")
        merge_incidents(kept=threat, gone=closed, actor=cast.bo, reason="the same hand")
        assert fresh(closed).is_open


def test_an_act_on_many_against_an_act_on_one_of_them(cast):
    """The others of the many are done; the one has the owner of whoever was first."""
    rows = [open_incident(cast.acme, 1), open_incident(cast.acme, 2), open_incident(cast.globex)]
    one = rows[1]

    def many(page: dict[Any, Incident]) -> list[str]:
        results = act_on_many(
            incident_ids=list(page),
            order=Order("assign", owner=cast.ana),
            actor=cast.mo,
            revisions={key: each.revision for key, each in page.items()},
        )
        refused = [each for each in results if not each.ok]
        assert [each.incident_id for each in refused] in ([], [one.id])
        return [each.sentence for each in refused]

    def single(page: dict[Any, Incident]) -> None:
        assign_incident(
            incident=page[one.id], actor=cast.bo, owner=cast.bo, revision=page[one.id].revision
        )

    read = lambda: {each.id: fresh(each) for each in rows}  # noqa: E731
    of_many, of_single = at_once(cast, read, many, single)
    with staff(cast):
        owners = [fresh(each).owner_name for each in rows]
    if of_single is None:
        assert len(of_many) == 1  # type: ignore[arg-type]
        assert "Bo changed the owner at" in of_many[0]  # type: ignore[index]
        assert owners == ["Ana", "Bo", "Ana"]
    else:
        assert "Mo changed the owner at" in of_single  # type: ignore[operator]
        assert of_many == []
        assert owners == ["Ana", "Ana", "Ana"]


def test_one_marks_a_task_done_and_the_other_not_needed(cast):
    incident = open_incident(cast.acme)
    with staff(cast):
        task = add_task(incident=incident, actor=cast.ana, title="Call the bank")
    acts = {"done": cast.ana, "skipped": cast.bo}

    def settle(state: str) -> Callable[[Task], None]:
        return lambda page: settle_task(task=page, actor=acts[state], state=state, seen=page.state)

    read = lambda: Task.objects.select_related("incident").get(id=task.id)  # noqa: E731
    loser, words = the_loser(at_once(cast, read, *map(settle, acts)))
    won = list(acts)[1 - loser]
    label = Task.State(won).label.lower()
    assert words.startswith(f"{acts[won].name} changed this task at ")
    assert words.endswith(f" UTC: {label}. Nothing of yours was done.")
    with staff(cast):
        now = Task.objects.get(id=task.id)
        assert (now.state, now.done_by) == (won, acts[won].name)


def test_a_page_that_was_shown_before_the_other_acted_does_not_undo_it(cast):
    incident = open_incident(cast.acme)
    with staff(cast):
        add_task(incident=incident, actor=cast.ana, title="Call the bank")
        get = Task.objects.select_related("incident").get
        words = after(
            lambda: settle_task(task=get(), actor=cast.ana, state="done", seen="open"),
            lambda: settle_task(task=get(), actor=cast.bo, state="skipped", seen="open"),
        )
        assert words.startswith("Ana changed this task at ")
        assert get().state == "done"
        words = after(
            lambda: settle_task(task=get(), actor=cast.mo, state="open", seen="done"),
            lambda: settle_task(task=get(), actor=cast.bo, state="skipped", seen="done"),
        )
        assert words.startswith("Mo changed this task at "), "whoever opened it again is named, too"


def test_two_add_a_task_and_both_are_there(cast):
    incident = open_incident(cast.acme)

    def add(person: Person) -> Callable[[Incident], Task]:
        return lambda page: add_task(incident=page, actor=person, title=f"Of {person.name}")

    at_once(cast, lambda: fresh(incident), add(cast.ana), add(cast.bo))
    with staff(cast):
        rows = Task.objects.order_by("position").values_list("position", "title")
        assert sorted(title for _, title in rows) == ["Of Ana", "Of Bo"]
        assert [position for position, _ in rows] == [1, 2]


def test_two_keep_a_view_under_one_name(cast):
    """One person in two browsers: the first stays, the second is told."""

    def save(kind: str) -> Callable[[None], SavedView]:
        return lambda _: save_view(person=cast.ana, name="Mine", filters={"kind": kind})

    kinds = ["bec", "phish"]
    loser, words = the_loser(at_once(cast, lambda: None, *map(save, kinds)))
    assert words == "You have a view named Mine already."
    with staff(cast):
        assert SavedView.objects.get().filters == {"kind": kinds[1 - loser]}


def agreeing(cast: Cast, name: str, actor: Person, seen: str | None) -> SlaPlan:
    return agree(
        provider_id=cast.provider.id,
        tenant=cast.acme,
        name=name,
        time_zone="Europe/Berlin",
        weekly=WORKING_WEEK,
        holidays=[],
        targets=BUILT_IN_TARGETS,
        actor=actor,
        seen=seen,
    )


@pytest.mark.parametrize("had_one", [True, False])
def test_two_agree_other_times_with_one_client(cast, had_one):
    """Neither goes over the other's head: what was promised is what somebody looked at."""
    if had_one:
        with staff(cast):
            agreeing(cast, "Old", cast.mo, None)

    def seen() -> str:
        newest = newest_plan(cast.acme)
        return str(newest.id) if newest else ""

    names = ["Day", "Night"]

    def act(name: str) -> Callable[[str], SlaPlan]:
        return lambda page: agreeing(cast, name, cast.mo, page)

    loser, words = the_loser(at_once(cast, seen, *map(act, names)))
    assert words.startswith(f"Mo agreed “{names[1 - loser]}” at ")
    assert "Nothing of yours was agreed" in words
    with staff(cast):
        held = SlaPlan.objects.exclude(name="Old").values_list("name", flat=True)
        assert list(held) == [names[1 - loser]]
        agreeing(cast, "Anew", cast.mo, seen())


def test_two_save_the_tasks_of_one_kind(cast):
    def save(step: str) -> Callable[[int], TaskTemplate]:
        return lambda page: save_template(
            provider_id=cast.provider.id, kind="phish", steps=[step], actor=cast.mo, seen=page
        )

    steps = ["Look", "Call"]
    loser, words = the_loser(at_once(cast, lambda: 0, *map(save, steps)))
    assert words.startswith("Mo saved version 1 of these tasks at ")
    with staff(cast):
        assert TaskTemplate.objects.get().steps == [steps[1 - loser]]
        words = after(lambda: None, lambda: save("Write")(0))
        assert "Mo saved version 1" in words
        assert save("Write")(1).version == 2


def test_two_comments_at_once_are_both_there(cast):
    incident = open_incident(cast.acme)

    def say(person: Person) -> Callable[[Incident], Comment]:
        return lambda page: add_comment(incident=page, actor=person, text=f"From {person.name}")

    at_once(cast, lambda: fresh(incident), say(cast.ana), say(cast.bo))
    with staff(cast):
        said = {comment.text for comment in work_of(fresh(incident)).comments}
    assert said == {"From Ana", "From Bo"}


def test_what_is_said_while_another_merges_stands_on_the_page_of_what_stays(cast):
    kept, gone = open_incident(cast.acme, 1), open_incident(cast.acme, 2)

    def say(page: dict[Any, Incident]) -> None:
        add_comment(incident=page[gone.id], actor=cast.ana, text="Seen before")
        add_task(incident=page[gone.id], actor=cast.ana, title="Call the bank")

    def merge(page: dict[Any, Incident]) -> None:
        merge_incidents(
            kept=page[kept.id], gone=page[gone.id], actor=cast.bo, reason="the same hand"
        )

    read = lambda: {each.id: fresh(each) for each in (kept, gone)}  # noqa: E731
    assert at_once(cast, read, say, merge) == [None, None]
    with staff(cast):
        work = work_of(fresh(kept))
        assert [comment.text for comment in work.comments] == ["Seen before"]
        assert [task.title for task in work.tasks] == ["Call the bank"]


class SlowCache:
    """The cache, with time between what is read and what is written."""

    def __getattr__(self, name: str) -> Any:
        return getattr(cache, name)

    def get(self, *args: Any) -> Any:
        found = cache.get(*args)
        time.sleep(0.03)
        return found


def test_two_open_one_incident_and_each_sees_the_other(cast, monkeypatch):
    """Whoever writes what she had read before the other wrote would make her vanish."""
    incident = open_incident(cast.acme)
    monkeypatch.setattr(presence, "cache", SlowCache())
    told: list[object] = []
    monkeypatch.setattr(presence, "announce_looking", lambda *what: told.append(what))
    people = [cast.ana, cast.bo, cast.mo]

    def look(person: Person) -> Callable[[Incident], list[str]]:
        return lambda page: look_at(page, person)

    at_once(cast, lambda: fresh(incident), *map(look, people))
    for person in people:
        others = {each.name for each in people if each != person}
        assert set(who_looks([incident], but=person)[incident.id]) == others
        assert set(look_at(incident, person)) == others
    # Once for each who came: pages that fetch it again tell nobody anything new.
    assert told == [(cast.acme.id, incident.id)] * len(people)
