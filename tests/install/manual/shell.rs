//! A script of a page as the simple commands that it has: words, without what quotes, pipes and redirections add. Enough to see
//! which of our programs are called and how; what it does is the shell's matter.

/// What joins two commands, or begins one.
const BETWEEN: [char; 6] = ['|', '&', ';', '\n', '(', ')'];

/// The commands of a script, each as its words.
pub(super) fn commands(script: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut command: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = without_documents(script).chars().collect::<Vec<_>>().into_iter().peekable();
    // What follows is where output goes, and no word.
    let mut to_file = false;
    let end_word = |word: &mut Option<String>, command: &mut Vec<String>, to_file: &mut bool| {
        if let Some(word) = word.take().filter(|_| !std::mem::take(to_file)) {
            command.push(word);
        }
    };
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('\n') | None => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            '\'' => word.get_or_insert_default().extend(letters.by_ref().take_while(|&c| c != '\'')),
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(letter) = letters.next().filter(|&c| c != '"') {
                    word.extend(if letter == '\\' { letters.next() } else { Some(letter) });
                }
            }
            '#' if word.is_none() => while letters.next_if(|&c| c != '\n').is_some() {},
            '>' | '<' => {
                // The number of a descriptor is no word of its own.
                if word.as_ref().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit())) {
                    word = None;
                }
                end_word(&mut word, &mut command, &mut to_file);
                while letters.next_if(|&c| c == '>' || c == '<' || c == '&').is_some() {}
                to_file = true;
            }
            '$' if letters.peek() == Some(&'(') => {
                // The command inside is one of its own; outside it is a word that nobody knows.
                word.get_or_insert_default().push('$');
                end_word(&mut word, &mut command, &mut to_file);
                found.push(std::mem::take(&mut command));
            }
            letter if BETWEEN.contains(&letter) => {
                end_word(&mut word, &mut command, &mut to_file);
                to_file = false;
                found.push(std::mem::take(&mut command));
            }
            letter if letter.is_whitespace() => end_word(&mut word, &mut command, &mut to_file),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    end_word(&mut word, &mut command, &mut to_file);
    found.push(command);
    found.retain(|command| !command.is_empty());
    found
}

/// The script without the lines of its here-documents.
fn without_documents(script: &str) -> String {
    let mut text = String::new();
    let mut until: Option<String> = None;
    for line in script.lines() {
        match &until {
            Some(end) if line.trim() == *end => until = None,
            Some(_) => {}
            None => {
                let word = line.split_once("<<").map(|(_, word)| word.trim_start_matches('-').trim());
                until = word.and_then(|word| word.split_whitespace().next()).map(|word| word.replace(['\'', '"'], ""));
                text += line;
                text.push('\n');
            }
        }
    }
    text
}

/// A call of `program`: its words after the program's name. `sudo` and variables that are set before do not count.
pub(super) fn calls(script: &str, programs: &[&str]) -> Vec<(String, Vec<String>)> {
    let mut calls = Vec::new();
    for command in commands(script) {
        let before = |word: &&String| ["sudo", "!", "then", "do"].contains(&word.as_str()) || word.contains('=');
        let at = command.iter().take_while(before).count();
        if let Some((name, words)) = command.get(at..).and_then(|words| words.split_first()) {
            let name = name.rsplit('/').next().unwrap_or_default();
            if programs.contains(&name) {
                calls.push((name.to_owned(), words.to_vec()));
            }
        }
    }
    calls
}

#[test]
fn a_script_is_its_commands() {
    let script = "a --x 'b c' \\\n  d | jq '.e | f' > g 2>/dev/null; sudo V=1 h \"i; j\" # k\nl $(m n) && o <<'EOF'\np 'q\nEOF\nr\n";
    let found: Vec<String> = commands(script).iter().map(|words| words.join("_")).collect();
    assert_eq!(found, ["a_--x_b c_d", "jq_.e | f", "sudo_V=1_h_i; j", "l_$", "m_n", "o", "r"]);
    let calls = calls("sudo V=1 /usr/bin/h \"i; j\" | other h\n", &["h"]);
    assert_eq!(calls, [("h".to_owned(), vec!["i; j".to_owned()])]);
}
