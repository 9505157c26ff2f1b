//! Where the records of etcd's write-ahead log lie in its files, and where damage to them is certain to be noticed.
//!
//! A file is a row of frames: eight bytes with the length of the record (and of the zeros behind it, up to the next multiple of eight),
//! then the record, a protobuf message of a type, a checksum and data. The checksum of each record goes on from that of the one before.
//! Where the length is 0 nothing was written yet.
//!
//! Not all damage is noticed for what it is. A length of 0 is the end; a length that reaches beyond the end, a message that ends too early,
//! or a wrong checksum of a record of which a whole disk sector is 0 is the trace of a crash: then etcd cuts the last file off there and
//! goes on without what it had promised to keep. A wrong checksum of any other record is neither, and etcd refuses to start
//! (`decoder.go` and `repair.go` in its package `wal`, the same in 3.4, 3.5 and 3.6).

/// What a disk writes whole or not at all, as etcd sees it.
const SECTOR_BYTES: usize = 512;

/// The length of a record.
const FRAME_BYTES: usize = 8;

/// The data of each record, as much of it as lies in the record's first sector; that sector holds the type before it, so it is never all 0.
/// Not of records with a sector that is, and not of the last record, which may not be whole yet.
pub(super) fn payloads(content: &[u8]) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((record, padding)) = frame(content, at) {
        let from = at + FRAME_BYTES;
        let end = from + record + padding;
        let Some(whole) = content.get(from..end) else { break };
        let first_end = end.min((from / SECTOR_BYTES + 1) * SECTOR_BYTES);
        let mut rest = whole[first_end - from..].chunks(SECTOR_BYTES);
        let data = data(&whole[..record]).map(|(start, stop)| (from + start, (from + stop).min(first_end)));
        let data = data.filter(|(start, stop)| start < stop);
        let is_sound = rest.all(|sector| sector.iter().any(|&byte| byte != 0));
        found.push(data.filter(|_| is_sound));
        at = end;
    }
    found.pop();
    found.into_iter().flatten().map(|(from, to)| (from as u64, to as u64)).collect()
}

/// The length of the record whose frame stands here, and of what fills it up; `None` at the end of what was written.
fn frame(content: &[u8], at: usize) -> Option<(usize, usize)> {
    let field = i64::from_le_bytes(content.get(at..at + FRAME_BYTES)?.try_into().ok()?);
    let record = usize::try_from((field as u64) & 0x00ff_ffff_ffff_ffff).ok()?;
    let padding = if field < 0 { ((field as u64 >> 56) & 7) as usize } else { 0 };
    // A length that leads nowhere near the file is none.
    (record > 0 && record <= content.len()).then_some((record, padding))
}

/// Where the data lies in a record; `None` if it has none, or is none of those we know.
fn data(record: &[u8]) -> Option<(usize, usize)> {
    let after_varint = |from: usize| record.get(from..)?.iter().position(|byte| byte & 0x80 == 0).map(|last| from + last + 1);
    let field = |from: usize, tag: u8| (record.get(from) == Some(&tag)).then_some(from + 1);
    let checksum = field(after_varint(field(0, 0x08)?)?, 0x10)?;
    let length = field(after_varint(checksum)?, 0x1a)?;
    let start = after_varint(length)?;
    (start < record.len()).then_some((start, record.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as etcd writes it, with its frame.
    fn record(data: &[u8]) -> Vec<u8> {
        let mut message = vec![0x08, 2, 0x10, 0xb4, 0xf3, 0xc8, 0xd2, 0x09, 0x1a];
        let length = data.len();
        if length < 128 {
            message.push(length as u8);
        } else {
            message.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
        }
        message.extend(data);
        let padding = (8 - message.len() % 8) % 8;
        let mut field = message.len() as u64;
        if padding > 0 {
            field |= (0x80 | padding as u64) << 56;
        }
        let mut framed = field.to_le_bytes().to_vec();
        framed.extend(&message);
        framed.extend(vec![0; padding]);
        framed
    }

    fn log(records: &[&[u8]]) -> Vec<u8> {
        let mut log: Vec<u8> = records.iter().flat_map(|data| record(data)).collect();
        log.extend(vec![0; 4096]);
        log
    }

    fn found(log: &[u8]) -> Vec<&[u8]> {
        payloads(log).into_iter().map(|(from, to)| &log[from as usize..to as usize]).collect()
    }

    #[test]
    fn the_data_of_all_records_but_the_last_is_found() {
        let long = vec![7; 200];
        assert_eq!(found(&log(&[b"one", b"three", &long, b"last"])), [&b"one"[..], b"three", &long]);
        assert_eq!(found(&log(&[b"only"])), [&[] as &[u8]; 0]);
        assert!(payloads(&[]).is_empty() && payloads(&[0; 4096]).is_empty() && payloads(&[0xff; 4096]).is_empty());
        // The file is still being written: the frame is there, its record is not whole.
        let whole = log(&[b"one", b"two", &long]);
        assert_eq!(found(&whole[..whole.len() - 4096 - 100]), [b"one"]);
    }

    #[test]
    fn of_a_record_in_several_sectors_only_the_first_is_offered_and_none_if_one_is_zero() {
        let (long, mut torn) = (vec![7; 2000], vec![7; 2000]);
        let log_of = |data: &[u8]| log(&[data, b"last"]);
        let sound = log_of(&long);
        assert_eq!(payloads(&sound), [(19, 512)]);
        torn[600..1700].fill(0);
        assert!(payloads(&log_of(&torn)).is_empty());
    }

    #[test]
    fn records_without_data_offer_none() {
        assert_eq!(data(&[0x08, 4, 0x10, 5]), None);
        assert_eq!(data(&[0x08, 4, 0x10, 5, 0x1a, 0]), None);
        assert_eq!(data(&[0x10, 5, 0x1a, 1, 9]), None);
        assert_eq!(data(&[0x08, 2, 0x10, 5, 0x1a, 1, 9]), Some((6, 7)));
    }
}
