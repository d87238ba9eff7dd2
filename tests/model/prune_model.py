#!/usr/bin/env python3
"""Explores every interleaving of writers, prunes and a compaction (hamal-repository(5), PRUNING).

usage: prune_model.py WRITERS PRUNES ROUNDS [--compactions N] [--lag] [--break NAME] [--expect-unsafe]

A state is what the store holds and where every actor stands. Every actor may stop for ever after any
step (it is then simply not chosen again), so kills need no step of their own. The property, checked
in every state: all that a visible version refers to is there, at the place where a reader looks
for it. Exits 0 when no state breaks it and 1 when one does, or the other way round with
--expect-unsafe.

What is simplified: one machine, whose version of slot i only writer i can make; a pack holds up to
two records; layers are as good as packs (needed by the versions that name them, condemned with
them), so there are none; a round deletes pack after pack, in one order.

Records are named (pack, record). Pack 0 is older than everything and holds records 'a' and 'b';
version 0 refers to (0, 'a') alone, so that 'b' is garbage which a writer may still find and share.
Writer i puts pack i with one record. A compaction c moves the records of pack 0 that are needed into
a pack of its own, in slot 'c': it publishes the map from old to new.

With --lag, lists may be stale: whoever lists sees what was put (or deleted) since it last waited
list_lag, or not, each for itself. "Waiting" is a step that makes everything that was put before it
certain to be seen by the lists that follow. Gets and heads are never stale.
"""
import argparse
import itertools
import sys
from typing import NamedTuple

BREAKS = {
    'packs_before_condemned': 'a writer lists packs before it lists what is condemned',
    'register_late': 'a writer registers after it has listed',
    'ignore_condemned': 'a writer shares condemned packs',
    'share_moved': 'a writer shares a record at the place that a compaction took it from',
    'no_wait': 'a prune does not wait for sessions',
    'no_close': 'a prune takes a silent session for ended without filling its slot',
    'no_verdict': 'a prune deletes by its own verdict, not by the one that is stored',
    'packs_first': 'a prune deletes packs before the compactions that lead to them are tombstones',
    'compact_unpublished': 'a compaction condemns what it copied before the copies are published',
    'compact_condemned': 'a compaction does not look at what is condemned, and copies that',
    'writer_no_lag': 'a writer does not wait list_lag between registering and listing',
    'prune_no_lag': 'a prune does not wait list_lag before it lists sessions',
    'verdict_no_lag': 'a prune does not wait list_lag before it lists versions for the verdict',
    'done_no_lag': 'a prune does not wait list_lag between the last deletion and done/N',
}


class Store(NamedTuple):
    slots: tuple         # None: empty; 'x': tombstone; frozenset: the version's records
    packs: frozenset     # numbers of writers, and 'c'
    sessions: frozenset  # numbers of writers, and 'c'
    moves: object        # the compaction's slot: None, 'x', or the records it moved
    condemned: tuple     # per round: None or (versions, packs, whether the compaction)
    awaited: tuple       # per round: None or sessions
    verdicts: tuple      # per round: None or (packs, whether the compaction)
    done: tuple          # per round
    fresh: frozenset     # what was put or deleted and need not be seen by lists yet


class Writer(NamedTuple):
    step: int = 0
    wait: object = None      # what becomes certain when the wait is over
    versions: object = None  # seen condemned
    packs: object = None     # seen condemned
    moves: object = None     # as it saw them
    refs: frozenset = frozenset()


class Prune(NamedTuple):
    step: str = 'plan'
    round: int = 0
    what: object = None
    wait: object = None


class Compaction(NamedTuple):
    step: int = 0
    wait: object = None
    condemned: object = None
    moved: object = None


def place(record, moves):
    """Where a reader finds a record."""
    return ('c', record[1]) if isinstance(moves, frozenset) and record in moves else record


def visible(store):
    dropped = frozenset().union(*(round[0] for round in store.condemned if round))
    return {i: refs for i, refs in enumerate(store.slots)
            if isinstance(refs, frozenset) and i not in dropped}


def needed(versions, moves):
    """The packs that versions need, and whether they need the compaction."""
    places = [(record, place(record, moves)) for refs in versions for record in refs]
    return frozenset(now[0] for _, now in places), any(now != record for record, now in places)


def is_safe(store):
    return needed(visible(store).values(), store.moves)[0] <= store.packs


def is_over(store, session):
    return (store.moves if session == 'c' else store.slots[session]) is not None


def subsets(items):
    items = sorted(items, key=str)
    return [frozenset(chosen) for size in range(len(items) + 1)
            for chosen in itertools.combinations(items, size)]


def put(values, index, value):
    return values[:index] + (value,) + values[index + 1:]


class Model:
    def __init__(self, writers, prunes, rounds, compactions, lag, broken):
        self.lag, self.broken = lag, broken
        self.start = (
            Store(slots=(frozenset({(0, 'a')}),) + (None,) * writers, packs=frozenset({0}),
                  sessions=frozenset(), moves=None, condemned=(None,) * rounds,
                  awaited=(None,) * rounds, verdicts=(None,) * rounds, done=(False,) * rounds,
                  fresh=frozenset()),
            (Writer(),) * writers, (Prune(),) * prunes, (Compaction(),) * compactions)

    # The store's part: what is put is fresh, a list may miss what is fresh.
    def changed(self, store, *keys, **fields):
        return store._replace(fresh=store.fresh | set(keys) if self.lag else store.fresh, **fields)

    def unseen(self, store, kind):
        return subsets(key for key in store.fresh if key[0] == kind)

    def waited(self, store, actor, skip):
        """The two steps of a wait: (store, actor, whether it is over) …"""
        if not self.lag or skip:
            return store, actor, True
        if actor.wait is None:
            return store, actor._replace(wait=store.fresh), False
        return store._replace(fresh=store.fresh - actor.wait), actor._replace(wait=None), True

    def writer(self, store, i, w):
        """Yields (store, writer) after each step that writer i may do next."""
        order = ['register', 'wait', 'condemned', 'index', 'packs', 'upload', 'commit']
        if self.broken == 'packs_before_condemned':
            order = ['register', 'wait', 'index', 'packs', 'condemned', 'upload', 'commit']
        if self.broken == 'register_late':
            order = ['condemned', 'index', 'packs', 'register', 'wait', 'upload', 'commit']
        if w.step >= len(order):
            return
        op, then = order[w.step], w._replace(step=w.step + 1)
        if op == 'register':
            yield self.changed(store, ('session', i), sessions=store.sessions | {i}), then
        elif op == 'wait':
            after, actor, over = self.waited(store, w, self.broken == 'writer_no_lag')
            yield after, actor._replace(step=then.step) if over else actor
        elif op == 'condemned':
            for hidden in self.unseen(store, 'condemned'):
                rounds = [(n, c) for n, c in enumerate(store.condemned)
                          if c and ('condemned', n) not in hidden]
                for late in self.unseen(store, 'done'):
                    versions = frozenset().union(*(c[0] for _, c in rounds))
                    packs = frozenset().union(
                        *(c[1] for n, c in rounds
                          if not store.done[n] or ('done', n) in late))
                    yield store, then._replace(versions=versions, packs=packs)
        elif op == 'index':
            condemned = w.versions or frozenset()
            for hidden in self.unseen(store, 'moves'):
                moves = None if hidden else store.moves
                yield store, then._replace(moves=moves)
                for j, refs in enumerate(store.slots):
                    if isinstance(refs, frozenset) and j not in condemned:
                        yield store, then._replace(moves=moves, refs=refs)
        elif op == 'packs':
            condemned = (w.packs or frozenset())
            if self.broken == 'ignore_condemned':
                condemned = frozenset()
            known = [(0, 'a'), (0, 'b')] + [(j, 'a') for j in range(1, len(store.slots))]
            if self.broken != 'share_moved':
                known = sorted({place(record, w.moves) for record in known}, key=str)
            # A stale list shows what was deleted.
            ghosts = frozenset(key[1] for key in store.fresh if key[0] == 'deleted')
            listed = [r for r in known if r[0] in store.packs | ghosts and r[0] not in condemned
                      and (r[0] == 0 or is_over(store, r[0]))]
            for shared in subsets(listed):
                yield store, then._replace(refs=w.refs | shared)
        elif op == 'upload':
            yield store._replace(packs=store.packs | {i}), then
        elif op == 'commit':
            if store.slots[i] is None:
                store = self.changed(store, ('version', i),
                                     slots=put(store.slots, i, w.refs | {(i, 'a')}))
            yield store, Writer(step=len(order))

    def prune(self, store, p, compactions):
        n, lag_of = p.round, {'sessions': 'prune_no_lag', 'list': 'verdict_no_lag',
                              'done': 'done_no_lag'}
        if n >= len(store.done):
            return
        if p.step in lag_of and (p.wait is not None or p.what != 'waited'):
            after, actor, over = self.waited(store, p, self.broken == lag_of[p.step])
            if self.lag and self.broken != lag_of[p.step]:
                yield after, actor._replace(what='waited') if over else actor
                return
        if p.step == 'plan':
            yield from self.plan(store, p)
        elif p.step == 'condemn':
            if store.condemned[n] is None:
                store = self.changed(store, ('condemned', n),
                                     condemned=put(store.condemned, n, p.what))
            yield store, Prune('sessions', n)
        elif p.step == 'sessions':
            if self.broken == 'no_wait':
                yield store, Prune('list', n)
            elif store.awaited[n] is not None:
                yield store, Prune('end', n, store.awaited[n])
            else:
                for hidden in self.unseen(store, 'session'):
                    seen = [s for s in store.sessions if ('session', s) not in hidden]
                    yield store, Prune('await', n, frozenset(
                        s for s in seen if not is_over(store, s)))
        elif p.step == 'await':
            waits = p.what if store.awaited[n] is None else store.awaited[n]
            yield (store._replace(awaited=put(store.awaited, n, waits)),
                   Prune('end', n, waits))
        elif p.step == 'end':
            still = [s for s in p.what if not is_over(store, s)]
            if not still:
                yield store, Prune('list', n)
            for session in still:
                if self.broken == 'no_close':
                    yield store, p._replace(what=p.what - {session})
                elif session == 'c':
                    yield self.changed(store, ('moves',), moves='x'), p
                else:
                    yield self.changed(store, ('version', session),
                                       slots=put(store.slots, session, 'x')), p
        elif p.step == 'list':
            yield from self.judge(store, n, compactions)
        elif p.step == 'verdict':
            verdict = p.what
            if self.broken != 'no_verdict':
                verdict = store.verdicts[n] or verdict
                store = store._replace(verdicts=put(store.verdicts, n, verdict))
            yield store, Prune('delete', n, verdict)
        elif p.step == 'delete':
            packs, compaction = p.what
            todo = packs & store.packs
            if compaction and store.moves != 'x':
                yield store._replace(moves='x'), p
            elif todo:
                pack = min(todo, key=str)
                yield self.changed(store, ('deleted', pack), packs=store.packs - {pack}), p
            else:
                yield store, Prune('done', n)
        elif p.step == 'done':
            yield self.changed(store, ('done', n), done=put(store.done, n, True)), Prune('plan', n + 1)

    def plan(self, store, p):
        n = p.round
        if store.done[n]:
            yield store, Prune('plan', n + 1)
        elif store.condemned[n] is not None:
            yield store, Prune('sessions', n)
        else:
            versions = visible(store)
            for dropped in subsets(versions):
                packs, compaction = needed(
                    [refs for i, refs in versions.items() if i not in dropped], store.moves)
                garbage = frozenset(x for x in store.packs
                                    if x not in packs and (x == 0 or is_over(store, x)))
                unused = isinstance(store.moves, frozenset) and not compaction
                if dropped or garbage or unused:
                    yield store, Prune('condemn', n, (dropped, garbage, unused))

    def judge(self, store, n, compactions):
        for late in self.unseen(store, 'version'):
            for hidden in self.unseen(store, 'moves'):
                moves = None if hidden else store.moves
                if self.broken == 'compact_unpublished' and compactions and moves is None:
                    moves = compactions[0].moved
                versions = [refs for i, refs in visible(store).items()
                            if ('version', i) not in late]
                packs, compaction = needed(versions, moves)
                condemned = store.condemned[n]
                yield store, Prune('verdict', n, (condemned[1] - packs,
                                                  condemned[2] and not compaction))

    def compaction(self, store, c):
        then = c._replace(step=c.step + 1)
        if c.step == 0:
            yield self.changed(store, ('session', 'c'), sessions=store.sessions | {'c'}), then
        elif c.step == 1:
            after, actor, over = self.waited(store, c, False)
            yield after, actor._replace(step=then.step) if over else actor
        elif c.step == 2:
            for hidden in self.unseen(store, 'condemned'):
                rounds = [(n, r) for n, r in enumerate(store.condemned)
                          if r and ('condemned', n) not in hidden]
                yield store, then._replace(condemned=(
                    frozenset().union(*(r[0] for _, r in rounds)),
                    frozenset().union(*(r[1] for n, r in rounds if not store.done[n]))))
        elif c.step == 3:
            records = frozenset(
                record for i, refs in enumerate(store.slots) if isinstance(refs, frozenset)
                and i not in c.condemned[0] for record in refs if record[0] == 0)
            may = 0 not in c.condemned[1] or self.broken == 'compact_condemned'
            if records and may:
                yield store, then._replace(moved=records, condemned=None)
        elif c.step == 4 and 0 in store.packs:
            yield store._replace(packs=store.packs | {'c'}), then
        elif c.step == 5:
            if store.moves is None:
                store = self.changed(store, ('moves',), moves=c.moved)
            yield store, Compaction(step=6)

    def after(self, state):
        store, writers, prunes, compactions = state
        for k, writer in enumerate(writers):
            for then, actor in self.writer(store, k + 1, writer):
                yield then, put(writers, k, actor), prunes, compactions
        for k, prune in enumerate(prunes):
            for then, actor in self.prune(store, prune, compactions):
                yield then, writers, put(prunes, k, actor), compactions
        for k, compaction in enumerate(compactions):
            for then, actor in self.compaction(store, compaction):
                yield then, writers, prunes, put(compactions, k, actor)

    def search(self, limit):
        """The first unsafe store, or None; and how many states there were."""
        seen, todo = {self.start}, [self.start]
        while todo:
            for state in self.after(todo.pop()):
                if state not in seen:
                    if not is_safe(state[0]):
                        return state[0], len(seen)
                    seen.add(state)
                    todo.append(state)
            if len(seen) > limit:
                sys.exit(f'more than {limit} states: not all were looked at')
        return None, len(seen)


def main():
    parser = argparse.ArgumentParser(description='see the top of this file')
    parser.add_argument('writers', type=int)
    parser.add_argument('prunes', type=int)
    parser.add_argument('rounds', type=int)
    parser.add_argument('--compactions', type=int, default=0, choices=(0, 1))
    parser.add_argument('--lag', action='store_true')
    parser.add_argument('--break', dest='broken', default='', choices=sorted(BREAKS))
    parser.add_argument('--expect-unsafe', action='store_true')
    parser.add_argument('--limit', type=int, default=20_000_000)
    args = parser.parse_args()
    model = Model(args.writers, args.prunes, args.rounds, args.compactions, args.lag, args.broken)
    unsafe, states = model.search(args.limit)
    what = BREAKS.get(args.broken, 'the protocol')
    if unsafe:
        print(f'{what}: UNSAFE, found after {states} states: {unsafe}')
    else:
        print(f'{what}: safe in all {states} states')
    sys.exit(0 if bool(unsafe) == args.expect_unsafe else 1)


if __name__ == '__main__':
    main()
