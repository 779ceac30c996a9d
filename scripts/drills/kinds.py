"""Kinds of drills by name; each is in process_kinds.py or file_kinds.py."""

KINDS = {}


def kind(ranks=1):
    """Registers a function of a Drill that breaks something and says what has to follow."""

    def register(function):
        function.ranks = ranks
        KINDS[function.__name__] = function
        return function

    return register
