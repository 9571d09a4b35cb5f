#!/usr/bin/env bash
# Fuzzes the readers: tools/fuzz.sh [TARGET|all] [MINUTES], ten minutes of processor time a target by default, as many targets at
# once as there are processors.
#
# Found inputs grow in target/fuzz/<target>; one that panics or takes too much memory lies below target/fuzz/crashes and belongs, with
# its mending, into harness/fuzz/corpus/<target>. RAVE_FUZZ_PAUSE=FILE stops the fuzzer while that file exists (at most
# a quarter of an hour: its own limit on an input runs on).
set -euo pipefail
cd "$(dirname "$0")/.."
chosen=${1:-all} minutes=${2:-10}
out=${CARGO_TARGET_DIR:-target}
targets=$(ls harness/fuzz/corpus)
if [ "$chosen" != all ]; then
    if [ ! -d "harness/fuzz/corpus/$chosen" ]; then
        echo "tools/fuzz.sh: no target is called $chosen; there are" $targets >&2
        exit 2
    fi
    targets=$chosen
fi
export RUSTC_WORKSPACE_WRAPPER=$PWD/tools/fuzz_rustc.sh
cargo build --release --workspace --bin rave-fuzz --features rave-fuzz/libfuzzer
unset RUSTC_WORKSPACE_WRAPPER
# A build without the wrapper would replace the binary.
mkdir -p "$out/fuzz/crashes"
cp -f "$out/release/rave-fuzz" "$out/fuzz/rave-fuzz"

# Seconds of processor time of a process.
spent() {
    awk -v ticks="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); print int(($12 + $13) / ticks) }' "/proc/$1/stat" 2>/dev/null || echo 0
}

fuzz() {
    local target=$1 pid used=0
    mkdir -p "$out/fuzz/$target"
    RAVE_FUZZ_TARGET=$target OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1 POLARS_MAX_THREADS=1 OMP_WAIT_POLICY=passive \
        nice -n 19 "$out/fuzz/rave-fuzz" "$out/fuzz/$target" "harness/fuzz/corpus/$target" -rss_limit_mb=1024 -timeout=900 -report_slow_units=900 -max_len=32768 \
        -artifact_prefix="$out/fuzz/crashes/$target-" -print_final_stats=1 >"$out/fuzz/$target.log" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        used=$(spent "$pid")
        if [ "$used" -ge $((minutes * 60)) ]; then
            kill -USR1 "$pid"
            break
        fi
        if [ -n "${RAVE_FUZZ_PAUSE:-}" ] && [ -e "$RAVE_FUZZ_PAUSE" ]; then
            kill -STOP "$pid"
            while [ -e "$RAVE_FUZZ_PAUSE" ]; do sleep 1; done
            kill -CONT "$pid"
        fi
        sleep 1
    done
    wait "$pid" || true
    echo "$target: $used s; $(grep -E 'stat::(number_of_executed_units|peak_rss_mb)' "$out/fuzz/$target.log" | tr -s ' \n' ' ')"
}

before=$(ls "$out/fuzz/crashes" | wc -l)
for target in $targets; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
    fuzz "$target" &
done
wait
found=$(($(ls "$out/fuzz/crashes" | wc -l) - before))
if [ "$found" -gt 0 ]; then
    echo "inputs that end a reader: $found, in $out/fuzz/crashes; see $out/fuzz/TARGET.log" >&2
    exit 1
fi
