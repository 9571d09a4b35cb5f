# Recipes of RAVE Bench. `./just` brings `just` itself; `./just setup` brings LibTorch. Both happen once.
# One cargo profile (release) and one selection of crates (the workspace) serve every recipe, so a fresh machine
# compiles the stack once: a build of a single crate would choose other dependency features and compile it anew.

# The binary; in CARGO_TARGET_DIR where that is set.
rave_binary := env("CARGO_TARGET_DIR", justfile_directory() / "target") / "release/rave"
# Recorded in every run.
export RAVE_COMMIT := `git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown`
# Where runs made on this machine go; not in git.
local_runs := "results/runs/local"

# Lists the recipes.
[private]
default:
    @'{{ just_executable() }}' --justfile '{{ justfile() }}' --list --unsorted

# Bring LibTorch once (or take LIBTORCH=/folder, LIBTORCH_USE_PYTORCH=1) and tell cargo; --cuda insists on CUDA
[group('start here')]
[no-exit-message]
setup *options:
    @if command -v python3 >/dev/null 2>&1; then python3 tools/libtorch.py {{ options }}; \
    elif [ -n "${LIBTORCH:-}" ]; then echo "python3 is not here, so LIBTORCH is taken unchecked: $LIBTORCH" >&2; \
    else echo "error: setup needs python3 (3.8 or newer), or LIBTORCH=/folder with a LibTorch 2.11.0" >&2; exit 1; fi

# `setup` for recipes whose output is somebody's data: silent when there is nothing to do.
[no-exit-message]
[private]
ready: (setup "--quiet")

# Compile everything
[group('start here')]
build: ready
    cargo build --release --workspace

# Say what this machine has (LibTorch, device, caches, fonts) and what to fix
[group('start here')]
doctor *options: build
    @'{{ rave_binary }}' doctor {{ options }}

# Run rave with any arguments, for example: ./just rave suites --json
[group('measure')]
[no-exit-message]
[positional-arguments]
rave *arguments: ready
    @cargo build --release --workspace --quiet
    @'{{ rave_binary }}' "$@"

# Evaluate nano, all training seeds of every variant, on the embedded suites, then tables and charts; needs no network after setup
[group('measure')]
eval-all name=("eval-all-" + datetime("%Y%m%d-%H%M%S")) limit="200": build
    '{{ rave_binary }}' eval --model nano \
        --variant standard,rave,rave-post-rope,rave-key-only,rave-query-only \
        --suite embedded-ocr,embedded-chart,embedded-document,embedded-scene,embedded-general \
        --dtype f32 --limit {{ limit }} --out '{{ local_runs / name }}'

# Train nano as results/PROTOCOL.md says, or one stage of it: tower, base SEED, continue SEED VARIANT; give it again to resume
[group('measure')]
[no-exit-message]
[positional-arguments]
train-nano *stage: build
    @RAVE='{{ rave_binary }}' tools/train_nano.sh "$@"

# Tables and charts of stored runs: ./just report results/runs/local/NAME [--format txt,md,csv,tex,json,svg,png,html]
[group('measure')]
[no-exit-message]
report run *options: ready
    @cargo build --release --workspace --quiet
    '{{ rave_binary }}' report '{{ run }}' {{ options }}

# Runs side by side: ./just compare RUN RUN [--baseline VARIANT, RUN or RUN:VARIANT]
[group('measure')]
[no-exit-message]
[positional-arguments]
compare *arguments: ready
    @cargo build --release --workspace --quiet
    @'{{ rave_binary }}' compare "$@"

# The paper's claims with a verdict each, from the published runs or from RUN..; results/claims.toml has the rules
[group('measure')]
[no-exit-message]
[positional-arguments]
paper-table *arguments: ready
    @cargo build --release --workspace --quiet
    @'{{ rave_binary }}' paper-table "$@"

# What variants cost: vision, prefill, decoding, cache, peak memory; ./just latency --variant standard,rave --image-tokens 1088
[group('measure')]
[no-exit-message]
[positional-arguments]
latency *options: ready
    @cargo build --release --workspace --quiet
    @'{{ rave_binary }}' latency --check-noise "$@"

# Every comparison of speed, one after the other, about half an hour: prefill, shared beginnings, eight variants, transformers
[group('measure')]
bench: bench-prefill bench-prefix bench-variants bench-transformers

# Prefill at SmolVLM-256M's shape: what RAVE costs over standard, interleaved; -- --seconds N --out FILE.json
[group('measure')]
bench-prefill *options: ready
    cargo bench --workspace --bench prefill -- {{ options }}

# Five questions a picture at SmolVLM-256M's shape, with and without a shared beginning; -- --seconds N --out FILE.json
[group('measure')]
bench-prefix *options: ready
    cargo bench --workspace --bench prefix -- {{ options }}

# Wall time of an evaluation with eight variants over one, at SmolVLM-256M's shape; -- --model NAME --limit N --rounds N --out FILE.json
[group('measure')]
bench-variants *options: ready
    cargo bench --workspace --bench variants -- {{ options }}

# Training speed of nano in f32 and bf16, and the share of this machine's matrix products that it reaches; -- --seconds N --out FILE.json
[group('measure')]
bench-training *options: ready
    cargo bench --workspace --bench training -- {{ options }}

# Loading at SmolVLM-256M's shape: peak memory against the weights, seconds a GB; -- --rounds N --out FILE.json
[group('measure')]
bench-loading *options: ready
    cargo bench --workspace --bench loading -- {{ options }}

# Speed and memory against transformers on the same checkpoint, inputs and threads (tools/compare_transformers_speed.py); --dtype f32,bf16 --tiles 17 --out FILE.json
[group('measure')]
[no-exit-message]
[positional-arguments]
bench-transformers *options: ready
    cargo build --release --workspace --bins --examples
    @python3 tools/compare_transformers_speed.py --rave '{{ rave_binary }}' "$@"

# What an evaluation of nano loses beside as many busy processes as cores (tools/bench_waiting.py); --against OLD/rave --out FILE.json
[group('measure')]
[no-exit-message]
[positional-arguments]
bench-waiting *options: build
    @python3 tools/bench_waiting.py --rave '{{ rave_binary }}' "$@"

# How long 10,000 resamples of 10 suites, 20 variants and 5,000 samples take
[group('measure')]
bench-statistics: ready
    cargo bench --workspace --bench statistics

# Every test: the Rust workspace (arguments go to cargo test) and the setup script
[group('develop')]
test *arguments: ready
    @if command -v python3 >/dev/null 2>&1; then python3 tools/test_libtorch.py; fi
    cargo test --release --workspace {{ arguments }}

# The HTML report in headless Chromium (Debian: chromium, nodejs, npm): sorts, filters, browses, by keyboard, light and dark; screenshots in target/browser
[group('develop')]
test-browser +runs="results/runs/nano": build
    cargo build --release --workspace --example pages
    @mkdir -p target/browser/pages
    npm install --prefix target/browser --no-audit --no-fund --silent playwright-core@1.65.1
    @"$(dirname '{{ rave_binary }}')/examples/pages" target/browser/pages
    @for run in {{ runs }}; do '{{ rave_binary }}' report "$run" --format html --out target/browser/report >/dev/null \
        && mv target/browser/report/report.html "target/browser/pages/run-$(basename "$run").html" || exit 1; done
    cd target/browser && node ../../reports/tests/browser/check.mjs shots pages/*.html

# Mutates the files that readers read, under libFuzzer (a C++ compiler): ./just fuzz [TARGET|all] [MINUTES of processor time a target]
[group('develop')]
fuzz target="all" minutes="10": ready
    tools/fuzz.sh '{{ target }}' '{{ minutes }}'

# Small files of published checkpoints against transformers (python3 with torch, transformers 5, pillow), a table in Markdown: ./just zoo [FOLDER..] [--cases DIR]
[group('develop')]
[no-exit-message]
[positional-arguments]
zoo +arguments="../shared/hub-files": ready
    @cargo build --release --workspace --quiet
    @OMP_WAIT_POLICY=passive python3 tools/zoo.py --rave '{{ rave_binary }}' "$@"

# Formatting, clippy and, where it is installed, cargo deny; nothing is changed
[group('develop')]
lint: ready
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets -- -D warnings
    @if cargo deny --version >/dev/null 2>&1; then cargo deny --offline check bans licenses sources 2>/dev/null \
        || cargo deny check bans licenses sources; \
    else echo "cargo deny is not installed, so licences and sources were not checked (cargo install cargo-deny --locked)"; fi

# Format all Rust code
[group('develop')]
fmt:
    cargo fmt --all
