#!/bin/sh
# Starts workerd (ANABRANCH_WORKERD) for the gateway's process, with the arguments that are given. On Linux
# * workerd ends when that process ends, even if it is killed;
# * workerd alone has its data folder: it holds the lock of ANABRANCH_WORKERD_LOCK, an open file, until it ends.
# Both tools are part of util-linux. Where they are missing, workerd starts without them.
set -- "$ANABRANCH_WORKERD" "$@"
if setpriv --pdeathsig KILL true 2>/dev/null; then
  set -- setpriv --pdeathsig KILL "$@"
fi
if [ -n "$ANABRANCH_WORKERD_LOCK" ] && command -v flock >/dev/null; then
  exec 9>>"$ANABRANCH_WORKERD_LOCK"
  # One that is just ending gets the time for it.
  if ! flock --timeout 5 9; then
    echo "The data folder is in use by the gateway with process ID $(cat "$ANABRANCH_WORKERD_LOCK"): end that one first." >&2
    exit 1
  fi
  echo "$PPID" >"$ANABRANCH_WORKERD_LOCK"
fi
exec "$@"
