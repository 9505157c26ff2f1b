//! Undoes compression, which is recognised by content as formats are.

use std::io::{self, Read};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The input as it was before `gzip` or `zstd`; members and frames one after another are one input. Anything else is left as
/// it is.
pub(crate) fn open<'a>(mut input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut magic = Vec::with_capacity(ZSTD.len());
    (&mut input).take(ZSTD.len() as u64).read_to_end(&mut magic)?;
    let is_gzip = magic.starts_with(GZIP);
    let is_zstd = magic == ZSTD;
    let input = io::Cursor::new(magic).chain(input);
    Ok(if is_gzip {
        Box::new(flate2::read::MultiGzDecoder::new(input))
    } else if is_zstd {
        Box::new(zstd::Decoder::new(input)?)
    } else {
        Box::new(input)
    })
}

#[cfg(test)]
mod tests {
    use crate::read_bytes;
    use std::io::Write;

    #[test]
    fn compressed_histories_are_read() {
        let first = "{:type :invoke :f :read :process 0}\n";
        let second = "{:type :ok :f :read :process 0 :value 1}\n";
        let gzip = |text: &str| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
        for parts in [[gzip(first), gzip(second)], [zstd(first), zstd(second)]] {
            let whole = parts.concat();
            let history = read_bytes(&whole, None).unwrap();
            assert_eq!((history.len(), history.ops().len()), (2, 1));
            let cut = &whole[..whole.len() - 5];
            assert!(read_bytes(cut, None).unwrap_err().to_string().starts_with("cannot read it"), "a cut file is no shorter history");
        }
    }
}
