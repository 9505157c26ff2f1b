//! Making hosts, using them, and removing every trace of them.

use super::support::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn up_and_down_leave_nothing() {
    let Some(lab) = TestLab::new() else { return };
    let before = Machine::now();
    lab.up(3);
    let namespaces = lab.namespaces();
    assert_eq!(lab.keepers().len(), 4, "a control process and three hosts");
    assert_eq!(namespaces.len(), 1 + 3 * 4, "the control namespace, and four kinds for each host");
    assert_eq!(Machine::now(), before, "a lab that is up shows on the machine itself");

    // Things that hosts do, and that would stay if a host were not taken away as a whole.
    lab.ssh(
        "n1",
        "setsid sleep 1000 </dev/null >/dev/null 2>&1 & nft add table inet left; mount -t tmpfs none /mnt; echo n1 > /var/lib/left",
    );
    lab.ssh("n2", "ip link add dummy0 type dummy; echo n2 > /etc/left; echo n2 > /home/left");
    lab.run("down", &[]);
    assert_eq!(namespaces.inhabitants(), Vec::<i32>::new());
    assert!(!lab.folder.exists());
    for left in ["/var/lib/left", "/etc/left", "/home/left"] {
        assert!(!Path::new(left).exists(), "{left} was written to the machine");
    }
    assert_eq!(Machine::now(), before);
    assert!(lab.run("down", &[]).contains("there is no lab"), "again: no harm");
}

#[test]
fn hosts_are_ordinary_machines_to_ssh() {
    let Some(lab) = TestLab::new() else { return };
    lab.up(3);
    for host in ["n1", "n2", "n3"] {
        assert_eq!(lab.ssh(host, "hostname; id -un; pwd"), format!("{host}\nroot\n/root\n"));
    }
    let me = lab.ssh("n2", "getent hosts n1 n2 n3; ls -A /run/sshd /tmp /dev/shm; cat /proc/1/comm; cat /etc/hostname");
    let address = |host: u8| format!("{}.{host}", lab.subnet);
    for host in 1..=3 {
        assert!(me.contains(&address(host)), "{me}");
    }
    assert!(me.ends_with("n2\n"), "{me}");
    // Its own interfaces, in the kernel's files too; and the control groups are still there.
    let shown = lab.ssh("n2", "ls /sys/class/net | sort; cat /sys/class/net/eth0/address");
    let told = lab.ssh(
        "n2",
        "ip -o link | cut -d : -f 2 | cut -d @ -f 1 | tr -d ' ' | sort; ip -o link show eth0 | grep -o 'ether [0-9a-f:]*' | cut -c 7-",
    );
    assert_eq!(shown, told);
    let groups = lab.ssh("n2", "ls -A /sys/fs/cgroup | head -n 1");
    assert_eq!(groups.trim().is_empty(), fs::read_dir("/sys/fs/cgroup").unwrap().next().is_none(), "{groups}");
    // From one host to another, and from the control namespace, by name.
    let greeting = "exec 3<>/dev/tcp/n3/22; head -c 4 <&3";
    assert_eq!(lab.ssh("n1", greeting), "SSH-");
    assert_eq!(lab.run("exec", &["--", "bash", "-c", greeting]), "SSH-");
    // The host keys are the hosts' own, and they are told apart.
    let known = fs::read_to_string(lab.own_folder().join("known_hosts")).unwrap();
    let keys: BTreeSet<&str> = known.lines().map(|line| line.rsplit_once(' ').unwrap().1).collect();
    assert_eq!(keys.len(), 3, "{known}");
    assert_eq!(fs::metadata(lab.own_folder().join("key")).map(|m| std::os::unix::fs::MetadataExt::mode(&m) & 0o777).unwrap(), 0o600);
    // The exit code is the command's.
    assert_eq!(finish(lab.command("ssh", &["n1", "exit", "7"]), PATIENCE).status.code(), Some(7));
    assert_eq!(finish(lab.command("exec", &["--", "sh", "-c", "exit 8"]), PATIENCE).status.code(), Some(8));
}

#[test]
fn a_host_cannot_hurt_the_machine_by_mistake() {
    let Some(lab) = TestLab::new() else { return };
    lab.up(1);
    let status = lab.ssh("n1", "grep ^CapBnd /proc/self/status; grep ^CapEff /proc/self/status");
    for line in status.lines() {
        let set = u64::from_str_radix(line.split_ascii_whitespace().nth(1).unwrap(), 16).unwrap();
        assert_eq!(set & ((1 << 25) | (1 << 22)), 0, "SYS_TIME or SYS_BOOT in {line}");
        assert_ne!(set & (1 << 12), 0, "NET_ADMIN is needed for firewalls: {line}");
    }
    // Set to what it is: no harm even where this goes wrong.
    for forbidden in ["date -s @$(date +%s)", "touch /usr/touched", "sysctl -qw vm.swappiness=60", "echo 60 > /proc/sys/vm/swappiness"] {
        let output = finish(lab.command("ssh", &["n1", forbidden]), PATIENCE);
        assert!(!output.status.success(), "{forbidden}: {}", text(&output));
    }
    lab.ssh("n1", "sysctl -qw net.ipv4.ip_forward=0");
    assert_eq!(
        lab.ssh("n1", &format!("ls -A {0} 2>/dev/null | wc -l", lab.folder.display())).trim(),
        "0",
        "a host reaches its own strings"
    );
}

#[test]
fn no_packet_can_leave_the_machine() {
    let Some(lab) = TestLab::new() else { return };
    lab.up(2);
    let nowhere = "ip route get 192.0.2.1 || echo none; ip -6 route get 2001:db8::1 || echo none; ip route show default";
    for output in [lab.ssh("n1", nowhere), lab.run("exec", &["--", "sh", "-c", nowhere])] {
        assert_eq!(output, "none\nnone\n");
    }
    let links = lab.run("exec", &["--", "ip", "-br", "link"]);
    let mut names: Vec<&str> = links.lines().filter_map(|line| line.split([' ', '@']).next()).collect();
    names.sort_unstable();
    assert!(names.len() == 4 && names[0].starts_with("lab") && names[1..] == ["lo", "n1", "n2"], "{links}");
}

#[test]
fn up_again_starts_what_is_missing() {
    let Some(lab) = TestLab::new() else { return };
    lab.up(2);
    let (keepers, key) = (lab.keepers(), fs::read(lab.own_folder().join("key")).unwrap());
    assert!(lab.up(2).contains("run already"));
    assert_eq!(lab.keepers(), keepers);

    lab.run("crash", &["n2"]);
    assert!(lab.up(2).starts_with("n2 started"));
    assert!(lab.run("up", &["3"]).starts_with("n3 started"), "the subnet need not be said again");
    assert_eq!(fs::read(lab.own_folder().join("key")).unwrap(), key);
    for host in ["n1", "n2", "n3"] {
        assert!(lab.ssh(host, "getent hosts n3").contains(&format!("{}.3", lab.subnet)), "{host} does not know the new host");
    }
    assert_eq!(lab.ssh("n3", "exec 3<>/dev/tcp/n1/22; head -c 4 <&3"), "SSH-");

    let said = fail(lab.command("up", &["2"]), 255);
    assert!(said.contains("is up with 3 hosts, not 2") && said.contains(&format!("lab down --name {}", lab.name)), "{said}");
    let said = fail(lab.command("up", &["3", "--subnet", "10.94.200"]), 255);
    assert!(said.contains(&format!("{}.0/24", lab.subnet)) && said.contains("10.94.200.0/24"), "{said}");
    assert_eq!(lab.keepers().len(), 4, "what was refused changed something");
}

#[test]
fn a_crash_kills_at_once_and_a_boot_finds_the_disk() {
    let Some(lab) = TestLab::new() else { return };
    lab.up(2);
    let start = "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! > /run/pid; echo kept > /var/lib/kept; echo kept > /etc/kept; \
                 echo kept > /root/kept; echo gone > /run/gone; echo gone > /tmp/gone; echo gone > /dev/shm/gone";
    for host in ["n1", "n2"] {
        lab.ssh(host, start);
    }
    let before = lab.namespaces();
    let said = lab.run("crash", &["n1"]);
    assert!(said.contains("its disk stays"), "{said}");
    let (status, code) = {
        let output = finish(lab.command("status", &[]), PATIENCE);
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
    };
    assert_eq!(code, Some(1), "not every host runs");
    assert!(status.lines().any(|line| line.contains("n1") && line.contains("crashed")), "{status}");
    assert!(status.lines().any(|line| line.contains("n2") && line.contains("runs") && line.contains("3 processes")), "{status}");
    assert!(!finish(lab.command("ssh", &["n1", "true"]), PATIENCE).status.success());
    lab.run("crash", &["n1"]);

    lab.run("boot", &["n1"]);
    lab.run("boot", &["n1"]);
    assert_eq!(
        lab.ssh("n1", "cat /var/lib/kept /etc/kept /root/kept; ls /run/gone /tmp/gone /dev/shm/gone 2>/dev/null; true"),
        "kept\nkept\nkept\n"
    );
    assert_eq!(lab.ssh("n1", "ps -eo comm= | grep -c sleep; true").trim(), "0");
    assert_eq!(lab.ssh("n2", "kill -0 $(cat /run/pid) && cat /run/gone"), "gone\n", "the other host was hurt");
    assert_eq!(lab.ssh("n2", "exec 3<>/dev/tcp/n1/22; head -c 4 <&3"), "SSH-", "neighbours lost the host that was booted");
    assert!(lab.namespaces().count_new(&before) == 4, "the host has its old namespaces");
    assert_eq!(finish(lab.command("status", &[]), PATIENCE).status.code(), Some(0));
}

#[test]
fn sshd_comes_back_and_orphans_are_reaped() {
    let Some(lab) = TestLab::new() else { return };
    lab.up(1);
    lab.ssh("n1", "(setsid sh -c 'sleep 0.01; exit 0' </dev/null >/dev/null 2>&1 &)");
    // All of the host's processes but the first, this shell included: how that command ends means nothing.
    finish(lab.command("ssh", &["n1", "kill -9 -1"]), PATIENCE);
    eventually("sshd answers again", Duration::from_secs(20), || finish(lab.command("ssh", &["n1", "true"]), PATIENCE).status.success());
    assert_eq!(lab.ssh("n1", "ps -eo stat= | grep -c ^Z; true").trim(), "0", "zombies");
}

#[test]
fn two_labs_do_not_meet_even_on_the_same_addresses() {
    let Some(lab) = TestLab::new() else { return };
    let other = |command: &str, args: &[&str]| {
        let mut all = vec!["lab", command, "--name", "other"];
        all.extend(args);
        succeed(lab.rashomon(&all))
    };
    lab.up(2);
    other("up", &["1", "--subnet", &lab.subnet]);
    lab.ssh("n1", "echo first > /tmp/which");
    other("ssh", &["n1", "echo second > /tmp/which"]);
    assert_eq!((lab.ssh("n1", "cat /tmp/which"), other("ssh", &["n1", "cat /tmp/which"])), ("first\n".into(), "second\n".into()));
    let status = succeed(lab.rashomon(&["lab", "status"]));
    assert!(status.contains("other  up") && status.contains(&format!("{}  up", lab.name)), "{status}");
    other("down", &[]);
    assert_eq!(lab.ssh("n1", "cat /tmp/which"), "first\n");
    assert!(lab.own_folder().exists() && !lab.folder.join("other").exists());
}

#[test]
fn what_runs_inside_ends_with_the_lab() {
    let Some(lab) = TestLab::new() else { return };
    lab.up(1);
    let namespaces = lab.namespaces();
    let mut gentle = Background::start(lab.command("exec", &["--", "sleep", "1000"]));
    let mut deaf = Background::start(lab.command("exec", &["--", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]));
    for guest in [&gentle, &deaf] {
        eventually("it is inside", PATIENCE, || namespaces.inhabitants().contains(&guest.pid()));
    }
    let said = fail(lab.command("exec", &["--", RASHOMON, "lab", "down", "--name", &lab.name]), 255);
    assert!(said.contains("inside the lab"), "{said}");

    lab.run("down", &[]);
    assert!(gentle.0.try_wait().unwrap().is_some() && deaf.0.try_wait().unwrap().is_some());
    assert_eq!(namespaces.inhabitants(), Vec::<i32>::new());
}

#[test]
fn a_lab_dies_with_its_control_process() {
    let Some(lab) = TestLab::new() else { return };
    lab.up(2);
    let (namespaces, keepers) = (lab.namespaces(), lab.keepers());
    // This one stays in the lab's network: down must find it by the network alone.
    let guest = Background::start(lab.command("exec", &["--", "sleep", "1000"]));
    eventually("it is inside", PATIENCE, || namespaces.inhabitants().contains(&guest.pid()));
    signal(lab.control(), "KILL");
    eventually("the hosts are dead", Duration::from_secs(10), || !keepers.iter().any(|&pid| runs(pid)));
    assert!(runs(guest.pid()));

    let output = finish(lab.command("status", &[]), PATIENCE);
    assert!(output.status.code() == Some(1) && text(&output).contains("dead"), "{}", text(&output));
    for refused in [lab.command("ssh", &["n1", "true"]), lab.command("exec", &["--", "true"]), lab.command("boot", &["n1"])] {
        let said = fail(refused, 255);
        assert!(said.contains("has died") && said.contains("lab up"), "{said}");
    }
    assert!(lab.up(1).contains("1 host up"), "it is made anew, as asked for now");
    assert!(!runs(guest.pid()), "what was left of the old lab is still there");
    assert_eq!(namespaces.inhabitants(), Vec::<i32>::new());
    lab.ssh("n1", "true");

    // And a lab whose folder vanishes ends by itself.
    let keepers = lab.keepers();
    fs::remove_dir_all(lab.own_folder()).unwrap();
    eventually("its processes have ended", Duration::from_secs(10), || !keepers.iter().any(|&pid| runs(pid)));
    lab.run("down", &[]);
    assert!(!lab.folder.exists());
}

#[test]
fn killed_at_any_moment_nothing_is_left_that_down_does_not_remove() {
    let Some(lab) = TestLab::new() else { return };
    let before = Machine::now();
    let started = Instant::now();
    lab.up(3);
    let whole = started.elapsed();
    lab.run("down", &[]);
    let rounds = times(20);
    for round in 0..rounds {
        let mut up = Background::start(lab.command("up", &["3", "--subnet", &lab.subnet]));
        std::thread::sleep(whole * round / rounds);
        up.0.kill().unwrap();
        up.0.wait().unwrap();
        let (namespaces, keepers) = (lab.namespaces(), lab.keepers());
        if round % 2 == 1 {
            let mut down = Background::start(lab.command("down", &[]));
            std::thread::sleep(whole * round / rounds / 4);
            down.0.kill().unwrap();
            down.0.wait().unwrap();
        }
        lab.run("down", &[]);
        assert!(!lab.folder.exists(), "round {round}: files are left");
        // A process that knew of no lab yet may take a moment to notice that nobody waits for it, and a program by which the
        // network was being made, to end.
        eventually("no process is left", Duration::from_secs(5), || {
            lab.keepers().is_empty() && !keepers.iter().any(|&pid| runs(pid)) && namespaces.inhabitants().is_empty()
        });
        assert!(!lab.folder.exists(), "round {round}: a dying process wrote files");
    }
    assert_eq!(Machine::now(), before);
    lab.up(1);
}

#[test]
fn commands_at_the_same_time_take_turns() {
    let Some(lab) = TestLab::new() else { return };
    let ups: Vec<_> = (0..4).map(|_| lab.command("up", &["2", "--subnet", &lab.subnet])).collect();
    let outputs: Vec<_> = ups.into_iter().map(|up| std::thread::spawn(move || finish(up, PATIENCE))).collect();
    let outputs: Vec<_> = outputs.into_iter().map(|thread| thread.join().unwrap()).collect();
    for output in &outputs {
        assert!(output.status.success(), "{}", text(output));
    }
    let makers = outputs.iter().filter(|output| text(output).contains("2 hosts up in")).count();
    assert_eq!(makers, 1, "one makes the lab, the others find it");
    assert_eq!(lab.keepers().len(), 3);
}

#[test]
fn up_works_where_ci_runs_it_and_lets_go_of_everything() {
    let Some(lab) = TestLab::new() else { return };
    // Standard streams closed, nothing in the environment, and a pipe as the third file that nobody means to hand on: the one who
    // reads from it waits until all have let go.
    let script = "exec 3>&1; \"$0\" lab up 1 --name \"$1\" --subnet \"$2\" <&- >&- 2>&-; echo $?";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, RASHOMON, &lab.name, &lab.subnet]).env_clear().env("RASHOMON_LAB_DIR", &lab.folder).stdin(Stdio::null());
    assert_eq!(succeed(command), "0\n");
    assert_eq!(lab.ssh("n1", "tty; env | grep -c RASHOMON; true").trim(), "not a tty\n0");
    assert_eq!(fs::read_link(format!("/proc/{}/cwd", lab.control())).unwrap(), Path::new("/"), "it keeps a folder from being unmounted");
}

#[test]
fn disks_are_in_memory_where_the_folder_is() {
    let Some(lab) = TestLab::new() else { return };
    // The mounts are made in a mount namespace of their own and vanish with it. Small and without programs, as /run is on Debian.
    let script = "set -e; mount -t tmpfs -o size=8m,noexec,nosuid,nodev none /mnt; export RASHOMON_LAB_DIR=/mnt/lab; \"$0\" lab up 2 --subnet \"$1\"; \
        \"$0\" lab ssh n1 'dd if=/dev/zero of=/var/lib/big bs=1M count=32 status=none; cp /bin/true /root/true; /root/true; cp /bin/true /var/lib/true; /var/lib/true; sync'; \
        \"$0\" lab crash n1; \"$0\" lab boot n1; \"$0\" lab ssh n1 stat -c %s /var/lib/big; \"$0\" lab down; test ! -e /mnt/lab";
    let said = succeed(with_args(bare("unshare"), &["--mount", "--propagation", "private", "sh", "-c", script, RASHOMON, &lab.subnet]));
    assert!(said.contains("\n33554432\n"), "{said}");
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let Some(lab) = TestLab::new() else { return };
    for (args, code, reason) in [
        (&["up", "--name", "No"] as &[&str], 254, "cannot name a lab"),
        (&["up", "--name", "../x"], 254, "cannot name a lab"),
        (&["up", "0"], 254, "1 to 200 hosts"),
        (&["up", "201"], 254, "1 to 200 hosts"),
        (&["up", "--subnet", "10.77"], 254, "not a subnet"),
        (&["up", "--subnet", "127.0.0"], 254, "not a subnet"),
        (&["ssh", "--name", "none", "n1"], 255, "`rashomon lab up` --name none"),
        (&["crash", "n1"], 255, "there is no lab \"default\""),
        (&["status", "--name", "none"], 255, "there is no lab \"none\""),
        (&["control", "/tmp"], 0, ""),
        (&["init", "/tmp", "n1"], 255, "only a lab's control process"),
    ] {
        let mut all = vec!["lab"];
        all.extend(args);
        let said = fail(lab.rashomon(&all), code);
        assert!(said.contains(reason), "{args:?}: {said}");
        assert!(!lab.folder.exists(), "{args:?} left something");
    }
    let elsewhere = |folder: &str| {
        let mut command = lab.rashomon(&["lab", "up"]);
        command.env("RASHOMON_LAB_DIR", folder);
        fail(command, 255)
    };
    assert!(elsewhere("/var/lib/lab").contains("hosts have their own /var"));
    assert!(elsewhere("relative").contains("absolute"));
    let shared = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(shared.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    assert!(elsewhere(&shared.path().to_string_lossy()).contains("others may write there"));

    lab.up(1);
    let said = fail(lab.command("crash", &["n2"]), 254);
    assert!(said.contains("no host \"n2\"") && said.contains("its hosts are n1"), "{said}");
    assert!(fail(lab.command("exec", &["--", "/no/such/program"]), 255).contains("cannot run /no/such/program"));
}

#[test]
fn without_root_it_says_so() {
    let Some(lab) = TestLab::new() else { return };
    // The program may lie where nobody else may look: it is handed over as an open file.
    for command in ["up", "status", "down"] {
        let args = ["--reuid=65534", "--regid=65534", "--clear-groups", "/proc/self/fd/0", "lab", command];
        let mut plain = with_args(bare("setpriv"), &args);
        plain.stdin(fs::File::open(RASHOMON).unwrap()).env("RASHOMON_LAB_DIR", &lab.folder);
        let said = fail(plain, 255);
        assert!(said.contains("a lab needs root") && said.contains("sudo") && said.contains("not supported yet"), "{said}");
    }
}

#[test]
fn a_host_that_cannot_come_up_leaves_nothing() {
    let Some(lab) = TestLab::new() else { return };
    // A machine whose sshd does not work: in a mount namespace of its own, so that the real one is not touched.
    let script = "mount --bind /bin/false /usr/sbin/sshd; exec \"$0\" lab up 1 --name \"$1\" --subnet \"$2\"";
    let mut command =
        with_args(bare("unshare"), &["--mount", "--propagation", "private", "sh", "-c", script, RASHOMON, &lab.name, &lab.subnet]);
    command.env("RASHOMON_LAB_DIR", &lab.folder);
    let said = fail(command, 255);
    assert!(said.contains("n1 did not come up") && said.contains("sshd does not answer"), "{said}");
    assert!(!lab.folder.exists() && lab.keepers().is_empty());
}
