use super::*;

fn some(lines: &mut Lines, count: usize) -> Vec<String> {
    let one = |_| {
        let mut out = Vec::new();
        lines.append(&mut out);
        String::from_utf8(out).unwrap()
    };
    (0..count).map(one).collect()
}

#[test]
fn the_same_seed_gives_the_same_lines() {
    let lines = Lines::new(7, "a", AVERAGE);
    assert_eq!(some(&mut lines.clone(), 100), some(&mut lines.clone(), 100));
    assert_ne!(some(&mut lines.clone(), 100), some(&mut Lines::new(8, "a", AVERAGE), 100));
}

#[test]
fn the_mix_and_the_average_are_as_promised() {
    let lines = some(&mut Lines::new(1, "writer-1", AVERAGE), 20_000);
    let of = |is: fn(&String) -> bool| lines.iter().filter(|l| is(l)).count();
    let json = of(|l| l.starts_with('{'));
    let frames = of(|l| l.starts_with("\tat "));
    let hex = of(|l| l.starts_with("w="));
    assert!((11_700..12_300).contains(&json), "{json}");
    assert!((1_800..2_200).contains(&frames), "{frames}");
    assert_eq!(json + frames + hex, lines.len());
    let average = lines.iter().map(String::len).sum::<usize>() / lines.len();
    assert!((190..=215).contains(&average), "{average}");
    for line in lines.iter().filter(|l| l.starts_with('{')) {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }
    assert!(lines.iter().all(|l| !l.contains('\n')));
}

#[test]
fn long_and_short_averages_are_kept() {
    let long = some(&mut Lines::new(1, "a", 40_000), 200);
    let average = long.iter().map(String::len).sum::<usize>() / long.len();
    assert!((36_000..44_000).contains(&average), "{average}");
    for line in some(&mut Lines::new(1, "a", 0), 200) {
        assert!(mark(&line).is_some() && is_intact(&line) == Some(true), "{line}");
    }
}

#[test]
fn the_mark_is_found_in_either_format() {
    let lines = some(&mut Lines::new(3, "c12.o", AVERAGE), 500);
    for (n, line) in (1..).zip(&lines) {
        let event = serde_json::json!({"log": line, "stream": "stdout", "kubernetes": {"pod_name": "p"}}).to_string();
        for message in [line, &event] {
            let mark = mark(message).unwrap();
            assert_eq!((mark.writer, mark.n), ("c12.o", n));
            assert_eq!(content(message), *line);
            assert_eq!(is_intact(message), Some(true), "{message}");
        }
    }
}

#[test]
fn a_line_of_ones_own_is_found_too() {
    let mut lines = Lines::new(3, "w", 10);
    let text = format!("aw= w= w=x {} and more", lines.take_mark());
    let found = mark(&text).unwrap();
    assert_eq!((found.writer, found.n), ("w", 1));
    assert_eq!(is_intact(&text), None);
    assert_eq!(mark("nothing w=a n= here"), None);
}

#[test]
fn damage_shows() {
    for line in some(&mut Lines::new(5, "a", AVERAGE), 50) {
        let cut: String = line.chars().take(line.chars().count() - 1).collect();
        assert_eq!(is_intact(&cut), Some(false), "{cut}");
        assert_eq!(is_intact(&format!("{line}x")), Some(false));
        assert_eq!(is_intact(&format!("x{line}")), Some(false));
    }
}

/// Both sides of the mark are summed up, and the agent's events of files and of the journal are understood.
#[test]
fn a_text_of_the_callers_own_is_proved_in_every_event() {
    let mut out = Vec::new();
    assert_eq!(Lines::new(1, "a", AVERAGE).append_around("say \"", "\" twice", &mut out), 1);
    let line = String::from_utf8(out).unwrap();
    for event in [
        line.clone(),
        serde_json::json!({ "log": line, "file": "/var/log/a" }).to_string(),
        serde_json::json!({ "message": line, "systemd_unit": "a.service" }).to_string(),
    ] {
        assert_eq!(mark(&event).map(|mark| mark.n), Some(1), "{event}");
        assert_eq!(is_intact(&event), Some(true), "{event}");
        assert_eq!(is_intact(&event.replace("twice", "once")), Some(false), "{event}");
        assert_eq!(is_intact(&event.replace("say", "sag")), Some(false), "{event}");
    }
}
