# The stages of gpu-check, in the order of its list.

# The smallest model, and one of each architecture and each kind of window or rotation that kernels tell apart.
fixtures=native/test/oracle/fixtures
smallest=$fixtures/qwen2-default
models=("$fixtures"/*-default "$fixtures"/*-window "$fixtures"/phi3-longrope native/test/gguf/fixtures/model.gguf)
prefixes=(512 8192) prefetch=(0 4 16 32) aborts=2000 quick=() small_name=0.5B large_name=7B
if [[ $dry ]]; then
  models=() prefixes=(32 64) prefetch=(0 16) aborts=4 small_name=tiny large_name=tiny
  quick=(--tokens 4 --repeat 1 --prompt 64 --requests 2)
fi
how=()  # the engine as it is served, or without what only a device shows to be wrong
needs_gpu=' ncu memcheck synccheck fp8 fp8-kv racecheck peers '

stage_facts() {
  local python
  fact() { printf '%s:%s\n' "$(quoted "$1")" "$(quoted "$2")" >>"$work/facts"; }
  query() { nvidia-smi --query-gpu="$1" --format=csv,noheader -i 0; }
  if [[ -z $dry ]]; then
    fact driver "$(query driver_version)"
    fact 'compute capability' "$(query compute_cap)"
    fact 'GPU memory' "$(query memory.total)"
    fact 'clocks, SM and memory, most' "$(query clocks.max.sm,clocks.max.memory)"
    fact 'power limit' "$(query power.limit)"
  fi
  fact CPU "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1), $(nproc) cores"
  fact 'free memory' "$(free -h | awk '/^Mem/ { print $7 }'); /dev/shm $(df -h --output=avail /dev/shm | tail -n 1 | tr -d ' ')"
  fact nvcc "$(nvcc --version 2>/dev/null | sed -n 's/.*release.*, V//p')"
  fact cmake "$(cmake --version 2>/dev/null | head -n 1)"
  for tool in ninja ncu compute-sanitizer; do fact "$tool" "$(command -v "$tool" || echo none)"; done
  # Without importing it, which takes seconds.
  python='from importlib.metadata import distributions
print(*sorted(f"{each.name} {each.version}" for each in distributions() if each.name in ("torch", "transformers")))'
  fact python3 "$(python3 --version 2>/dev/null) $(python3 -c "$python" 2>/dev/null)"
  cublas=$(python3 -c 'import nvidia.cu13 as cuda; print(list(cuda.__path__)[0])' 2>/dev/null)
  fact cuBLASLt "${cublas:-of the toolkit, if at all}"
  # For programs that were built where the library lies elsewhere.
  [[ $cublas ]] && export LD_LIBRARY_PATH=$cublas/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
}

stage_build() {
  local options=(-DCMAKE_BUILD_TYPE=Release)
  if [[ -z $build ]]; then
    if [[ $dry ]]; then build=native/build-dry options+=(-DANABRANCH_CUDA=OFF); else
      build=native/build-gpu
      options+=(-DCMAKE_CUDA_ARCHITECTURES=native -DANABRANCH_CUBLAS="$cublas" -DANABRANCH_EMULATION=OFF)
    fi
    [[ ! -f $build/CMakeCache.txt ]] && command -v ninja >/dev/null && options+=(-G Ninja)
    bounded cmake -S native -B "$build" "${options[@]}" || { fail "cmake: $(reason $?)"; return; }
    bounded cmake --build "$build" --parallel "$(nproc)" --target engine-bench || { fail "engine-bench: $(reason $?)"; return; }
    [[ -z $only || $only == *7b* ]] && start_weights "$large"
    bounded cmake --build "$build" --parallel "$(nproc)" --target engine-check || fail "engine-check: $(reason $?)"
  elif [[ -z $only || $only == *7b* ]]; then
    start_weights "$large"
  fi
}

# With what passed, the other stages measure.
stage_checks() {
  local less status worst
  for less in "" "--no-overlap" "--no-overlap --no-library"; do
    read -ra how <<<"$less"
    status=0
    bounded "$build/engine-check" --only kernels,wide,models,adapters "${how[@]}" "${models[@]}" || status=$?
    sed -nE "s/^(ok   |FAIL )/&${less:+$less: }/p" "$work/output" >>"$work/checks"
    ((status == 0)) && break
    fail "engine-check${less:+ $less}: $(reason "$status")"
    [[ $dry ]] && break
  done
  grep -q "^ok .*$([[ $dry ]] && echo emulated || echo cuda) " "$work/checks" || fail "nothing was checked"
  worst=$(sed -nE 's/^ok .* bf16 (sum|max), .*NMSE ([0-9.e+-]+)$/\2/p' "$work/checks" | sort -g | tail -n 1)
  goal "largest NMSE of a small model in bf16" most 1e-3 "$worst"
}

stage_0.5b() {
  if bench "$small_name bf16" "$small" --lanes 1,8,32 --prefix "${prefixes[0]}"; then
    goal "$small_name bf16, 1 lane: share of copy bandwidth" least 0.55 "$(decoded of_bandwidth 1 "${prefixes[0]}")"
  fi
  bench "$small_name bf16 without overlap" "$small" --no-overlap --parts decode --lanes 1,8,32 --prefix "${prefixes[0]}"
}

stage_7b() {
  local lanes prefix bounds
  bench "$large_name bf16" "$large" --lanes 1,8,32 --prefix "${prefixes[0]},${prefixes[1]}" || return
  for prefix in "${prefixes[@]}"; do
    bounds=(0.85 7.2 22)
    ((prefix == prefixes[1])) && bounds=(0.765 6.48 19.8)  # 10% less
    goal "$large_name bf16, 1 lane after $prefix: share of copy bandwidth" least "${bounds[0]}" "$(decoded of_bandwidth 1 "$prefix")"
    goal "$large_name bf16, 8 lanes after $prefix: times one lane" least "${bounds[1]}" "$(decoded over_one_lane 8 "$prefix")"
    goal "$large_name bf16, 32 lanes after $prefix: times one lane" least "${bounds[2]}" "$(decoded over_one_lane 32 "$prefix")"
  done
  for lanes in 8 32; do
    for prefix in "${prefixes[@]}"; do  # 5% for noise
      goal "$large_name bf16, $lanes lanes after $prefix: fork in steps" most 1.05 "$(decoded fork_steps "$lanes" "$prefix")"
      goal "$large_name bf16, $lanes lanes after $prefix: join in steps" most 1.05 "$(decoded join_steps "$lanes" "$prefix")"
    done
  done
}

stage_ncu() {
  local lanes metrics=gpu__time_duration.sum,dram__throughput.avg.pct_of_peak_sustained_elapsed,dram__bytes_read.sum
  command -v ncu >/dev/null || { skip "ncu is missing"; return; }
  weights "$large" || return
  for lanes in 1 32; do
    # What is skipped is the warm-up, some 14 steps of 170 kernels, and the prompt.
    bounded ncu --metrics "$metrics" --launch-skip 4000 --launch-count 30 "$build/engine-bench" --shape "$large" \
      --folder "${folders[$large]}" --device "$device" "${how[@]}" --no-overlap --kv-mib 400 --parts decode \
      --lanes "$lanes" --prefix "${prefixes[0]}" --repeat 1 || { fail "ncu: $(reason $?)"; return; }
    awk -v lanes="$lanes" -f scripts/gpu/ncu-layer.awk "$work/output" >"$work/rows"
    if [[ -s $work/rows ]]; then cat "$work/rows" >>"$work/layer"; else fail "ncu saw no kernel of attention"; fi
  done
}

sanitized() {
  command -v compute-sanitizer >/dev/null || { skip "compute-sanitizer is missing"; return; }
  check "compute-sanitizer $1" compute-sanitizer --tool "$1" --error-exitcode 9 \
    "$build/engine-check" --only models "${how[@]}" "$smallest"
}
stage_memcheck() { sanitized memcheck; }
stage_synccheck() { sanitized synccheck; }
stage_racecheck() { sanitized racecheck; }

stage_prefetch() {
  local mib
  for mib in "${prefetch[@]}"; do
    bench "$small_name, $mib MiB ahead" "$small" --prefetch-mib "$mib" --parts decode --lanes 1,8 --prefix "${prefixes[0]}"
    [[ $large == "$small" ]] || bench "$large_name, $mib MiB ahead" "$large" --prefetch-mib "$mib" --parts decode --lanes 1,8 --prefix "${prefixes[0]}"
  done
}

stage_int8() {
  bench "$large_name int8" "$large" --dtype int8 --parts decode,prefill --lanes 1,8,32 --prefix "${prefixes[0]}"
}
stage_int4() {
  bench "$large_name int4" "$large" --dtype int4 --parts decode,prefill --lanes 1,8,32 --prefix "${prefixes[0]}"
}
stage_adapters() {
  local with without
  bench "$large_name bf16, adapters" "$large" --parts adapters --lanes 8 || return
  with=$(value_of step_ms <"$work/output") without=$(value_of step_ms_without <"$work/output")
  goal "$large_name bf16, eight requests with four adapters: share of the speed without" least 0.85 \
    "$(awk "BEGIN { printf \"%.3f\", $without / $with }")"
}
stage_fp8() {
  bench "$large_name fp8" "$large" --dtype fp8 --parts decode,prefill --lanes 1,8,32 --prefix "${prefixes[0]}"
}
stage_fp8-kv() {
  bench "$large_name bf16, fp8 KV" "$large" --kv-dtype fp8 --parts decode --lanes 1,8,32 --prefix "${prefixes[0]},${prefixes[1]}"
}

python_has() { python3 -c "import sys, importlib.util as i; sys.exit(not all(map(i.find_spec, sys.argv[1:])))" "$@"; }

stage_prefill() {
  local rate='' ours less
  if [[ -z $dry ]] && python_has torch; then
    figure "product of 4096 x 8192 x 8192" python3 bench/peers/library_gemm.py && rate=$(value_of tflop_s <"$work/output")
  fi
  for less in "" --no-library; do
    # shellcheck disable=SC2086  # nothing, or one word
    bench "$large_name prefill${less:+ with our own products}" "$large" --parts prefill $less || continue
    ours=$(value_of tflop_s <"$work/output")
    [[ $rate ]] && goal "$large_name prefill${less:+ with our own products}: share of the rate of a large product" least 0.6 \
      "$(awk "BEGIN { printf \"%.3f\", $ours / $rate }")"
  done
}

stage_aborts() {
  bench "$small_name, $aborts aborts" "$small" --parts serving --aborts "$aborts" || return
  [[ $(value_of blocks_missing <"$work/output") == 0 ]] || fail "blocks of KV are missing after aborts"
}

stage_peers() {
  python_has torch transformers || { skip "python3 has no transformers"; return; }
  weights "$large" || return
  figure "$large_name transformers" python3 bench/peers/transformers_peer.py --model "${folders[$large]}"
}
