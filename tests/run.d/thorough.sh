# What takes hours: part by part, each noted in tests/thorough.tsv as soon as it has passed, so that the next call goes on with the
# others. A part runs again when a file that it covers has changed since.

record=tests/thorough.tsv

# name | files that it covers | command | a pattern for the lines that say what was measured
parts() {
  local module round level
  local checker="Cargo.lock histories/src checker"
  local nodes="Cargo.lock histories/src checker/src nemesis/src workloads/src harness"
  for module in oracle objects deciders weaker sequential eventual replicated staleness generated; do
    echo "oracles-$module|$checker|many checker $module::|^test result"
  done
  echo "oracles-rules|$checker|many checker-lib ''|^test result"
  echo "oracles-histories|Cargo.lock histories|many histories-lib ''|^test result"
  echo "oracles-schemes|Cargo.lock histories/src checker/src workloads|many workloads-lib systems::demo::|^test result"
  for level in linearizable sequential sequential-per-key causal-memory causal-convergence causal pram read-your-writes \
    monotonic-reads monotonic-writes writes-follow-reads eventual; do
    echo "definitions-$level|$checker harness/src tests/oracle|definitions $level|histories of"
  done
  for round in 0 14 28 42 56 70 84 98; do
    echo "chaos-$round|$nodes tests/lab|chaos $round|^test result"
  done
  for module in etcd faults operators clean doctor sudo damage redis hosts; do
    echo "repeat-lab-$module|$nodes tests/lab|repeatedly 30 lab::$module|rounds of"
  done
  for module in agent demo schedule cli; do
    echo "repeat-$module|$nodes tests/$module.rs|repeatedly 30 $module::|rounds of"
  done
  echo "own-kernel|Cargo.lock nemesis tests/vm|own_kernel|tests passed"
}

definitions() { python3 tests/oracle/run.py --binary "${CARGO_TARGET_DIR:-target}/debug/rashomon" --per-pair 20000 --pairs " $1 "; }
many() { RASHOMON_TEST_SIZE=10 run_tests "$1" ${2:+"$2"}; }
chaos() { RASHOMON_TEST_FROM=$1 run_tests tests lab::chaos --nocapture; }
repeatedly() { tests/run --repeat "$1" "$2" --busy 2; }
own_kernel() {
  # What the virtual machine is made of.
  local p missing=()
  for p in qemu-system-x86 busybox-static cpio; do dpkg-query -W "$p" >/dev/null 2>&1 || missing+=("$p"); done
  [ ${#missing[@]} = 0 ] || DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null
  RASHOMON_VM_WITHIN=3000 tests/vm/run
}

# The state of some files: what git knows them by.
state_of() { git ls-files -s -- "$@" | sha256sum | cut -c 1-16; }

# Seconds in a duration such as 90s, 30m or 2h.
seconds() {
  case $1 in
    *h) echo $((${1%h} * 3600)) ;;
    *m) echo $((${1%m} * 60)) ;;
    *s) echo $((${1%s})) ;;
    *) echo "tests/run: $1 is no duration such as 30m" >&2; exit 254 ;;
  esac
}

until_s=
[ -z "$for" ] || until_s=$(($(seconds "$for") + SECONDS))
build_tests >/dev/null
[ -e $record ] || printf 'part\tcommit\tdate\tstate\tseconds\tfigure\n' >$record

passed=0 known=0 open=0
while IFS='|' read -r part covers command pattern; do
  case $part in *"$only"*) ;; *) continue ;; esac
  # shellcheck disable=SC2086
  state=$(state_of $covers)
  if awk -F '\t' -v part="$part" -v state="$state" '$1 == part && $4 == state { found = 1 } END { exit !found }' $record; then
    known=$((known + 1))
    continue
  fi
  if [ -n "$until_s" ] && [ "$SECONDS" -ge "$until_s" ]; then open=$((open + 1)); continue; fi
  step "$part"
  since=$SECONDS failures=${#failed[@]} status=0
  eval "$command" </dev/null >"$work/part" 2>&1 || status=$?
  if [ "$status" != 0 ] || [ "${#failed[@]}" != "$failures" ]; then
    cat "$work/part"
    [ "${#failed[@]}" != "$failures" ] || failed+=("$part")
    continue
  fi
  figure=$(grep -E "$pattern" "$work/part" | tail -1 | tr '\t' ' ')
  passed=$((passed + 1))
  # shellcheck disable=SC2086
  if ! git diff --quiet HEAD -- $covers; then
    echo "passed, and not noted: files that it covers are not committed ($figure)"
    continue
  fi
  { grep -v "^$part	" $record || true; printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$part" "$(git rev-parse --short HEAD)" "$(date -u +%F)" "$state" $((SECONDS - since)) "$figure"; } >"$work/record"
  mv "$work/record" $record
  echo "passed: $figure"
done < <(parts)

printf '\n%d parts passed now, %d had passed before, %d were not begun, %d failed\n' "$passed" "$known" "$open" "${#failed[@]}"
conclude
