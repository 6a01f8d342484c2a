#!/bin/sh
# facepick: opens the app; with arguments it is the command line (./start.sh people clip.mp4).
#
# Finds a Python and hands over to standalone.py, which does the rest: the system's own where it is
# 3.10 to 3.13 and complete, else one that uv keeps (https://docs.astral.sh/uv/), which is fetched
# once.
set -u

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 3

# Complete: Debian's and Ubuntu's python3 lack ensurepip, and with it venv, until python3-venv is
# installed.
fits() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
    >/dev/null 2>&1
}

python=
for name in python3 python3.13 python3.12 python3.11 python3.10 python; do
  if fits "$name"; then
    python=$name
    break
  fi
done

if [ -z "$python" ] && command -v uv >/dev/null 2>&1; then
  python=$(uv python find --managed-python 3.12 2>/dev/null)
  if [ -z "$python" ]; then
    echo "facepick: no Python 3.10 to 3.13 is on this machine; uv fetches one."
    uv python install 3.12 && python=$(uv python find --managed-python 3.12)
  fi
  if [ -z "$python" ]; then
    echo "facepick: uv could not fetch Python. Start again when there is a connection, or install" \
      "Python 3.12 yourself." >&2
    exit 3
  fi
fi

if [ -z "$python" ]; then
  echo "facepick: neither Python 3.10 to 3.13 nor uv is on this machine. Install one of them:" \
    "https://www.python.org/downloads/ or https://docs.astral.sh/uv/ (Debian, Ubuntu: sudo apt" \
    "install python3-venv), then start again." >&2
  exit 3
fi

exec "$python" "$here/standalone.py" "$@"
