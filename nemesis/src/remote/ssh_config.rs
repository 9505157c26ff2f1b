//! Reading `ssh_config`: the part of it that decides where and as whom to log in.
//!
//! As in OpenSSH, the first value found wins, `IdentityFile` collects, and `Include` is followed. `Match` blocks are skipped, except
//! `Match all`. What we cannot do (`ProxyJump`, `ProxyCommand`) is noted, so that it is refused and not ignored.

use std::fs;
use std::path::{Path, PathBuf};

/// How deep files may include each other.
const INCLUDES_MAX: usize = 8;

/// What the files say of one host. Paths are expanded but not looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostConfig {
    pub(super) host_name: Option<String>,
    pub(super) host_key_alias: Option<String>,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) identity_files: Vec<PathBuf>,
    pub(super) identities_only: Option<bool>,
    pub(super) identity_agent: Option<String>,
    pub(super) user_known_hosts: Option<Vec<PathBuf>>,
    pub(super) global_known_hosts: Option<Vec<PathBuf>>,
    pub(super) strict_host_key_checking: Option<String>,
    pub(super) connect_timeout_s: Option<u64>,
    /// `ProxyJump` or `ProxyCommand` as written, unless `none`.
    pub(super) proxy: Option<String>,
}

impl HostConfig {
    /// Adds what a file says of a host to what earlier files said. Errors name file and line.
    pub(super) fn read(&mut self, file: &Path, host: &str, home: &Path) -> Result<(), String> {
        let mut reader = Reader { host, home, found: self };
        reader.read_file(file, true, 0)
    }
}

struct Reader<'a> {
    host: &'a str,
    home: &'a Path,
    found: &'a mut HostConfig,
}

impl Reader<'_> {
    fn read_file(&mut self, file: &Path, applies: bool, depth: usize) -> Result<(), String> {
        let text = fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
        let mut applies = applies;
        let outer = applies;
        for (number, line) in (1..).zip(String::from_utf8_lossy(&text).lines()) {
            let fail = |why: String| format!("{}, line {number}: {why}", file.display());
            let words = split(line).map_err(fail)?;
            let Some((keyword, values)) = words.split_first() else { continue };
            if values.is_empty() {
                return Err(fail(format!("{keyword} has no value")));
            }
            match keyword.to_ascii_lowercase().as_str() {
                "host" => applies = outer && matches_host(values, self.host),
                "match" => applies = outer && values.len() == 1 && values[0].eq_ignore_ascii_case("all"),
                "include" if applies => {
                    if depth == INCLUDES_MAX {
                        return Err(fail(format!("files include each other more than {INCLUDES_MAX} deep")));
                    }
                    let files: Vec<PathBuf> = values.iter().flat_map(|pattern| self.included(pattern)).collect();
                    for included in files {
                        self.read_file(&included, true, depth + 1)?;
                    }
                }
                keyword if applies => self.note(keyword, values).map_err(fail)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn note(&mut self, keyword: &str, values: &[String]) -> Result<(), String> {
        let value = values[0].as_str();
        let paths = || values.iter().map(|value| self.path(value)).collect::<Vec<_>>();
        let number = || value.parse::<u64>().map_err(|_| format!("{keyword} needs a number, not {value:?}"));
        match keyword {
            "hostname" => set(&mut self.found.host_name, || Ok(value.replace("%h", self.host).replace("%%", "%")))?,
            "hostkeyalias" => set(&mut self.found.host_key_alias, || Ok(value.into()))?,
            "user" => set(&mut self.found.user, || Ok(value.into()))?,
            "port" => set(&mut self.found.port, || number()?.try_into().map_err(|_| format!("{value} is no port")))?,
            "identityfile" => {
                let path = self.path(value);
                if !self.found.identity_files.contains(&path) {
                    self.found.identity_files.push(path);
                }
            }
            "identitiesonly" => set(&mut self.found.identities_only, || Ok(value.eq_ignore_ascii_case("yes")))?,
            "identityagent" => {
                let agent = self.path(value).display().to_string();
                set(&mut self.found.identity_agent, || Ok(if value.eq_ignore_ascii_case("none") { value.to_lowercase() } else { agent }))?;
            }
            "userknownhostsfile" => {
                let paths = paths();
                set(&mut self.found.user_known_hosts, || Ok(paths))?;
            }
            "globalknownhostsfile" => {
                let paths = paths();
                set(&mut self.found.global_known_hosts, || Ok(paths))?;
            }
            "stricthostkeychecking" => set(&mut self.found.strict_host_key_checking, || Ok(value.to_lowercase()))?,
            "connecttimeout" => set(&mut self.found.connect_timeout_s, number)?,
            "proxyjump" | "proxycommand" => set(&mut self.found.proxy, || Ok(values.join(" ")))?,
            _ => {}
        }
        Ok(())
    }

    /// A path with `~` and the tokens that paths use most.
    fn path(&self, value: &str) -> PathBuf {
        let home = self.home.display().to_string();
        let text = value.replace("%d", &home).replace("%h", self.host).replace("%n", self.host).replace("%%", "%");
        match text.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => PathBuf::from(text),
        }
    }

    /// The files that an `Include` means, in order of their names; relative ones lie in `~/.ssh`. Only the last part of a path may
    /// have wildcards.
    fn included(&self, pattern: &str) -> Vec<PathBuf> {
        let path = self.home.join(".ssh").join(self.path(pattern));
        let (Some(dir), Some(name)) = (path.parent(), path.file_name().map(|name| name.to_string_lossy().to_string())) else {
            return Vec::new();
        };
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> =
            entries.filter(|entry| glob(&name, &entry.file_name().to_string_lossy())).map(|entry| entry.path()).collect();
        files.sort();
        files
    }
}

/// The first value found wins.
fn set<T>(place: &mut Option<T>, value: impl FnOnce() -> Result<T, String>) -> Result<(), String> {
    if place.is_none() {
        *place = Some(value()?);
    }
    Ok(())
}

/// A host matches if one pattern does and none that starts with `!` does.
fn matches_host(patterns: &[String], host: &str) -> bool {
    let forbidden = patterns.iter().filter_map(|p| p.strip_prefix('!')).any(|p| glob(p, host));
    !forbidden && patterns.iter().any(|p| !p.starts_with('!') && glob(p, host))
}

/// `*` stands for any text, `?` for one character.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Where to go on if the text after the last star does not fit: one character later.
    let (mut p, mut t, mut retry) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    retry = Some((after_star, from + 1));
                    (p, t) = (after_star, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// The words of a line: `Keyword value ...` or `Keyword=value`, values in double quotes if they hold blanks; nothing for comments.
fn split(line: &str) -> Result<Vec<String>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(Vec::new());
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let mut words = vec![line[..end].to_string()];
    let rest = line[end..].trim_start();
    let mut rest = rest.strip_prefix('=').unwrap_or(rest).trim();
    while !rest.is_empty() {
        if rest.starts_with('#') {
            break;
        }
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a quote is never closed")?,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_string());
        rest = after.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, host: &str) -> Result<HostConfig, String> {
        let home = tempfile::tempdir().unwrap();
        read_in(home.path(), text, host)
    }

    fn read_in(home: &Path, text: &str, host: &str) -> Result<HostConfig, String> {
        let file = home.join("config");
        fs::write(&file, text).unwrap();
        let mut config = HostConfig::default();
        config.read(&file, host, home).map(|()| config)
    }

    const CONFIG: &str = r#"
# a comment
User nobody-yet
Host *.example.org !bad.example.org
    HostName=%h.internal
    Port 2222
    IdentityFile ~/.ssh/first
    identityfile "/keys/with a blank"   # and why
Host n? 10.77.0.*
  User root
  UserKnownHostsFile /lab/known /lab/more
  StrictHostKeyChecking Yes
  ProxyJump none
Match host n1
  Port 1
Match all
  ConnectTimeout 7
Host *
  Port 22
  IdentitiesOnly yes
  IdentityFile /keys/last
  ProxyCommand nc %h %p
"#;

    #[test]
    fn the_first_value_wins_and_identities_collect() {
        let home = tempfile::tempdir().unwrap();
        let config = read_in(home.path(), CONFIG, "db.example.org").unwrap();
        assert_eq!(config.user.as_deref(), Some("nobody-yet"));
        assert_eq!(config.host_name.as_deref(), Some("db.example.org.internal"));
        assert_eq!(config.port, Some(2222));
        assert_eq!(config.identity_files, [home.path().join(".ssh/first"), "/keys/with a blank".into(), "/keys/last".into()]);
        assert_eq!(config.identities_only, Some(true));
        assert_eq!(config.connect_timeout_s, Some(7));
        assert_eq!(config.proxy.as_deref(), Some("nc %h %p"));
    }

    #[test]
    fn patterns_and_negation_choose_the_host() {
        let config = read(CONFIG, "bad.example.org").unwrap();
        assert_eq!((config.host_name, config.port), (None, Some(22)));
        for host in ["n1", "10.77.0.5"] {
            let config = read(CONFIG, host).unwrap();
            assert_eq!(config.user_known_hosts, Some(vec!["/lab/known".into(), "/lab/more".into()]), "{host}");
            assert_eq!(config.strict_host_key_checking.as_deref(), Some("yes"));
            assert_eq!(config.port, Some(22), "a Match block with a condition is skipped");
            assert_eq!(config.proxy.as_deref(), Some("none"));
        }
        assert_eq!(read(CONFIG, "n10").unwrap().user_known_hosts, None);
    }

    #[test]
    fn includes_are_followed_within_bounds() {
        let home = tempfile::tempdir().unwrap();
        let ssh = home.path().join(".ssh");
        fs::create_dir_all(ssh.join("conf.d")).unwrap();
        fs::write(ssh.join("conf.d/b.conf"), "Port 2\nUser b\n").unwrap();
        fs::write(ssh.join("conf.d/a.conf"), "Host n1\nPort 1\n").unwrap();
        fs::write(ssh.join("conf.d/ignored"), "User ignored\n").unwrap();
        let config = read_in(home.path(), "Include conf.d/*.conf no-such-file\nUser late\n", "n1").unwrap();
        assert_eq!((config.port, config.user.as_deref()), (Some(1), Some("b")));
        // An include below a host that does not apply does not apply either.
        let config = read_in(home.path(), "Host other\nInclude conf.d/*.conf\n", "n1").unwrap();
        assert_eq!(config, HostConfig::default());
        fs::write(ssh.join("loop"), "Include loop\n").unwrap();
        assert!(read_in(home.path(), "Include loop\n", "n1").unwrap_err().contains("deep"));
    }

    #[test]
    fn mistakes_are_named_by_line() {
        for (text, words) in [
            ("Port x\n", "line 1: port needs a number"),
            ("\nPort 70000", "line 2: 70000 is no port"),
            ("User", "User has no value"),
            ("User \"x", "never closed"),
        ] {
            let error = read(text, "n1").unwrap_err();
            assert!(error.contains(words), "{text:?}: {error}");
        }
        assert!(HostConfig::default().read(Path::new("/no/such/config"), "n1", Path::new("/")).is_err());
    }

    #[test]
    fn globs_match_in_linear_memory() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("n?", "n1", true),
            ("n?", "n", false),
            ("", "", true),
            ("", "x", false),
            ("**x", "aax", true),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
        assert!(!glob(&"*a".repeat(50), &"a".repeat(49)));
    }
}
