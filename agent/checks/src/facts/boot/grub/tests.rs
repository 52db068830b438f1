use super::*;

fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Grub::parse(text).command_lines().unwrap();
    lines.iter_mut().for_each(|(_, text)| *text = text.trim().to_owned());
    lines
}

/// As Debian's `grub-mkconfig` writes it.
const DEBIAN: &str = r#"
set default="0"
function recordfail { set recordfail=1; }
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-1' {
	load_video
	echo	'Loading Linux 6.1.0 ...'
	linux	/boot/vmlinuz-6.1.0 root=UUID=1 ro  quiet audit=1
	initrd	/boot/initrd.img-6.1.0
}
submenu 'Advanced options' {
	menuentry 'Debian (recovery mode)' {
		linux	/boot/vmlinuz-6.1.0 root=UUID=1 ro single
	}
}
"#;

#[test]
fn every_entry_is_read_also_in_submenus() {
    assert_eq!(
        lines(DEBIAN),
        [(7, "root=UUID=1 ro quiet audit=1".to_owned()), (12, "root=UUID=1 ro single".to_owned())]
    );
}

#[test]
fn entries_on_one_line_and_other_commands_for_kernels_are_found() {
    assert_eq!(lines("menuentry x { linux /k audit=1; initrd /i; }\n"), [(1, "audit=1".to_owned())]);
    assert_eq!(lines("linuxefi /k a=1\nlinux16 /k b=2"), [(1, "a=1".to_owned()), (2, "b=2".to_owned())]);
}

#[test]
fn what_is_no_command_is_not_read() {
    for text in ["# linux /k audit=1", "echo linux /k audit=1", "echo 'x\nlinux /k audit=1'", "linuxx /k audit=1"] {
        assert!(lines(text).is_empty(), "{text}");
    }
}

#[test]
fn quotes_and_backslashes_are_taken_away() {
    assert_eq!(lines("linux /k 'a b' \"c $d\" e\\ f \\\n g#h"), [(1, "a b c  e f g#h".to_owned())]);
}

#[test]
fn a_variable_is_each_of_the_values_that_it_is_set_to() {
    let text = "if [ x ]; then set q=quiet; else set q=\"audit=0\"; fi\nlinux /k ro $q ${none}x\n";
    assert_eq!(lines(text), [(2, "ro quiet x".to_owned()), (2, "ro audit=0 x".to_owned())]);
}

#[test]
fn the_environment_block_comes_before_what_the_configuration_sets() {
    let text = "set kernelopts=\"root=/dev/x ro\"\nblscfg\n";
    let grub = Grub::parse(text);
    assert!(grub.takes_entries);
    assert_eq!(grub.options("$kernelopts $tuned_params a$").unwrap(), ["root=/dev/x ro  a$"]);
    let grub = grub.with_environment("# GRUB Environment Block\nkernelopts=root=/dev/y audit=1\n#######");
    assert_eq!(grub.options("$kernelopts").unwrap(), ["root=/dev/y audit=1"]);
}

#[test]
fn what_could_be_too_many_things_is_refused() {
    assert_eq!(Grub::parse("set a=\"$a x\"\nlinux /k $a\n").command_lines(), Err(TooMany));
    let many: String = (0..40).map(|n| format!("set a={n}\n")).collect();
    assert_eq!(Grub::parse(&format!("{many}linux /k $a\n")).command_lines(), Err(TooMany));
    let doubling = "set a=1\nset a=2\nlinux /k $a$a$a$a$a$a\n";
    assert_eq!(Grub::parse(doubling).command_lines(), Err(TooMany));
}

#[test]
fn variables_in_variables_are_followed_a_little() {
    assert_eq!(lines("set a=1\nset b=x$a\nlinux /k $b\n"), [(3, "x1".to_owned())]);
    let deep = "set a=1\nset b=$a\nset c=$b\nlinux /k $c\n";
    assert_eq!(Grub::parse(deep).command_lines(), Err(TooMany));
}

#[test]
fn what_would_grow_without_end_is_refused_at_once() {
    let long = format!("linux /k {}\n", "$a ".repeat(100_000));
    assert_eq!(Grub::parse(&long).command_lines(), Err(TooMany));
    let doubling: String = (0..40).map(|n| format!("set v{}=$v{n}$v{n}\n", n + 1)).collect();
    assert_eq!(Grub::parse(&format!("set v0=x\n{doubling}linux /k $v40\n")).command_lines(), Err(TooMany));
    assert_eq!(Grub::parse(&"linux /k\n".repeat(100_000)).command_lines(), Err(TooMany));
    assert_eq!(Grub::parse(&format!("linux /k {}\n", "x".repeat(10_000))).command_lines(), Err(TooMany));
}

proptest::proptest! {
    #[test]
    fn never_panics(text in "(linux|set|[ab=$\\{\\}'\"\\\\ ;#\\n]){0,60}", options in "[ab$ ]{0,20}") {
        let grub = Grub::parse(&text).with_environment(&text);
        grub.command_lines().ok();
        grub.options(&options).ok();
    }
}
