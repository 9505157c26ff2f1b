# What the tests need from Debian, and which parts must run.

left_out=()
require=${RASHOMON_REQUIRE:-}
want() { case ",$require," in *",$1,"*) ;; *) require=${require:+$require,}$1 ;; esac; }

# What each package is for:
#   gcc, make, perl, pkg-config, libssl-dev: C and OpenSSL for SSH; openssh-*, iproute2, nftables, iptables, procps: the lab's hosts;
#   sudo: users of those hosts who are not root; e2fsprogs: file systems that are hurt; etcd-server: the database of the end-to-end
#   tests; redis-server: one that loses what it has not synced; clojure: reads the EDN that is written, with its own reader;
#   default-jdk-headless, strace: a program whose clock is changed, and one that traces another; python3: the oracle that shares
#   nothing with the checker.
packages=(gcc make perl pkg-config libssl-dev openssh-server openssh-client iproute2 nftables iptables procps sudo e2fsprogs
  etcd-server redis-server clojure default-jdk-headless strace python3)

install_missing() {
  local missing=() p
  for p in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  echo "Installing ${missing[*]}"
  # The packages' services must not start: the tests start their own, in their own network namespaces.
  local policy=/usr/sbin/policy-rc.d ours=
  if [ ! -e $policy ]; then printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; ours=1; fi
  local status=0
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null; } || status=$?
  [ -z "$ours" ] || rm -f $policy
  return $status
}

install_packages() {
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    install_missing
    want lab
    want etcd
    want redis
    want clojure
    [ "$(uname -m)" != x86_64 ] || want clock
  else
    left_out+=("lab, etcd over SSH: they need root on Debian (or etcd, sshd, iproute2 and nftables installed, and root)")
    command -v clojure >/dev/null || left_out+=("EDN read by Clojure: the command clojure is not installed")
    for tool in java strace; do command -v $tool >/dev/null || left_out+=("a test of changed clocks: the command $tool is not installed"); done
  fi
  left_out+=("the clock of a node: it needs a kernel of its own, which tests/vm/run boots")
  if [ -n "${RASHOMON_CORPUS:-}" ]; then
    want corpus
  else
    left_out+=("recorded histories: RASHOMON_CORPUS names no folder")
  fi
  export RASHOMON_REQUIRE=$require
  # The system's OpenSSL where it can be built with: to compile it takes longer than to compile all else.
  if command -v pkg-config >/dev/null && pkg-config --exists openssl; then export OPENSSL_NO_VENDOR=1; fi
}
