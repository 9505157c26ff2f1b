# Runs the tests whose names contain a word so many times, beside so many busy loops.

build_tests >/dev/null
loops=()
trap 'kill "${loops[@]}" 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq "$busy"); do
  (while :; do :; done) &
  loops+=($!)
done

passed=0 found=
for round in $(seq "$repeat"); do
  good=1
  for test in "${!program[@]}"; do
    [ "$test" = own_kernel ] || [ -z "$("${program[$test]}" --list "$name" 2>/dev/null | grep ': test$' || true)" ] && continue
    found=1
    (cd "${folder[$test]}" && timed "$test" "$name" --test-threads "$LABS") >"$work/round" 2>&1 || { good=; cat "$work/round"; }
    grep -E '^test result' "$work/round" | sed "s/^/round $round, $test: /"
  done
  [ -z "$good" ] || passed=$((passed + 1))
done
[ -n "$found" ] || { echo "tests/run: no test's name contains $name"; exit 254; }
printf '%d of %d rounds of %s passed beside %d busy loops\n' "$passed" "$repeat" "$name" "$busy"
[ "$passed" = "$repeat" ]
