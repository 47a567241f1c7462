# How gpu-check runs a stage, and what stages do: checks, figures, goals, engine-bench.

# run_stage NAME SECONDS: none starts that would not fit. With --only, facts and build run as well.
run_stage() {
  local name=$1 needs=$2 began=$SECONDS failed status=ok
  [[ -z $only || ,$only, == *",$name,"* || $name == facts || $name == build ]] || return 0
  [[ $name == build && $build ]] && needs=1
  left_out='' stage_end=$end
  ((SECONDS + 3 * needs + 60 < end)) && stage_end=$((SECONDS + 3 * needs + 60))
  failed=$(grep -c '^FAIL' "$work/checks")
  if ((SECONDS + needs > end)); then
    skip "its $needs s do not fit in the time left"
  elif [[ $dry && $needs_gpu == *" $name "* ]]; then
    skip "needs a GPU"
  elif [[ $name != facts && $name != build && ! -x $build/engine-check ]]; then
    skip "nothing is built"
  else
    stage=$name
    report
    say "$name"
    "stage_$name"
    stage=''
  fi
  (($(grep -c '^FAIL' "$work/checks") > failed)) && status=FAIL
  [[ $left_out && $status == ok ]] && status='left out'
  printf '{"name":"%s","status":"%s","seconds":%d%s}\n' "$name" "$status" $((SECONDS - began)) \
    "${left_out:+,\"why\":$(quoted "$left_out")}" >>"$work/stages"
  [[ $left_out ]] && say "$name: left out, $left_out"
  report
}

skip() { left_out=$*; }
fail() {
  echo "FAIL $stage: $*" >>"$work/checks"
  say "FAIL $stage: $*"
}

# Runs a command within the stage's time; what it prints is in $work/output and $work/errors.
bounded() {
  local seconds=$((stage_end - SECONDS)) status
  echo "+ $*" >>"$log"
  timeout -k 5 $((seconds > 1 ? seconds : 1)) "$@" >"$work/output" 2>"$work/errors" </dev/null &
  running=$!
  wait "$running"
  status=$?
  running=''
  cat "$work/output" "$work/errors" >>"$log"
  return "$status"
}

# How the last command failed, given its status.
reason() {
  if (($1 == 124 || $1 == 137)); then echo "stopped, its time was over"; else
    echo "status $1; $(cat "$work/output" "$work/errors" | grep -v '^ok ' | tail -n 1 | cut -c1-200)"
  fi
}

# check NAME COMMAND...: what has to pass.
check() {
  local name=$1 status=0
  shift
  bounded "$@" || status=$?
  if ((status == 0)); then echo "ok   $name" >>"$work/checks"; else fail "$name: $(reason "$status")"; fi
}

# figure NAME COMMAND...: a JSON object in the last line of its output.
figure() {
  local name=$1 status=0 object
  shift
  bounded "$@" || status=$?
  object=$(tail -n 1 "$work/output")
  if ((status != 0)); then
    fail "$name: $(reason "$status")"
  elif [[ $object != '{'*'}' ]]; then
    fail "$name: printed no JSON object"
  else
    printf '{"stage":"%s","name":"%s",%s\n' "$stage" "$name" "${object#\{}" >>"$work/figures"
    return 0
  fi
  return 1
}

# goal WHAT least|most BOUND READING: nothing without a reading, no verdict in a dry run.
goal() {
  local what=$1 side=$2 bound=$3 reading=$4 met=null
  [[ $reading && $reading != null ]] || return 0
  [[ $dry ]] || met=$(awk -v side="$side" -v bound="$bound" -v reading="$reading" \
    'BEGIN { print (side == "least" ? reading >= bound : reading <= bound) ? "true" : "false" }')
  printf '{"goal":"%s","at_%s":%s,"reading":%s,"met":%s}\n' "$what" "$side" "$bound" "$reading" "$met" >>"$work/goals"
}

# Begins to write random weights in a model's shape, in memory where it has room.
start_weights() {
  local shape=$1 gigabytes=2 folder
  [[ ${writers[$shape]:-} || ${folders[$shape]:-} ]] && return
  [[ $shape == *7b ]] && gigabytes=17
  for folder in /dev/shm "${TMPDIR:-/tmp}"; do
    (($(df --output=avail -B1G "$folder" 2>/dev/null | tail -n 1) >= gigabytes)) || continue
    folders[$shape]=$(mktemp -d "$folder/anabranch-$shape-XXXXXX")
    timeout $((end - SECONDS)) "$build/engine-bench" --shape "$shape" --folder "${folders[$shape]}" --write-only \
      </dev/null >>"$log" 2>&1 &
    writers[$shape]=$!
    return
  done
}

# Waits until a shape's weights are written.
weights() {
  local shape=$1
  start_weights "$shape"
  [[ ${folders[$shape]:-} ]] || { skip "no folder has room for weights of $shape"; return 1; }
  [[ ${writers[$shape]:-} ]] || return 0
  wait "${writers[$shape]}" || { fail "writing weights of $shape failed; see the log"; return 1; }
  unset "writers[$shape]"
}

# bench NAME SHAPE ARGUMENTS...
bench() {
  local name=$1 shape=$2
  shift 2
  weights "$shape" || return 1
  figure "$name" "$build/engine-bench" --shape "$shape" --folder "${folders[$shape]}" --device "$device" \
    "${how[@]}" "$@" "${quick[@]}" || return
  [[ $(value_of backend <"$work/output") == "${device%:*}"* ]] || fail "$name: did not run on $device"
}

# decoded FIELD LANES PREFIX: a reading of the last bench.
decoded() { value_of "$1" "$2" "$3" <"$work/output"; }
