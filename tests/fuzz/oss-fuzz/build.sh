#!/bin/bash -eu
# Builds every target with OSS-Fuzz's compiler, flags and engine, and packs each one's seeds beside it.
cmake -S . -B "$WORK/build" -G Ninja -DCMAKE_BUILD_TYPE=None -DREGAUGE_FUZZ=ON -DREGAUGE_BUILD_TESTS=OFF \
  -DREGAUGE_FUZZ_ENGINE="$LIB_FUZZING_ENGINE"
cmake --build "$WORK/build" --target fuzz
"$WORK/build/fuzz_seeds" "$WORK/seeds"
for program in "$WORK"/build/fuzz_*; do
  [ -x "$program" ] && [ ! -d "$program" ] || continue
  name=$(basename "$program")
  [ "$name" != fuzz_seeds ] || continue
  cp "$program" "$OUT/"
  zip -qj "$OUT/${name}_seed_corpus.zip" "$WORK/seeds/${name#fuzz_}"/*
done
