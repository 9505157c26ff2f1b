//! The functions of a vDSO: the small shared library that the kernel maps into every process, so that asking the time needs no
//! system call (vdso(7)).

/// The functions that tell the time, by the two names that kernels give each.
const CLOCK_GETTIME: [&str; 2] = ["__vdso_clock_gettime", "clock_gettime"];
const GETTIMEOFDAY: [&str; 2] = ["__vdso_gettimeofday", "gettimeofday"];
const TIME: [&str; 2] = ["__vdso_time", "time"];

/// Tags of the dynamic section (elf(5)).
const HASH: u64 = 4;
const STRINGS: u64 = 5;
const SYMBOLS: u64 = 6;

/// The size of an entry of the symbol table.
const SYMBOL_BYTES: u64 = 24;

/// The most symbols that are looked at: a vDSO has a dozen or two.
const SYMBOLS_MAX: u64 = 1024;

/// A function, by its offset in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// Where a vDSO has what is needed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Functions {
    pub(super) clock_gettime: Function,
    pub(super) gettimeofday: Option<Function>,
    pub(super) time: Option<Function>,
    /// An instruction `syscall` that is in none of their first bytes.
    pub(super) syscall: u64,
}

/// Finds the functions in the image of a vDSO. `first_bytes` of each are to be overwritten.
pub(super) fn functions(image: &[u8], first_bytes: u64) -> Result<Functions, String> {
    let is = |at: usize, bytes: &[u8]| image.get(at..at + bytes.len()) == Some(bytes);
    match image.get(4) {
        _ if !is(0, b"\x7fELF") => return Err("its vDSO is no ELF image".into()),
        Some(1) => return Err("it is a 32-bit process: only 64-bit ones are supported".into()),
        Some(2) if is(18, &[62, 0]) => {}
        _ => return Err("its vDSO is not one of x86-64".into()),
    }
    let symbols = symbols(image).ok_or("its vDSO has no readable symbol table")?;
    let find =
        |names: [&str; 2]| names.iter().find_map(|name| symbols.iter().find(|(found, _)| found == name)).map(|(_, function)| *function);
    let clock_gettime = find(CLOCK_GETTIME).ok_or("its vDSO has no clock_gettime")?;
    let (gettimeofday, time) = (find(GETTIMEOFDAY), find(TIME));
    let all: Vec<Function> = [Some(clock_gettime), gettimeofday, time].into_iter().flatten().collect();
    if let Some(short) = all.iter().find(|function| function.bytes < first_bytes) {
        return Err(format!("a function of its vDSO is only {} bytes long", short.bytes));
    }
    let is_overwritten = |at: u64| all.iter().any(|function| at + 1 >= function.offset && at < function.offset + first_bytes);
    let mut calls = image.windows(2).enumerate().filter(|(_, bytes)| bytes == b"\x0f\x05").map(|(at, _)| at as u64);
    let syscall = calls.find(|&at| !is_overwritten(at)).ok_or("its vDSO has no instruction for system calls")?;
    Ok(Functions { clock_gettime, gettimeofday, time, syscall })
}

fn number<const N: usize>(image: &[u8], at: u64) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let bytes = image.get(at..at.checked_add(N)?)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// The named functions of a dynamic symbol table. `None` if the image is not as it should be.
fn symbols(image: &[u8]) -> Option<Vec<(String, Function)>> {
    let (headers, size, count) = (number::<8>(image, 32)?, number::<2>(image, 54)?, number::<2>(image, 56)?);
    let header = |kind: u64| {
        let mut all = (0..count).map(|i| headers.saturating_add(i * size));
        all.find(|&at| number::<4>(image, at) == Some(kind))
    };
    // The first loadable segment is the whole image: addresses in it minus its own are offsets.
    let base = number::<8>(image, header(1)?.checked_add(16)?)?;
    let dynamic = number::<8>(image, header(2)?.checked_add(8)?)?;
    let mut tags = (0..64).map_while(|i| {
        let at = dynamic.checked_add(i * 16)?;
        number::<8>(image, at).filter(|&tag| tag != 0).map(|tag| (tag, number::<8>(image, at + 8)))
    });
    let tags: Vec<(u64, Option<u64>)> = tags.by_ref().collect();
    let table = |tag: u64| tags.iter().find(|(found, _)| *found == tag)?.1?.checked_sub(base);
    let (symbols, strings) = (table(SYMBOLS)?, table(STRINGS)?);
    // The hash table knows how many there are; without one the names stand right behind the symbols.
    let count = match table(HASH) {
        Some(hash) => number::<4>(image, hash.checked_add(4)?)?,
        None => strings.checked_sub(symbols)? / SYMBOL_BYTES,
    };
    let symbol = |i: u64| {
        let at = symbols.checked_add(i * SYMBOL_BYTES)?;
        let name = image.get(usize::try_from(strings.checked_add(number::<4>(image, at)?)?).ok()?..)?;
        let name = &name[..name.iter().position(|&byte| byte == 0)?];
        let offset = number::<8>(image, at + 8)?.checked_sub(base)?;
        let function = Function { offset, bytes: number::<8>(image, at + 16)? };
        let is_inside = offset.checked_add(function.bytes).is_some_and(|end| end <= image.len() as u64);
        is_inside.then(|| (String::from_utf8_lossy(name).into_owned(), function))
    };
    Some((0..count.min(SYMBOLS_MAX)).filter_map(symbol).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use std::os::unix::fs::FileExt;

    /// The vDSO of this process.
    fn own() -> Vec<u8> {
        let pid = std::process::id() as i32;
        let maps = super::super::maps::of(pid).unwrap();
        let vdso = maps.iter().find(|map| map.name == "[vdso]").unwrap();
        let mut image = vec![0; (vdso.end - vdso.start) as usize];
        super::super::maps::open(pid).unwrap().read_exact_at(&mut image, vdso.start).unwrap();
        image
    }

    #[test]
    fn the_functions_of_this_kernel_are_found_apart_and_inside() {
        let image = own();
        let found = functions(&image, 5).unwrap();
        let all = [found.clock_gettime, found.gettimeofday.unwrap(), found.time.unwrap()];
        for function in all {
            assert!(function.bytes >= 5 && (function.offset + function.bytes) as usize <= image.len(), "{found:?}");
        }
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2], "{found:?}");
        assert_eq!(image[found.syscall as usize..][..2], [0x0f, 0x05]);
    }

    #[test]
    fn damaged_images_are_refused_and_harm_nothing() {
        let image = own();
        let words = |image: &[u8]| functions(image, 5).unwrap_err();
        assert!(words(b"").contains("no ELF image"));
        let mut other = image.clone();
        other[4] = 1;
        assert!(words(&other).contains("32-bit"));
        other[4] = 2;
        other[18] = 183;
        assert!(words(&other).contains("not one of x86-64"));
        assert!(functions(&image, 1 << 20).unwrap_err().contains("bytes long"));
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for _ in 0..3000 {
            let mut damaged = image[..rng.random_range(0..=image.len())].to_vec();
            // Where the headers and tables are.
            for _ in 0..rng.random_range(0..20) {
                let at = rng.random_range(0..0x500);
                if let Some(byte) = damaged.get_mut(at) {
                    *byte = rng.random();
                }
            }
            let _ = functions(&damaged, 5);
        }
    }
}
