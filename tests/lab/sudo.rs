//! Users who are not root, and become it by sudo: without a password, with one, and not at all.

use super::bed::*;
use super::support::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const PASSWORD: &str = "correct horse battery";

/// A user `ann` on every host, with the lab's key; what is in her file for sudo.
fn with_ann(bed: &Bed, sudoers: &str) {
    let key = fs::read_to_string(bed.lab.own_folder().join("key.pub")).unwrap();
    let script = format!(
        "id ann >/dev/null 2>&1 || useradd -m -s /bin/sh ann; echo 'ann:{PASSWORD}' | chpasswd; \
         mkdir -p /home/ann/.ssh && echo '{}' > /home/ann/.ssh/authorized_keys && chown -R ann /home/ann/.ssh && chmod 700 /home/ann/.ssh; \
         echo '{sudoers}' > /etc/sudoers.d/ann && chmod 440 /etc/sudoers.d/ann",
        key.trim()
    );
    for host in bed.each_host() {
        bed.lab.ssh(&host, &script);
    }
}

/// `rashomon COMMAND` as ann, inside the lab's network.
fn as_ann(bed: &Bed, command: &[&str], more: &[&str]) -> Command {
    let own = |name: &str| bed.lab.own_folder().join(name).to_string_lossy().into_owned();
    let (key, known_hosts, nodes) = (own("key"), own("known_hosts"), bed.addresses());
    let login = ["--nodes", &nodes, "--user", "ann", "--key", &key, "--known-hosts", &known_hosts];
    bed.lab.command("exec", &[&["--", RASHOMON], command, &login, more].concat())
}

fn test(bed: &Bed, more: &[&str]) -> Output {
    let store = bed.store.path().to_string_lossy().into_owned();
    // Shorter than an election: who is asked answers most of the time.
    let times = ["--nemesis-down", "300ms", "--nemesis-up", "1s", "--time-limit", "6s"];
    let args = [&["--store", &store, "--nemesis", "partition,pause"][..], &times].concat();
    finish(as_ann(bed, &["test", "etcd"], &[&args, more].concat()), RUN_PATIENCE)
}

#[test]
fn a_user_becomes_root_by_sudo_and_no_password_is_written_anywhere() {
    let Some(bed) = Bed::new(3) else { return };
    // A test that cannot run says so; as root on Debian `tests/run` has installed it.
    if !Path::new("/usr/bin/sudo").exists() {
        assert!(!is_required("lab"), "sudo is not installed, and RASHOMON_REQUIRE asks for the lab");
        report("NOT RUN: sudo: it is not installed");
        return;
    }
    // Only what the documentation says, and nothing else, is allowed.
    with_ann(&bed, "ann ALL=(root) NOPASSWD: /home/ann/.rashomon/bin/rashomon-*");
    let output = test(&bed, &[]);
    bed.assert_valid(&output);
    assert!(observed(&bed.results(), "partition") > 0 && text(&output).contains("3 nodes as before"), "{}", text(&output));
    bed.assert_clean();

    // With a password: refused without it, by name, and with a wrong one.
    with_ann(&bed, "ann ALL=(root) ALL");
    let output = test(&bed, &["--sudo"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(255), "{said}");
    assert!(
        said.contains("ann cannot become root")
            && said.contains("--sudo-password-file")
            && said.contains("NOPASSWD: /home/ann/.rashomon/bin/rashomon-*"),
        "{said}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let path = file.to_string_lossy().into_owned();
    let write = |text: &str, mode: u32| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    write(PASSWORD, 0o644);
    let output = test(&bed, &["--sudo-password-file", &path]);
    assert!(output.status.code() == Some(254) && text(&output).contains("chmod 600"), "{}", text(&output));
    write("wrong\n", 0o600);
    let output = test(&bed, &["--sudo-password-file", &path]);
    assert!(output.status.code() == Some(255) && text(&output).contains("does not help"), "{}", text(&output));
    write(&format!("{PASSWORD}\n"), 0o600);
    let output = test(&bed, &["--sudo-password-file", &path]);
    bed.assert_valid(&output);
    assert!(observed(&bed.results(), "partition") > 0, "{}", text(&output));
    assert!(!text(&output).contains(PASSWORD));
    for entry in fs::read_dir(bed.run_folder()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        assert!(!String::from_utf8_lossy(&fs::read(&entry).unwrap()).contains(PASSWORD), "in {}", entry.display());
    }
    let run = bed.run_folder().to_string_lossy().into_owned();
    let output = finish(bed.lab.command("exec", &["--", RASHOMON, "verify-clean", &run]), PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    bed.assert_clean();

    // Not root, and no way to become it: said before anything is hurt.
    // Twice: the first one has left nothing that it could not undo.
    for _ in 0..2 {
        let output = finish(as_ann(&bed, &["doctor"], &["--sudo=never"]), PATIENCE);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("as ann, not root") && said.contains("NOPASSWD") && said.contains("NET_ADMIN is missing"), "{said}");
        for host in bed.each_host() {
            assert_eq!(bed.lab.ssh(&host, "cat /home/ann/.rashomon/journal").trim(), "", "{host}");
        }
    }
}
