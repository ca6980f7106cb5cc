#!/usr/bin/env bash
# Everything that wants a GPU, in one go: the CUDA tests, what the device does in a second, and a short study on it.
#
#     benchmarks/gpu.sh [FILE]        # Markdown on stdout, and in FILE where one is given
#
# Commit what it prints (benchmarks/gpu.md), failures too. It goes on after a failure and leaves with 1 if there was one; without a GPU it says so and ends. It
# needs the environment of the README (pip install -e ".[test]") and no network.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-/dev/null}
failed=0
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export SCALESEARCH_CACHE="$place/cache"

part() { # TITLE COMMAND...
    local title=$1 code=0 started=$SECONDS
    shift
    printf '\n## %s\n\n`%s`\n\n```\n' "$title" "$*"
    "$@" 2>&1 || code=$?
    printf '```\n\nleft with %s after %s s\n' "$code" "$((SECONDS - started))"
    [ "$code" -eq 0 ] || failed=1
}

device() {
    python - <<'P'
import torch
if not torch.cuda.is_available():
    raise SystemExit("no CUDA device on this machine: nothing below is of a GPU")
for number in range(torch.cuda.device_count()):
    print(f"cuda:{number}: {torch.cuda.get_device_name(number)}, {torch.cuda.mem_get_info(number)[1] / 2**30:.0f} GiB")
print(f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
P
}

report() {
    printf '# On a GPU: `benchmarks/gpu.sh`, %s\n' "$(date -u +%F)"
    part "The device" device
    [ "$failed" -eq 0 ] || return 1
    part "The CUDA tests" python -m pytest -q -n 0 -m cuda tests
    part "In a second: the default study" python -m scalesearch bench
    part "In a second: EfficientNet-B0 at 224 px" python -m scalesearch bench --base efficientnet_b0 --resolution 224 --data "npz:$place/images.npz"
    part "A short study" python -m scalesearch run --budget 2x --trials 5 --seeds 1 --epochs 1 --device cuda --name gpu --studies-dir "$place"
    part "The same study, its steps as CUDA graphs and compiled where that pays" python -m scalesearch run --budget 2x --trials 5 --seeds 1 --epochs 1 --device cuda --engine graph=auto --compile auto --name graphs --studies-dir "$place"
    part "The same study again on the CPU, for its accuracies" python -m scalesearch run --budget 2x --trials 5 --seeds 1 --epochs 1 --device cpu --name cpu --studies-dir "$place"
    return "$failed"
}

images() {
    python - "$place/images.npz" <<'P'
import sys
import numpy as np
draw = np.random.default_rng(0)
np.savez(sys.argv[1], x=draw.integers(0, 256, (2048, 224, 224, 3), np.uint8), y=np.arange(2048) % 10)
P
}

images
report | tee "$out"
exit "${PIPESTATUS[0]}"
