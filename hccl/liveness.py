"""Which rank keeps the others waiting, judged from the beats of all."""

LONG = 60.0  # seconds in which a rank has built its graph, and meets the others
FROZEN = 3.0  # seconds without a sign of life after which a rank counts as stopped


def overdue(beats, now):
    """(late ranks, text) where a rank has had longer than it may, else None.

    beats: {rank: heartbeat.Beat}, of other servers too; now: time.monotonic(). The late ranks are
    those that the others wait for; none where all wait in the same loop.

    A rank in a loop waits for all others, so it is not to blame, and is given more time while
    another is at work outside a loop: rank 0 may be saving.
    """
    frozen = [r for r, b in beats.items() if now - b.alive > max(b.patience, FROZEN)]
    if frozen:
        return _verdict(beats, frozen, now)
    over = [r for r, b in beats.items() if now - b.since > b.limit]
    looping = [r for r in over if beats[r].state == 'loop']
    outside = [r for r, b in beats.items() if b.state != 'loop']
    if looping and any(r not in over and _lives(beats[r], now) for r in outside):
        looping = []
    if looping:
        late = [r for r, b in beats.items() if not _lives(b, now)] or outside
        return _verdict(beats, late or _behind(beats), now, max(looping, key=_waited(beats, now)))
    over = [r for r in over if r in outside]
    return _verdict(beats, over, now) if over else None


def _lives(beat, now):
    return now - beat.alive <= FROZEN


def _behind(beats):
    """Ranks in an earlier loop than others; [] where all are in the same."""
    last = max(b.batch for b in beats.values())
    return [r for r, b in beats.items() if b.batch < last]


def _waited(beats, now):
    return lambda rank: now - beats[rank].since


def _verdict(beats, late, now, waiting=None):
    late = sorted(late)
    text = '; '.join(describe(rank, beats[rank], now) for rank in late[:8])
    if waiting is not None:
        beat = beats[waiting]
        wait = f'the loop from batch {beat.batch} has not ended after {now - beat.since:.0f} s'
        text = f'{wait}: {text}' if text else f'{wait}, and all ranks are in it'
    return late, text


def describe(rank, beat, now):
    """Where a rank is, in words."""
    place = {
        'start': 'starting',
        'meet': 'waiting for the others at the start',
        'loop': f'in the loop from batch {beat.batch}',
        'between': f'at work after batch {beat.batch}',
    }[beat.state]
    text = f'rank {rank} {place} for {now - beat.since:.0f} s'
    if not _lives(beat, now):
        text += f', no sign of life for {now - beat.alive:.0f} s (stopped?)'
    return text


def names(ranks):
    return ('rank ' if len(ranks) == 1 else 'ranks ') + ', '.join(map(str, ranks))


def waiting_for(beats, ranks, now):
    """A line on whom the ranks wait for at the start, or None: nobody waits, or not for long.

    ranks: all of the run; one without a beat has not come far enough to give one.
    """
    meeting = [r for r in ranks if r in beats and beats[r].state == 'meet']
    meeting = [r for r in meeting if _lives(beats[r], now)]
    come = [r for r in ranks if r in beats and beats[r].state != 'start']
    missing = [r for r in ranks if r not in come or not _lives(beats[r], now)]
    if not meeting:
        return None
    if not missing:
        waited = min(now - beats[r].since for r in meeting)
        if waited < LONG:
            return None
        return f'all ranks have been waiting for each other for {waited:.0f} s'
    waited = max(now - beats[r].since for r in meeting)
    more = f' and {len(missing) - 8} more' if len(missing) > 8 else ''
    who = f'rank {meeting[0]}' if len(meeting) == 1 else f'{len(meeting)} ranks'
    return f'{who} waiting for {waited:.0f} s for {names(missing[:8])}{more}'
