# The programs of tests that cargo builds: each is run by its name, its tests are timed, and none is forgotten.

# How many labs there are at a time. They wait for most of their time, and share two cores well.
LABS=${RASHOMON_LABS:-5}

# More than any of them takes on a machine four times as slow.
PATIENCE_S=3600

declare -A program folder
failed=()

# Builds all, and notes where each is: a name is that of a package's program of tests, or NAME-lib for the tests in its sources.
build_tests() {
  cargo test --workspace --locked --no-run 2>&1 | tee "$work/build"
  local path name
  while read -r path; do
    name=${path##*/} name=${name%-*}
    case $name in
      rashomon_*) name=${name#rashomon_}; folder[$name-lib]=$name; name=$name-lib ;;
      tests) folder[$name]=. ;;
      memory) folder[$name]=checker ;;
      own_kernel) folder[$name]=nemesis ;;
      report) folder[$name]=harness ;;
      *) folder[$name]=$name ;;
    esac
    case $path in /*) program[$name]=$path ;; *) program[$name]=$PWD/$path ;; esac
  done < <(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$work/build")
  [ ${#program[@]} -ge 10 ] || { echo "tests/run: cargo names ${#program[@]} programs of tests only"; return 1; }
}

# The arguments that make a program say how long each test took: stable compilers have that only where it is asked for twice.
timed() {
  local name=$1
  shift
  if [ "$name" = own_kernel ]; then "${program[$name]}" "$@"; return; fi
  RUSTC_BOOTSTRAP=1 timeout $PATIENCE_S "${program[$name]}" "$@" -Z unstable-options --report-time
}

# Runs a program of tests, all of it or what the arguments select; a failure is remembered.
run_tests() {
  local name=$1 since=$SECONDS status=0
  shift
  [ -n "${program[$name]:-}" ] || { echo "tests/run: cargo has built no tests $name"; failed+=("$name"); return 0; }
  : >"$work/ran-$name"
  printf '\n-- %s %s\n' "$name" "$*"
  (cd "${folder[$name]}" && timed "$name" "$@") 2>&1 | tee -a "$work/times" || status=$?
  printf -- '-- %s %s: %d s\n' "$name" "$*" $((SECONDS - since))
  [ $status = 0 ] || { failed+=("$name $*"); : >"$work/failed-$name"; }
}

# Runs a function as a part of its own.
part() {
  local since=$SECONDS status=0
  printf '\n-- %s\n' "$1"
  "$1" || status=$?
  printf -- '-- %s: %d s\n' "$1" $((SECONDS - since))
  [ $status = 0 ] || { failed+=("$1"); : >"$work/failed-$1"; }
}

declare -A background
# Reads commands from standard input and runs them with what nobody else wants of the processors, in a session of their own: where
# the kernel shares time between sessions first, being nice counts within one only.
in_background() {
  local commands
  commands=$(cat)
  export -f run_tests part timed
  {
    declare -p program folder
    printf 'set -uo pipefail; failed=(); work=%q PATIENCE_S=%q\n' "$work" "$PATIENCE_S"
    printf '{ echo 19 >/proc/self/autogroup; } 2>/dev/null; renice -n 19 -p $$ >/dev/null\n%s\n' "$commands"
  } >"$work/$1.sh"
  setsid bash "$work/$1.sh" >"$work/$1.log" 2>&1 </dev/null &
  background[$1]=$!
}

# Waits for it, with all of the processors from now on, and shows what it printed.
await_background() {
  { echo 0 >"/proc/${background[$1]}/autogroup"; } 2>/dev/null || true
  wait "${background[$1]}" || failed+=("$1")
  unset "background[$1]"
  cat "$work/$1.log"
}

# At the end, also where that is early: nothing goes on.
end_background() {
  local pid
  for pid in ${background[@]+"${background[@]}"}; do kill -- "-$pid" 2>/dev/null || true; done
}

every_program_ran() {
  local name
  for name in "${!program[@]}"; do
    [ -e "$work/ran-$name" ] || { echo "tests/run: nothing runs the tests $name"; failed+=("$name"); }
  done
}

slowest() {
  sed -n 's/^test \(.*\) \.\.\. .* <\([0-9.]*\)s>$/\2 \1/p' "$work/times" | sort -rn | sed -n "1,${1}p" | sed 's/^\([0-9.]*\) /\1 s  /'
}

# Ends with an error if anything has failed.
conclude() {
  local f
  for f in "$work"/failed-*; do [ -e "$f" ] && failed+=("${f##*/failed-}"); done
  [ ${#failed[@]} = 0 ] && return 0
  printf 'FAILED: %s\n' "${failed[@]}" | sort -u
  exit 1
}
