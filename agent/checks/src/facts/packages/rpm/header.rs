//! Pure: the header of an installed package, as rpm keeps it (rpm, docs/manual/hregions.md and lib/header.c): the number of index
//! entries and the length of the data, then the index, then the data. All numbers are big-endian.

use super::Package;

/// Tags (rpm, include/rpm/rpmtag.h).
const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;

/// Types of data (rpm, include/rpm/rpmtag.h).
const INT32: u32 = 4;
const STRING: u32 = 6;

/// Bytes of the two numbers at the beginning, and of an index entry.
const INTRO: usize = 8;
const ENTRY: usize = 16;

/// Most index entries (rpm, lib/header.c, `hdrchkTags`).
const MAX_ENTRIES: usize = 0xffff;

/// Longest name, version or release, in bytes; and how far into the data they may begin.
const MAX_TEXT: usize = 1_024;
const MAX_OFFSET: usize = 1 << 20;

/// What the beginning of a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// The package.
    Package(Package),
    /// Nothing yet: so many bytes of it have to be there.
    Longer(usize),
    /// It is no header.
    Malformed,
}

/// Parses a header of which at least the beginning is there.
pub(super) fn parse(bytes: &[u8]) -> Header {
    parsed(bytes).unwrap_or_else(|header| header)
}

fn parsed(bytes: &[u8]) -> Result<Header, Header> {
    let entries = number(bytes, 0)?;
    let length = number(bytes, 4)?;
    if entries > MAX_ENTRIES {
        return Err(Header::Malformed);
    }
    let data = INTRO + entries * ENTRY;
    let index = bytes.get(INTRO..data).ok_or(Header::Longer(data))?;
    let find = |wanted: u32, kind: u32| {
        let fields = |entry: &[u8]| Some((word(entry, 0)?, word(entry, 4)?, word(entry, 8)?));
        let mut found = index.chunks_exact(ENTRY).filter_map(fields).filter(|(tag, ..)| *tag == wanted);
        match found.next() {
            None => Ok(None),
            Some((_, found, offset)) => {
                let offset = usize::try_from(offset).map_err(|_| Header::Malformed)?;
                let plausible = found == kind && offset < length.min(MAX_OFFSET);
                if plausible { Ok(Some(data + offset)) } else { Err(Header::Malformed) }
            }
        }
    };
    let text = |tag| match find(tag, STRING)? {
        Some(at) => text(bytes, at, data.saturating_add(length)).map(Some),
        None => Ok(None),
    };
    let name = text(NAME)?.filter(|name| !name.is_empty()).ok_or(Header::Malformed)?;
    let (version, release) = (text(VERSION)?.unwrap_or_default(), text(RELEASE)?.unwrap_or_default());
    let epoch = find(EPOCH, INT32)?.map(|at| number(bytes, at)).transpose()?;
    let epoch = epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
    let version = format!("{epoch}{version}-{release}");
    Ok(Header::Package(Package { name: name.into(), version: version.into(), whole: true }))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}

fn number(bytes: &[u8], at: usize) -> Result<usize, Header> {
    let word = word(bytes, at).ok_or(Header::Longer(at + 4))?;
    usize::try_from(word).map_err(|_| Header::Malformed)
}

/// Text that a zero byte ends, before `end`.
fn text(bytes: &[u8], at: usize, end: usize) -> Result<&str, Header> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(length) = rest.iter().take(MAX_TEXT).position(|b| *b == 0) else {
        let longer = bytes.len().max(at).saturating_add(MAX_TEXT).min(end);
        let may_come = rest.len() < MAX_TEXT && longer > bytes.len();
        return Err(if may_come { Header::Longer(longer) } else { Header::Malformed });
    };
    std::str::from_utf8(rest.get(..length).unwrap_or_default()).map_err(|_| Header::Malformed)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header as rpm writes it: a region entry, name, version, release, perhaps an epoch, and `padding` bytes of a description.
    pub(in super::super) fn header(name: &str, version: &str, epoch: Option<u32>, padding: usize) -> Vec<u8> {
        let mut index: Vec<(u32, u32, usize, u32)> = Vec::new();
        let mut data = vec![0; 16];
        index.push((63, 7, 0, 16));
        for (tag, text) in [(NAME, name), (VERSION, version), (RELEASE, "1.amzn2023")] {
            index.push((tag, STRING, data.len(), 1));
            data.extend(text.bytes().chain([0]));
        }
        if let Some(epoch) = epoch {
            data.resize(data.len().next_multiple_of(4), 0);
            index.push((EPOCH, INT32, data.len(), 1));
            data.extend(epoch.to_be_bytes());
        }
        index.push((1005, STRING, data.len(), 1));
        data.extend(std::iter::repeat_n(b'x', padding).chain([0]));
        let word = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
        let mut bytes = [word(index.len()), word(data.len())].concat();
        for (tag, kind, offset, count) in index {
            bytes.extend([tag.to_be_bytes(), kind.to_be_bytes(), word(offset), count.to_be_bytes()].concat());
        }
        bytes.extend(data);
        bytes
    }

    fn package(version: &str) -> Header {
        Header::Package(Package { name: "bash".into(), version: version.into(), whole: true })
    }

    #[test]
    fn name_and_version_are_found_wherever_they_are() {
        assert_eq!(parse(&header("bash", "5.2", None, 10)), package("5.2-1.amzn2023"));
        assert_eq!(parse(&header("bash", "5.2", Some(2), 0)), package("2:5.2-1.amzn2023"));
    }

    #[test]
    fn of_a_beginning_it_says_how_much_is_missing_until_it_is_enough() {
        let whole = header("bash", "5.2", Some(2), 5_000);
        let (mut length, mut rounds) = (0, 0);
        while let Header::Longer(more) = parse(&whole[..length]) {
            assert!(more > length && more <= whole.len(), "{length} {more}");
            (length, rounds) = (more, rounds + 1);
        }
        assert_eq!(parse(&whole[..length]), package("2:5.2-1.amzn2023"));
        assert!(rounds < 8 && length < 2_000, "{rounds} {length}");
    }

    #[test]
    fn what_is_no_header_is_refused() {
        assert_eq!(parse(&[0xff; 64]), Header::Malformed);
        assert_eq!(parse(&header("", "1", None, 0)), Header::Malformed);
        assert_eq!(parse(&[0; 8]), Header::Malformed);
        assert_eq!(parse(&header(&"x".repeat(2_000), "1", None, 0)), Header::Malformed);
        let mut elsewhere = header("bash", "1", None, 0);
        elsewhere[8 + 16 + 8..8 + 16 + 12].copy_from_slice(&[0xff; 4]);
        assert_eq!(parse(&elsewhere), Header::Malformed);
    }

    proptest! {
        #[test]
        fn damage_never_panics_and_always_ends(at in 0usize..200, byte: u8, cut in 0usize..200) {
            let mut bytes = header("bash", "5.2", Some(1), 20);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let bytes = &bytes[..cut.min(bytes.len())];
            if let Header::Longer(more) = parse(bytes) {
                prop_assert!(more > bytes.len());
            }
        }
    }
}
