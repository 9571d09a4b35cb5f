#!/usr/bin/env bash
# Trains nano as results/PROTOCOL.md says: tower, a base a seed, a continuation a seed and variant, and the grid of them all.
#
#   tools/train_nano.sh [tower|base SEED|continue SEED VARIANT|grid|all]
#
# Every stage resumes where it was stopped and is skipped once it has ended, so the same command is simply given again. A
# base that is shipped (harness/lmm/models/nano) is taken instead of being trained; FRESH=1 trains it all the same.
# WORK (default results/runs/local/nano) holds the runs; DEVICE (default cpu) is cpu, cuda or cuda:N. On two cores without
# bf16 products: the tower 20 minutes, a base 33 up to its last stage; that and the continuations go at about 3 steps a second in
# all, two stages at once (OMP_NUM_THREADS=1).
set -euo pipefail
cd "$(dirname "$0")/.."

rave=${RAVE:-${CARGO_TARGET_DIR:-target}/release/rave}
work=${WORK:-results/runs/local/nano}
device=${DEVICE:-cpu}
shipped=harness/lmm/models/nano
seeds=(0 1 2)
variants=(standard rave rave-post-rope rave-key-only rave-query-only)
questions=ocr,chart,document,scene,general

# stage FOLDER OPTIONS...: trains into a folder unless it has ended, and goes on with what is there.
stage() {
    local out=$1 resume=()
    shift
    if [ -f "$out/checkpoint/config.json" ]; then return; fi
    if [ -f "$out/train.json" ]; then resume=(--resume); fi
    echo "==> $out"
    "$rave" train "$@" --device "$device" --out "$out" "${resume[@]}"
    # Asked to stop: what follows needs this stage's end.
    [ -f "$out/checkpoint/config.json" ] || exit 0
}

# Whether the base of a seed is shipped, and wanted.
is_shipped() {
    [ -z "${FRESH:-}" ] && [ -f "$shipped/seed-$1/base/config.json" ]
}

# The base of a seed: the shipped one, or the one trained here.
base_of() {
    if is_shipped "$1"; then echo "$shipped/seed-$1/base"; else echo "$work/seed-$1/base/checkpoint"; fi
}

tower() {
    stage "$work/tower" --model nano --init-seed 0 --suite "page,page,page,$questions" --batch 4 --steps 20000 --lr 1e-3 \
        --warmup 200 --aux-loss 1 --no-answers --validate-every 1000 --validation-items 20 --save-every 500
}

base() {
    local seed=$1
    if is_shipped "$seed"; then return; fi
    tower
    stage "$work/seed-$seed/pages" --model nano --init-seed "$seed" --vision "$work/tower/checkpoint" --freeze vision --seed "$seed" \
        --suite page --batch 8 --steps 6000 --lr 1.5e-3 --warmup 100 --validate-every 600 --validation-items 32 --save-every 200
    stage "$work/seed-$seed/questions" --model "$work/seed-$seed/pages/checkpoint" --freeze vision --seed "$seed" \
        --suite "page,$questions" --extra-questions 6 --batch 16 --steps 3600 --lr 1e-3 --warmup 100 --validate-every 300 --save-every 100
    stage "$work/seed-$seed/base" --model "$work/seed-$seed/questions/checkpoint" --freeze vision --seed $((10 + seed)) \
        --suite "$questions" --extra-questions 6 --batch 16 --steps 3000 --lr 1e-3 --warmup 100 --validate-every 300 --save-every 100
}

continuation() {
    local seed=$1 variant=$2
    base "$seed"
    stage "$work/seed-$seed/$variant" --model "$(base_of "$seed")" --variant "$variant" --freeze vision \
        --seed $((100 + seed)) --seed-gates "$seed" --suite "$questions" --extra-questions 6 --batch 16 --steps 600 --lr 5e-4 \
        --warmup 50 --validate-every 150 --save-every 50
}

grid() {
    local seed variant
    for seed in "${seeds[@]}"; do
        base "$seed"
        mkdir -p "$work/grid/seed-$seed/base"
        cp "$(base_of "$seed")"/* "$work/grid/seed-$seed/base/"
        for variant in "${variants[@]}"; do
            continuation "$seed" "$variant"
            mkdir -p "$work/grid/seed-$seed/$variant"
            cp "$work/seed-$seed/$variant/checkpoint/"* "$work/grid/seed-$seed/$variant/"
        done
    done
    local joined
    joined=$(printf '"%s",' "${variants[@]}")
    printf '{\n  "summary": "nano, trained as results/PROTOCOL.md says",\n  "seeds": [%s],\n  "variants": [%s]\n}\n' \
        "$(IFS=,; echo "${seeds[*]}")" "${joined%,}" >"$work/grid/grid.json"
    echo "the grid: $work/grid (rave eval --model $work/grid)"
}

case ${1:-all} in
    tower) tower ;;
    base) base "$2" ;;
    continue) continuation "$2" "$3" ;;
    grid | all) grid ;;
    *)
        echo "error: no stage \`$1\`; choose tower, base SEED, continue SEED VARIANT, grid or all" >&2
        exit 1
        ;;
esac
