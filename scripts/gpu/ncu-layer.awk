# From Nsight Compute's text output to the kernels of one layer, a JSON object a line: from the first kernel of
# attention to the next one of the same name. Variable: lanes. Metrics in any unit that ncu prints.

function reduced(unit) {
  return unit == "ns" || unit == "byte" ? 1 : unit == "us" || unit == "Kbyte" ? 1e3 \
       : unit == "ms" || unit == "Mbyte" ? 1e6 : unit == "Gbyte" || unit == "s" ? 1e9 : 1
}

function finish() {
  if (kernel != "" && inside)
    printf "{\"lanes\":%d,\"kernel\":\"%s\",\"grid\":\"%s\",\"block\":\"%s\",\"us\":%.2f,\"of_bandwidth\":%.3f,\"read_mb\":%.2f}\n",
      lanes, kernel, grid, block, ns / 1e3, percent / 100, bytes / 1e6
  kernel = ""
}

/\)x\(.*Context [0-9]/ {
  finish()
  name = $0
  gsub(/unnamed>::/, "", name)
  if (match(name, /[A-Za-z0-9_]+_kernel/)) name = substr(name, RSTART)
  # Its arguments and its launch, "(Gemm, int) (224, 1, 1)x(256, 1, 1), Context …".
  match(name, /\([0-9]+, [0-9]+, [0-9]+\)x\([0-9]+, [0-9]+, [0-9]+\)/)
  launch = substr(name, RSTART, RLENGTH)
  name = substr(name, 1, RSTART - 1)
  sub(/\(.*/, "", name)
  gsub(/^ +| +$|"|\\/, "", name)
  split(launch, sizes, /x/)
  grid = sizes[1]; block = sizes[2]
  gsub(/[() ]/, "", grid); gsub(/[() ]/, "", block)
  gsub(/,/, "x", grid); gsub(/,/, "x", block)
  if (inside && name == first) exit
  if (!inside && name ~ /attention/) { inside = 1; first = name }
  kernel = name; ns = percent = bytes = 0
}

{ value = $NF; gsub(/,/, "", value) }
/gpu__time_duration/ { ns = value * reduced($(NF - 1)) }
/dram__throughput/ { percent = value }
/dram__bytes_read/ { bytes = value * reduced($(NF - 1)) }

END { finish() }
