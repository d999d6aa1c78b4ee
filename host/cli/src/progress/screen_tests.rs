//! The screen, seen through a terminal of a few lines.

use kiln_engine::StepHead;

use super::*;

const TERMINAL: Terminal = Terminal {
    stdout: true,
    stderr: true,
    color: false,
    movable: true,
};
const SIZE: Size = Size {
    width: 41,
    height: 20,
};

/// As much of a terminal as the screen uses: text, line feed, carriage return, CSI A, K and J.
#[derive(Default)]
struct Emulator {
    lines: Vec<String>,
    row: usize,
}

impl Emulator {
    fn feed(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            while self.lines.len() <= self.row {
                self.lines.push(String::new());
            }
            match c {
                '\n' => self.row += 1,
                '\r' => {}
                '\x1b' => {
                    let end = rest
                        .find(|c: char| c.is_ascii_alphabetic())
                        .expect("complete sequence");
                    let (number, command) = (&rest[1..end], &rest[end..=end]);
                    rest = &rest[end + 1..];
                    match command {
                        "A" => {
                            self.row -= number.parse::<usize>().expect("a number");
                        }
                        "K" => {}
                        "J" => self.lines.truncate(self.row),
                        other => panic!("unknown command {other}"),
                    }
                }
                c => {
                    // Every line is written from its start and cleared to its end.
                    let line: String = std::iter::once(c)
                        .chain(rest.chars().take_while(|c| *c != '\x1b'))
                        .collect();
                    rest = &rest[line.len() - c.len_utf8()..];
                    self.lines[self.row] = line;
                }
            }
        }
    }

    fn text(&self) -> String {
        self.lines
            .iter()
            .map(|line| line.trim_end().to_owned() + "\n")
            .collect()
    }
}

fn head(text: &str) -> StepHead {
    StepHead {
        stage: "build".to_owned(),
        text: text.to_owned(),
        line: 1,
    }
}

fn seconds(tenths: u64) -> Duration {
    Duration::from_millis(tenths * 100)
}

#[test]
fn a_build_scrolls_up_while_its_running_step_is_redrawn() {
    let mut screen = Screen::new(TERMINAL);
    let mut terminal = Emulator::default();
    let steps = [
        head("FROM debian:12"),
        head("RUN make everything there is in here"),
        head("COPY . ."),
    ];
    screen.event(Event::Planned { steps: &steps }, seconds(0));
    screen.event(Event::Cached { step: 0 }, seconds(0));
    screen.event(Event::Started { step: 1 }, seconds(0));
    terminal.feed(&screen.draw(seconds(0), SIZE));
    screen.event(
        Event::VmStarting {
            step: 1,
            emulated: None,
        },
        seconds(1),
    );
    terminal.feed(&screen.draw(seconds(1), SIZE));
    insta::assert_snapshot!(terminal.text(), @r"
     => CACHED [build 1/3] FROM debian:12
    [+] Building 0.1s (1/3)
     => [build 2/3] RUN ma… starting VM 0.1s
    ");

    screen.event(
        Event::VmReady {
            backend: "x",
            elapsed: seconds(6),
        },
        seconds(7),
    );
    let output: String = (1..=9).map(|n| format!("line {n}\n")).collect();
    let bytes = format!("{output}\tunfinished \x1b[2J");
    screen.event(
        Event::Output {
            step: 1,
            stream: OutputStream::Stdout,
            bytes: bytes.as_bytes(),
        },
        seconds(8),
    );
    terminal.feed(&screen.draw(seconds(13), SIZE));
    insta::assert_snapshot!(terminal.text(), @r"
     => CACHED [build 1/3] FROM debian:12
    [+] Building 1.3s (1/3)
     => [build 2/3] RUN make everythin… 1.3s
        | line 5
        | line 6
        | line 7
        | line 8
        | line 9
        |   unfinished
    ");

    screen.event(
        Event::Finished {
            step: 1,
            elapsed: seconds(14),
            layer_size: None,
        },
        seconds(14),
    );
    screen.event(Event::Started { step: 2 }, seconds(14));
    screen.event(
        Event::Failed {
            step: 2,
            elapsed: seconds(1),
        },
        seconds(15),
    );
    screen.finish();
    terminal.feed(&screen.draw(seconds(15), SIZE));
    insta::assert_snapshot!(terminal.text(), @r"
     => CACHED [build 1/3] FROM debian:12
     => [build 2/3] RUN make everythin… 1.4s
     => ERROR [build 3/3] COPY . .      0.1s
    ");
}

#[test]
fn no_line_reaches_the_last_column() {
    let mut screen = Screen::new(TERMINAL);
    let steps = [head(&"日本語".repeat(40))];
    screen.event(Event::Planned { steps: &steps }, seconds(0));
    screen.event(Event::Started { step: 0 }, seconds(0));
    for width in [1, 5, 20, 41, 300] {
        let drawn = screen.draw(seconds(1), Size { width, height: 2 });
        for line in drawn.split('\n') {
            let line = escape::output_line(line.as_bytes());
            assert!(escape::width(&line) < width.max(8), "{width}: {line}");
        }
    }
}

#[test]
fn a_low_terminal_shows_less_output() {
    let mut screen = Screen::new(TERMINAL);
    screen.event(
        Event::Output {
            step: 0,
            stream: OutputStream::Stderr,
            bytes: b"a\nb\nc\n",
        },
        seconds(0),
    );
    let drawn = screen.draw(
        seconds(1),
        Size {
            width: 40,
            height: 5,
        },
    );
    assert_eq!(drawn.matches('\n').count(), 3);
    assert!(drawn.contains("| c"));
}

#[test]
fn ids_and_warnings_are_never_cut() {
    let mut screen = Screen::new(TERMINAL);
    let image = kiln_oci::Digest::of(b"");
    screen.event(Event::Built { image, names: &[] }, seconds(0));
    assert!(screen.draw(seconds(1), SIZE).contains(&image.to_string()));
}
