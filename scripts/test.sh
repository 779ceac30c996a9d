#!/usr/bin/env bash
# Sets up, then runs every test; --quick: those that take no whole run, under a minute.
# Other arguments go to pytest: scripts/test.sh tests/mobilenet/test_losses.py -k smoothing
# Up to five tests that failed are run once more, alone; what fails there has failed.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
arguments=()
for argument in "$@"; do
    if [ "$argument" = --quick ]; then arguments+=(-m "not slow"); else arguments+=("$argument"); fi
done
cache=$(mktemp -d)
trap 'rm -rf "$cache"' EXIT

run() {  # pytest with the arguments and more; gives its status
    .venv/bin/python -m pytest -o cache_dir="$cache" ${arguments[@]+"${arguments[@]}"} "$@"
}

failed() {  # what failed last, a line each
    .venv/bin/python -c 'import json, sys; print(*json.load(sys.stdin), sep="\n")' \
        2> /dev/null < "$cache/v/cache/lastfailed" || true
}

SECONDS=0
status=0
run || status=$?
failed > "$cache/first"
# 1: tests failed. No second try for what could not be collected (a line without ::), or for many.
if [ $status = 1 ] && [[ $(wc -l < "$cache/first") = [1-5] ]] && ! grep -qv :: "$cache/first"; then
    echo "tests: those that failed once more, alone:"
    status=0
    run -n 0 --last-failed || status=$?
    failed > "$cache/second"
    grep -vxFf "$cache/second" "$cache/first" | sed 's/^/tests: failed beside others, passed alone: /' || true
fi
echo "tests: $((SECONDS / 60)) min $((SECONDS % 60)) s"
exit $status
