# What gpu-check writes: the result file and, at its end, a table on the terminal. Lists in $work have a line each.

# A string as JSON.
quoted() {
  local text
  text=$(tr -d '\000-\037' <<<"$1" | sed 's/\\/\\\\/g; s/"/\\"/g')
  printf '"%s"' "$text"
}

any_failed() { grep -q '^FAIL' "$work/checks"; }

# Writes the file anew. "passed" is null until the last stage has ended and where nothing ran, unless something failed.
report() {
  local list passed=null
  [[ $ended && (-s $work/checks || -s $work/figures) ]] && passed=true
  any_failed && passed=false
  {
    printf '{"device":%s,"dry_run":%s,"commit":%s,"date":"%s",' \
      "$(quoted "$gpu")" "$([[ $dry ]] && echo true || echo false)" "$(quoted "$commit")" "$date"
    printf '"seconds":%d,"running":%s,"passed":%s' \
      "$SECONDS" "$([[ $stage ]] && quoted "$stage" || echo null)" "$passed"
    printf ',\n"facts":{\n%s}' "$(sed '$!s/$/,/' "$work/facts")"
    for list in stages goals layer figures; do
      printf ',\n"%s":[\n%s]' "$list" "$(sed '$!s/$/,/' "$work/$list")"
    done
    printf ',\n"checks":[\n%s]}\n' \
      "$(tr -d '\000-\011\013-\037' <"$work/checks" | sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&"/; $!s/$/,/')"
  } >"$file.new"
  mv "$file.new" "$file"
}

# For awk: the value of a field in an object that has no objects in it.
field_of='function field_of(object, name,    value) {
  if (!match(object, "\"" name "\":(\"[^\"]*\"|[^,}]*)")) return ""
  value = substr(object, RSTART + length(name) + 3, RLENGTH - length(name) - 3)
  gsub(/"/, "", value)
  return value
}'

# value_of FIELD [LANES PREFIX]: of the first object on stdin that has the field, of these lanes after this prefix.
value_of() {
  awk -v RS='{' -v name="$1" -v lanes="${2:-}" -v prefix="${3:-}" "$field_of"'
    lanes != "" && (field_of($0, "lanes") != lanes || field_of($0, "prefix") != prefix) { next }
    !found && (value = field_of($0, name)) != "" { print value; found = 1 }'
}

# What was found, in short.
table() {
  printf '\n%s, commit %s, %d s\n' "$gpu" "$commit" "$SECONDS"
  printf '\n%-10s %7s  %s\n' stage seconds result
  awk "$field_of"'{ printf "%-10s %7s  %s%s\n", field_of($0, "name"), field_of($0, "seconds"),
    field_of($0, "status"), (why = field_of($0, "why")) == "" ? "" : ": " why }' "$work/stages"
  if grep -q '"lanes"' "$work/figures"; then
    printf '\n%-28s %5s %6s %8s %8s %9s %6s %6s\n' decode lanes prefix 'step ms' 'of copy' 'x 1 lane' fork join
    awk "$field_of"'function rounded(name) { return sprintf("%.3g", field_of(parts[i], name)) }
      {
        count = split($0, parts, "{")
        for (i = 1; i <= count; ++i) if (field_of(parts[i], "lanes") != "")
          printf "%-28s %5d %6d %8.3f %8s %9s %6s %6s\n", field_of($0, "name"), field_of(parts[i], "lanes"),
            field_of(parts[i], "prefix"), field_of(parts[i], "step_ms"), rounded("of_bandwidth"),
            rounded("over_one_lane"), rounded("fork_steps"), rounded("join_steps")
      }' "$work/figures"
  fi
  if [[ -s $work/layer ]]; then
    printf '\n%-5s %8s %8s  %s\n' lanes us 'of peak' 'kernels of a layer, 7B'
    awk "$field_of"'{ printf "%5d %8s %8s  %s\n", field_of($0, "lanes"), field_of($0, "us"), field_of($0, "of_bandwidth"),
      field_of($0, "kernel") }' "$work/layer"
  fi
  if [[ -s $work/goals ]]; then
    printf '\n%-8s %8s %8s  %s\n' goal bound reading 'of'
    awk "$field_of"'BEGIN { word["true"] = "met"; word["false"] = "missed"; word["null"] = "dry run" }
      { printf "%-8s %8s %8.3g  %s\n", word[field_of($0, "met")], field_of($0, "at_least") field_of($0, "at_most"),
        field_of($0, "reading"), field_of($0, "goal") }' "$work/goals"
  fi
  printf '\n%d checks ok\n' "$(grep -c '^ok' "$work/checks")"
  grep '^FAIL' "$work/checks"
  printf 'wrote %s\n' "$file"
}
