use std::io::Read as _;

use super::*;
use crate::lines;

/// One record of a log file.
struct Record {
    time: String,
    output: String,
    tag: String,
    content: Vec<u8>,
}

fn bytes_of(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    if path.extension().is_some_and(|e| e == "gz") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
        return plain;
    }
    bytes
}

/// Reads a log by the letter of the format: anything else fails the test.
fn records(path: &Path) -> Vec<Record> {
    let bytes = bytes_of(path);
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"));
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let record = |line: &[u8]| {
        let mut parts = line.splitn(4, |b| *b == b' ');
        let mut text = || String::from_utf8(parts.next().unwrap().to_vec()).unwrap();
        let (time, output, tag) = (text(), text(), text());
        assert!(matches!(output.as_str(), "stdout" | "stderr"), "{output}");
        assert!(matches!(tag.as_str(), "P" | "F"), "{tag}");
        Record { time, output, tag, content: parts.next().unwrap().to_vec() }
    };
    lines.map(record).collect()
}

/// The lines of one output over all files of a container in the order given, pieces joined.
fn joined(paths: &[PathBuf], output: Output) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    for record in paths.iter().flat_map(|p| records(p)).filter(|r| r.output == output.name()) {
        line.extend(record.content);
        if record.tag == "F" {
            lines.push(String::from_utf8(std::mem::take(&mut line)).unwrap());
        }
    }
    if !line.is_empty() {
        lines.push(String::from_utf8(line).unwrap());
    }
    lines
}

/// Every line of both outputs is there, whole and in order, in the files of one life.
fn assert_all_there(node: &SampleNode, paths: &[PathBuf]) {
    assert_lives_are_whole(node, &[paths]);
}

/// The same for the files of several lives: a line never goes on in the next one.
fn assert_lives_are_whole(node: &SampleNode, lives: &[&[PathBuf]]) {
    let both = |life: &&[PathBuf]| Output::ALL.map(|output| joined(life, output)).concat();
    let delivered: Vec<_> = lives.iter().flat_map(both).collect();
    let report = node.oracle().compare(delivered.iter().map(|m| ("g", "s", 0, m.as_str())));
    assert!(report.is_complete() && report.duplicated() == 0 && report.out_of_order() == 0, "{report}");
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn lines_are_in_the_cri_format() {
    let node = SampleNode::new(1).unwrap();
    let mut writer = node.container("default", "web-1", "app").unwrap().with_zone(120);
    for n in 1..=50 {
        assert_eq!(writer.line(Output::Stdout).unwrap(), n);
        assert_eq!(writer.line(Output::Stderr).unwrap(), n);
    }
    writer.lines(Output::Stdout, 500).unwrap();
    writer.text(Output::Stdout, b"").unwrap();

    let log = node.root().join("var/log/pods/default_web-1_5afe0000-0000-4000-8000-000000000001/app/0.log");
    assert_eq!(log, writer.log_path());
    assert_eq!(writer.length(), std::fs::metadata(&log).unwrap().len());
    let found = records(&log);
    assert_eq!(found.len(), 601);
    assert!(found.iter().all(|r| r.tag == "F" && r.time.ends_with("+02:00")));
    assert!(found.iter().all(|r| r.time.len() <= "2025-01-01T00:00:00.123456789+02:00".len()));
    let trimmed = found.iter().filter_map(|r| r.time.split_once('.')).all(|(_, f)| !f.contains("0+"));
    assert!(trimmed, "trailing zeros are left out");
    assert!(found.last().unwrap().content.is_empty());
    assert_eq!(node.written(), [(SampleLog::Container(writer.name().clone()), 600)]);
    assert_eq!(writer.written(), 600);
    assert_all_there(&node, &[log]);
}

#[test]
fn long_lines_are_split_into_pieces_with_a_time_each() {
    let node = SampleNode::new(1).unwrap();
    let mut writer = node.container("default", "web-1", "app").unwrap().with_lines(100_000, lines::Mix::JSON);
    writer.line(Output::Stdout).unwrap();
    writer.lines(Output::Stdout, 3).unwrap();
    for length in [MAX_PIECE, MAX_PIECE + 1, 2 * MAX_PIECE] {
        let mark = writer.take_mark(Output::Stdout);
        writer.text(Output::Stdout, format!("{mark:<length$}").as_bytes()).unwrap();
    }
    let found = records(&writer.log_path());
    assert!(found.iter().filter(|r| r.tag == "P").all(|r| r.content.len() == MAX_PIECE));
    let last: Vec<_> = found.iter().rev().take(5).map(|r| (r.tag.as_str(), r.content.len())).collect();
    let (full, one) = (MAX_PIECE, 1);
    assert_eq!(last, [("F", full), ("P", full), ("F", one), ("P", full), ("F", full)]);
    let times: std::collections::BTreeSet<_> = found.iter().map(|r| &r.time).collect();
    assert!(times.len() > found.len() / 2, "pieces have times of their own");
    assert_all_there(&node, &[writer.log_path()]);
}

#[test]
fn pieces_of_both_outputs_interleave() {
    let node = SampleNode::new(1).unwrap();
    let mut writer = node.container("default", "web-1", "app").unwrap();
    writer.begin(Output::Stdout).unwrap();
    writer.begin(Output::Stderr).unwrap();
    assert_eq!(writer.written(), 0, "a line counts when it is whole");
    writer.finish(Output::Stdout).unwrap();
    writer.finish(Output::Stderr).unwrap();
    let found = records(&writer.log_path());
    let order: Vec<_> = found.iter().map(|r| (r.output.as_str(), r.tag.as_str())).collect();
    assert_eq!(order, [("stdout", "P"), ("stderr", "P"), ("stdout", "F"), ("stderr", "F")]);
    assert_all_there(&node, &[writer.log_path()]);
}

#[test]
fn rotation_leaves_what_kubelet_leaves() {
    let node = SampleNode::new(1).unwrap();
    let mut writer = node.container("default", "web-1", "app").unwrap();
    let directory = writer.log_path().parent().unwrap().to_owned();
    let mut rotated = Vec::new();
    for round in 1..=7 {
        writer.lines(Output::Stdout, 100).unwrap();
        // What an interrupted compression left.
        std::fs::write(directory.join("0.log.20010101-000000.tmp"), b"half").unwrap();
        rotated.push(writer.rotate().unwrap().file_name().unwrap().to_str().unwrap().to_owned());
        let files = names(&directory);
        assert_eq!(files.len(), (round + 1).min(5), "{files:?}");
        assert_eq!(files[0], "0.log");
        let newest = files.last().unwrap();
        assert_eq!(newest, rotated.last().unwrap(), "the newest rotated log is not compressed yet");
        let older = &files[1..files.len() - 1];
        assert!(older.iter().all(|name| name.ends_with(".gz")), "{files:?}");
        let date = newest.strip_prefix("0.log.").unwrap();
        assert!(date.len() == 15 && date.as_bytes()[8] == b'-', "{date}");
    }
    let distinct: std::collections::BTreeSet<_> = rotated.iter().collect();
    assert_eq!(distinct.len(), 7, "no name is given twice");
    // Four rotated logs are left of seven: the last 400 lines of 700, to be read in the order of their names.
    let paths = rotation::rotated(&writer.log_path()).unwrap();
    let numbers: Vec<_> = joined(&paths, Output::Stdout).iter().map(|l| lines::mark(l).unwrap().n).collect();
    assert_eq!(numbers, (301..=700).collect::<Vec<_>>());
}

#[test]
fn the_renamed_log_is_written_to_until_it_is_reopened() {
    let node = SampleNode::new(1).unwrap();
    let mut writer = node.container("default", "web-1", "app").unwrap();
    writer.lines(Output::Stdout, 10).unwrap();
    let rotated = writer.rename_away().unwrap();
    assert!(!writer.log_path().exists());
    writer.lines(Output::Stdout, 5).unwrap();
    writer.reopen().unwrap();
    writer.lines(Output::Stdout, 1).unwrap();
    assert_eq!(joined(std::slice::from_ref(&rotated), Output::Stdout).len(), 15);
    assert_all_there(&node, &[rotated, writer.log_path()]);
}

#[test]
fn a_failed_rotation_is_undone() {
    let node = SampleNode::new(1).unwrap();
    let mut writer = node.container("default", "web-1", "app").unwrap();
    writer.lines(Output::Stdout, 10).unwrap();
    let rotated = writer.rename_away().unwrap();
    writer.lines(Output::Stdout, 5).unwrap();
    writer.rename_back().unwrap();
    writer.lines(Output::Stdout, 5).unwrap();
    assert!(!rotated.exists());
    assert_all_there(&node, &[writer.log_path()]);
    assert_eq!(records(&writer.log_path()).len(), 20);
}

#[test]
fn a_rotation_can_cut_a_line() {
    let node = SampleNode::new(1).unwrap();
    let mut writer = node.container("default", "web-1", "app").unwrap();
    writer.lines(Output::Stdout, 10).unwrap();
    writer.begin(Output::Stdout).unwrap();
    let rotated = writer.rotate().unwrap();
    writer.line(Output::Stderr).unwrap();
    writer.finish(Output::Stdout).unwrap();
    assert_eq!(records(&rotated).last().unwrap().tag, "P");
    let new = records(&writer.log_path());
    let first = new.iter().find(|r| r.output == "stdout").unwrap();
    assert_eq!(first.tag, "F");
    assert!(lines::mark(&String::from_utf8_lossy(&first.content)).is_none(), "it is the rest of a line");
    assert_all_there(&node, &[rotated, writer.log_path()]);
}

#[test]
fn a_container_ends_restarts_and_is_removed() {
    let node = SampleNode::new(1).unwrap();
    let mut writer = node.container("default", "web-1", "app").unwrap();
    let beside = node.container("default", "web-1", "sidecar").unwrap();
    assert_eq!(beside.name().uid, writer.name().uid);
    writer.lines(Output::Stdout, 10).unwrap();
    let first = writer.log_path();
    writer.end(true).unwrap();
    assert_eq!(records(&first).last().unwrap().tag, "P", "its last line has no end");
    assert!(writer.line(Output::Stdout).unwrap_err().to_string().contains("0.log"));

    writer.restart().unwrap();
    assert!(writer.log_path().ends_with("app/1.log"));
    writer.lines(Output::Stdout, 3).unwrap();
    let rotated = writer.rotate().unwrap();
    assert_lives_are_whole(&node, &[&[first], &[rotated, writer.log_path()]]);
    assert_eq!(writer.written(), 14);

    let directory = writer.log_path().parent().unwrap().to_owned();
    writer.remove().unwrap();
    assert!(!directory.exists());
    assert!(directory.parent().unwrap().exists(), "its sidecar is still there");
    beside.remove().unwrap();
    assert!(names(&node.pods_dir()).is_empty());
    node.remove_pod("default", "web-1").unwrap();
    let next = node.container("default", "web-1", "app").unwrap();
    assert!(next.name().uid.ends_with('2'), "a new pod of that name is another pod");
}

/// A second of the largest rate that the figures ask for costs a small part of a second.
#[test]
fn writing_is_cheap() {
    let node = SampleNode::new(1).unwrap();
    let mut writer = node.container("default", "web-1", "app").unwrap();
    let start = safeguard_daemon::clock::now_ms();
    writer.lines(Output::Stdout, 200_000).unwrap();
    let took = safeguard_daemon::clock::now_ms() - start;
    assert!(took < 2_000, "{took} ms for 200,000 lines");
}

/// Whichever way it is rotated, every line of the audit log is in one of its files, and once.
#[test]
fn rotating_the_audit_log_keeps_every_line() {
    let node = SampleNode::new(1).unwrap();
    let mut audit = node.audit_log().unwrap();
    audit.lines(10).unwrap();
    audit.rotate_by_renaming().unwrap();
    audit.lines(10).unwrap();
    audit.rotate_by_copying().unwrap();
    audit.lines(10).unwrap();
    let files = [".2", ".1", ""].map(|suffix| bytes_of(&rotation::with_suffix(audit.path(), suffix)));
    let text = String::from_utf8(files.concat()).unwrap();
    assert_eq!(text.lines().count(), 30);
    let report = node.oracle().compare(text.lines().map(|line| ("", "", 0, line)));
    assert!(report.is_complete() && report.unmarked == 0, "{report}");
    assert_eq!((report.delivered_distinct(), report.duplicated(), report.out_of_order()), (30, 0, 0), "{report}");
}
