#!/usr/bin/env bash
# `RUSTC_WORKSPACE_WRAPPER` of tools/fuzz.sh: our own crates with libFuzzer's coverage and with checks of arithmetic. The
# dependencies stay as they are, since compiling them anew takes a quarter of an hour.
set -euo pipefail
rustc=$1
shift
case " $* " in
# Build scripts are no part of the target, and cargo's questions about the compiler are no crate.
*" --crate-name build_script_"* | *" --crate-name ___ "*) exec "$rustc" "$@" ;;
*" --crate-name "*)
    exec "$rustc" "$@" --cfg fuzzing -C overflow-checks=on -C debug-assertions=on -C passes=sancov-module \
        -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
        -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares
    ;;
*) exec "$rustc" "$@" ;;
esac
