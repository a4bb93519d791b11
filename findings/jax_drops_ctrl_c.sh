#!/usr/bin/env bash
# jax 0.10.2: import jax registers a Python function in gc.callbacks. A Ctrl-C that comes while the garbage collector
# works is delivered in that function, and Python drops exceptions of such functions: the program prints "Exception
# ignored" and goes on, for hours perhaps. Without jax the same Ctrl-C ends the program. Here: commands end on Ctrl-C
# and keep what is done, so they have a signal handler that sends the signal again when it comes at such a moment.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q "jax==0.10.2" "jaxlib==0.10.2" "numpy==2.3.5"
cat >"$place/program.py" <<'END'
import gc, os, signal, sys, threading, time

if sys.argv[1] == "with":
    import jax

    print("jax", jax.__version__)
objects = [[number] for number in range(2_000_000)]  # so that a collection takes a while
raised = 0
for _ in range(5):
    timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        gc.collect()
        timer.join()
        time.sleep(0.1)
    except KeyboardInterrupt:
        raised += 1
        timer.join()
print(f"{sys.argv[1]} jax: {raised} of 5 interrupts raised KeyboardInterrupt")
sys.exit(0 if raised == (0 if sys.argv[1] == "with" else 5) else 1)
END
for how in without with; do
  JAX_PLATFORMS=cpu "$place/venv/bin/python" "$place/program.py" "$how" 2>/dev/null
done
# Seen: without jax: 5 of 5 interrupts raised KeyboardInterrupt; with jax: 0 of 5
