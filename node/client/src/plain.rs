//! Text of strangers on a terminal: names that stand on chain, what a coordinator answers, what a file calls itself.
//!
//! Some characters do more than stand there: control characters move the cursor, and begin the escapes that colour a terminal or rename its window; marks of
//! bidirectional text turn around what follows; others have no width, so that one name looks like another. Each of them is shown as U+FFFD, and nothing is
//! shown at a length that pushes everything else off the screen.

use std::{error::Error, fmt};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
	field::{MakeVisitor, VisitFmt, VisitOutput},
	fmt::format::{DefaultVisitor, Writer},
};

/// The longest line, in characters: no name and no address on chain is longer.
const LINE: usize = 256;
/// The longest text, in characters.
const TEXT: usize = 8192;

/// A name or another short text, in one line of at most 256 characters.
pub fn line(text: &str) -> String {
	clean(text, LINE, "")
}

/// A text that may have several lines, such as an error and what to do about it: at most 8192 characters.
pub fn text(text: &str) -> String {
	clean(text, TEXT, "\n\t")
}

/// The first so many characters of a text. Those that do something are replaced, but for those in `kept`; what is left out is marked.
fn clean(text: &str, most: usize, kept: &str) -> String {
	let mut characters = text.chars();
	let mut cleaned: String = characters
		.by_ref()
		.take(most)
		.map(|c| if acts(c) && !kept.contains(c) { char::REPLACEMENT_CHARACTER } else { c })
		.collect();
	if characters.next().is_some() {
		cleaned.push('…');
	}
	cleaned
}

/// Whether a character does something instead of standing for itself: control characters; the Arabic letter mark; what has no width, joiners and direction marks;
/// ends of lines and paragraphs, embeddings and overrides; isolates and what else is invisible; the byte order mark; tags.
fn acts(c: char) -> bool {
	c.is_control()
		|| matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
		|| matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Writes a log entry's fields as they are usually written, their values cleaned: each stays in its line, and nothing in it reaches the terminal as a command.
/// For logs that people read; JSON has escapes of its own.
pub struct PlainFields;

impl<'a> MakeVisitor<Writer<'a>> for PlainFields {
	type Visitor = PlainVisitor<'a>;

	fn make_visitor(&self, writer: Writer<'a>) -> PlainVisitor<'a> {
		PlainVisitor(DefaultVisitor::new(writer, true))
	}
}

/// Writes the fields of one entry, see [`PlainFields`].
pub struct PlainVisitor<'a>(DefaultVisitor<'a>);

impl Visit for PlainVisitor<'_> {
	fn record_str(&mut self, field: &Field, value: &str) {
		match field.name() {
			"message" => self.record_debug(field, &format_args!("{value}")),
			// In quotes, and with escapes.
			_ => self.record_debug(field, &value),
		}
	}

	fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
		let mut whole = value.to_string();
		let mut cause = value.source();
		while let Some(error) = cause {
			whole = format!("{whole}: {error}");
			cause = error.source();
		}
		self.record_debug(field, &format_args!("{whole}"));
	}

	fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
		let value = clean(&format!("{value:?}"), TEXT, "");
		self.0.record_debug(field, &format_args!("{value}"));
	}
}

impl VisitOutput<fmt::Result> for PlainVisitor<'_> {
	fn finish(self) -> fmt::Result {
		self.0.finish()
	}
}

impl VisitFmt for PlainVisitor<'_> {
	fn writer(&mut self) -> &mut dyn fmt::Write {
		self.0.writer()
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::{
		io,
		sync::{Arc, Mutex},
	};

	#[test]
	fn what_acts_is_replaced_and_the_rest_stays() {
		for good in ["", "demo", "Größe 3 × 4", "日本語", "שלום", "🐦 cuckoo", "a\u{fffd}b"]
		{
			assert_eq!(line(good), good);
			assert_eq!(text(good), good);
		}
		let controls = "\0\u{7}\u{8}\r\u{1b}\u{7f}\u{85}\u{9b}";
		let formats =
			"\u{61c}\u{200b}\u{200f}\u{2028}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}\u{e0041}";
		for bad in controls.chars().chain(formats.chars()) {
			let name = format!("a{bad}b");
			assert_eq!(line(&name), "a\u{fffd}b", "{bad:?}");
			assert_eq!(text(&name), "a\u{fffd}b", "{bad:?}");
		}
		assert_eq!(line("\u{1b}[31mred\u{1b}[0m"), "\u{fffd}[31mred\u{fffd}[0m");
		assert_eq!(line("a\nb\tc"), "a\u{fffd}b\u{fffd}c");
		assert_eq!(text("a\nb\tc"), "a\nb\tc");
	}

	#[test]
	fn what_is_too_long_is_cut_between_characters() {
		let long = "é".repeat(LINE);
		assert_eq!(line(&long), long);
		assert_eq!(line(&format!("{long}x")), format!("{long}…"));
		assert_eq!(text(&"x".repeat(TEXT + 9)).chars().count(), TEXT + 1);
	}

	/// What was written to the log.
	#[derive(Clone, Default)]
	struct Log(Arc<Mutex<Vec<u8>>>);

	impl io::Write for Log {
		fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
			self.0.lock().unwrap().extend_from_slice(bytes);
			Ok(bytes.len())
		}

		fn flush(&mut self) -> io::Result<()> {
			Ok(())
		}
	}

	#[test]
	fn no_value_in_the_log_reaches_the_terminal_as_a_command() {
		let log = Log::default();
		let writer = log.clone();
		let subscriber = tracing_subscriber::fmt()
			.with_writer(move || writer.clone())
			.with_ansi(false)
			.without_time()
			.fmt_fields(PlainFields)
			.finish();
		let evil = "a\u{1b}[2Jb\nc\u{202e}";
		let error = io::Error::other(evil);
		tracing::subscriber::with_default(subscriber, || {
			tracing::info!(name = evil, shown = %evil, number = 7, "said {evil}");
			tracing::warn!(error = &error as &dyn Error, "failed");
		});
		let written = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
		assert_eq!(written.lines().count(), 2, "{written:?}");
		assert!(written.chars().all(|c| c == '\n' || !acts(c)), "{written:?}");
		for part in [
			"said a\u{fffd}[2Jb\u{fffd}c\u{fffd}",
			"name=\"a\\u{1b}[2Jb\\nc\\u{202e}\"",
			"shown=a\u{fffd}[2Jb\u{fffd}c\u{fffd}",
			"number=7",
			"error=a\u{fffd}[2Jb\u{fffd}c\u{fffd}",
		] {
			assert!(written.contains(part), "{written:?} lacks {part:?}");
		}
	}
}
