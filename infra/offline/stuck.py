"""
Finds out that a program waits for itself. The engine would wait with it for ever, and so would a plan.

Pulumi sees most circles when a resource is made; it does not see a component that waits for what is in it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi import Output, Resource, ResourceOptions

from services.core.kit.errors import ConfigurationInvalid

LOOK_S, LOOKS = 0.5, 6  # a busy machine may keep a thread from its turn for a second


@dataclass(frozen=True)
class Made:
    """A resource as its program made it, registered or still waiting."""

    resource: Resource
    type: str
    name: str
    opts: ResourceOptions
    props: Any

    @property
    def waits(self) -> bool:
        known = self.resource.urn._future
        return not (isinstance(known, asyncio.Future) and known.done())


async def unless_stuck(work: Coroutine[Any, Any, Any], made: Sequence[Made], progress: Callable[[], int]) -> None:
    """
    Run `work` to its end.

    Raises:
        ConfigurationInvalid: nothing moves any more, and resources still wait; names the circle.
    """
    task, still, last = asyncio.ensure_future(work), 0, -1
    while not task.done():
        await asyncio.wait([task], timeout=LOOK_S)
        now = progress() + len(made)
        still = still + 1 if now == last and _is_idle() else 0
        last = now
        if still >= LOOKS and not task.done():
            task.cancel()
            raise ConfigurationInvalid(_words([m for m in made if m.waits]))
    task.result()


def _is_idle() -> bool:
    """Nothing is about to run in the loop or in its threads."""
    loop: Any = asyncio.get_running_loop()
    executor = getattr(loop, "_default_executor", None)
    return not loop._ready and (executor is None or executor._work_queue.empty())


def _words(waiting: Sequence[Made]) -> str:
    known = {id(m.resource): m for m in waiting}
    for start in waiting:
        if circle := _circle(start, known, ()):
            names = " waits for ".join(f"{m.type} {m.name}" for m in circle)
            return f"The program waits for itself: {names}. Take one `depends_on` (or input) out of the circle."
    names = ", ".join(f"{m.type} {m.name}" for m in waiting[:10]) or "an output of the stack"
    return f"The program waits for a value that nobody gives: {names}. Look at the outputs these are made of."


def _circle(at: Made, known: dict[int, Made], path: tuple[Made, ...]) -> tuple[Made, ...]:
    if at in path:
        return (*path[path.index(at) :], at)
    for ahead in _ahead(at):
        if (next_ := known.get(id(ahead))) and (found := _circle(next_, known, (*path, at))):
            return found
    return ()


def _ahead(made: Made) -> Iterator[Resource]:
    """What is made first: the parent, what is named, what an input comes from."""
    if made.opts.parent:
        yield made.opts.parent
    named = made.opts.depends_on
    yield from (r for r in (named if isinstance(named, list | tuple) else [named]) if isinstance(r, Resource))
    yield from _sources(made.props)


def _sources(value: Any) -> Iterator[Resource]:
    if isinstance(value, Output):
        found = value._resources
        if isinstance(found, asyncio.Future) and found.done():
            yield from found.result()
    elif isinstance(value, dict):
        for item in value.values():
            yield from _sources(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _sources(item)
