//! Text in a simulation: ASCII, which is written in the engine's UTF-8, or in a codec of the caller's, UTF-16.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use super::oracle::PATTERN;
use super::sink::{Scene, Simulated, Value};
use crate::engine::keep_alive::KeepAlive;
use crate::engine::runtime;
use crate::handle::{
    Characters, Decoded, Failure, Fallible, ForeignCodec, Snapshot, TextSettings, TextState, TextTarget,
};
use crate::text::{Codec, Form, TextSource};
use crate::verbs::write::Data;

/// Characters to be written and read, with line ends.
pub(super) static TEXT: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
    let character = |byte: &u8| if byte.is_multiple_of(61) { b'\n' } else { b'a' + byte % 26 };
    PATTERN.iter().map(character).collect()
});

/// A text file's state. `foreign`: its codec is the caller's.
pub(super) struct TextFile {
    pub(super) state: Arc<TextState<Simulated>>,
    pub(super) foreign: bool,
}

impl TextFile {
    pub(super) fn new(foreign: bool, newline: usize) -> Self {
        let settings = TextSettings {
            native: (!foreign).then_some(Codec::Utf8),
            newline: [None, Some(""), Some("\n")][newline % 3],
            line_buffering: newline % 4 == 1,
            write_through: newline % 8 == 2,
            sliced: true,
        };
        let codec = Utf16 { pending: Mutex::default(), width: 1 + usize::from(foreign) };
        Self { state: Arc::new(TextState::new(settings, codec)), foreign }
    }

    /// How many bytes a character takes.
    pub(super) fn width(&self) -> usize {
        1 + usize::from(self.foreign)
    }

    /// Characters as they are in the file.
    pub(super) fn encoded(&self, characters: &[u8]) -> Vec<u8> {
        if self.foreign { widened(characters) } else { characters.to_vec() }
    }
}

fn widened(characters: &[u8]) -> Vec<u8> {
    characters.iter().flat_map(|character| [*character, 0]).collect()
}

/// What `tell()` says of a text file: from where on the decoder is to be fed with how many bytes, and how many of the
/// characters are to be skipped then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    position: u64,
    pending: bool,
    feed: usize,
    skip: usize,
}

impl Place {
    pub(super) fn at(position: u64) -> Self {
        Self { position, pending: false, feed: 0, skip: 0 }
    }

    /// Whether it is in the middle of what has to be decoded.
    pub(super) fn is_within(&self) -> bool {
        self.feed > 0
    }

    /// The position in the file that it stands for.
    pub(super) fn byte(&self, width: usize) -> usize {
        self.position as usize + self.skip * width
    }
}

/// Characters to be written.
pub(super) struct Written(pub(super) &'static [u8]);

impl Characters<Simulated> for Written {
    fn length(&self, _scene: Scene<'_>) -> usize {
        self.0.len()
    }

    fn narrow(&self, _scene: Scene<'_>) -> Option<&[u8]> {
        Some(self.0)
    }

    fn shared(&self, scene: Scene<'_>) -> Data {
        let keep = KeepAlive::new(Arc::clone(&scene.context.kept));
        // SAFETY: they stay for ever.
        unsafe { Data::shared(self.0.as_ptr(), self.0.len(), keep) }
    }

    fn has_line_end(&self, _scene: Scene<'_>) -> bool {
        self.0.contains(&b'\n')
    }

    fn part(&self, _scene: Scene<'_>, part: Range<usize>) -> Fallible<Simulated, TextSource> {
        Ok(TextSource::new(Data::Owned(self.0[part].to_vec()), 1, true))
    }
}

/// UTF-16, the lower byte first. Of a file in the engine's codec, it has the places only.
pub(super) struct Utf16 {
    /// A byte whose other half is to come.
    pending: Mutex<Vec<u8>>,
    /// Bytes of a character.
    width: usize,
}

impl Utf16 {
    fn pending(&self) -> MutexGuard<'_, Vec<u8>> {
        runtime::system::lock(&self.pending)
    }

    fn take(&self, scene: Scene<'_>, input: &[u8], end: bool) -> Fallible<Simulated, Vec<u8>> {
        // Something was written where a read had ended by chance.
        let mixed = scene.oracle.borrow().mixed;
        let mut pending = self.pending();
        let whole = [&pending[..], input].concat();
        let (units, rest) = whole.as_chunks::<2>();
        if end && !rest.is_empty() && !mixed {
            return Err(Failure::Caller("a text ends with half a character".to_owned()));
        }
        if units.iter().any(|unit| unit[1] != 0) && !mixed {
            return Err(Failure::Caller("halves of two characters are decoded as one".to_owned()));
        }
        *pending = rest.to_vec();
        let character = |unit: &[u8; 2]| unit[0] & 0x7f;
        Ok(units.iter().map(character).collect())
    }
}

impl ForeignCodec<Simulated> for Utf16 {
    type State = bool;
    type Saved = (Vec<u8>, Vec<u8>);

    fn decode(&self, scene: Scene<'_>, input: &[u8], end: bool) -> Fallible<Simulated, Decoded<Simulated>> {
        let since = [&self.pending()[..], input].concat();
        let content = self.take(scene, input, end)?;
        let characters = content.len();
        Ok(Decoded { content, characters, snapshot: Snapshot::new(false, since) })
    }

    fn undecodable(&self, _scene: Scene<'_>, _bytes: &[u8]) -> Failure<String> {
        Failure::Caller("a text cannot be decoded".to_owned())
    }

    fn save(&self, _scene: Scene<'_>) -> Fallible<Simulated, Self::Saved> {
        Ok((self.pending().clone(), Vec::new()))
    }

    fn restore(&self, saved: Self::Saved) {
        *self.pending() = saved.0;
    }

    fn decode_part(
        &self,
        scene: Scene<'_>,
        saved: &mut Self::Saved,
        content: &[u8],
        part: Range<usize>,
    ) -> Fallible<Simulated, ()> {
        let end = part.end == content.len();
        saved.1.extend(self.take(scene, &content[part], end)?);
        Ok(())
    }

    fn join(
        &self,
        _scene: Scene<'_>,
        before: (&[u8], Form),
        saved: Self::Saved,
    ) -> Fallible<Simulated, Value> {
        Ok(Value::Bytes([before.0, &saved.1].concat()))
    }

    fn encode(
        &self,
        _scene: Scene<'_>,
        text: &Written,
        part: Range<usize>,
        _newline: Option<&'static str>,
    ) -> Fallible<Simulated, Vec<u8>> {
        Ok(widened(&text.0[part]))
    }

    fn save_encoder(&self, _: Scene<'_>) -> Option<bool> {
        None
    }

    fn restore_encoder(&self, _saved: bool) {}

    fn unencodable(&self, _: Scene<'_>, _: &Written, _: Option<&'static str>) -> Failure<String> {
        Failure::Caller("a text cannot be encoded".to_owned())
    }

    fn forget(&self, _scene: Scene<'_>) -> Fallible<Simulated, bool> {
        self.pending().clear();
        Ok(true)
    }

    fn plain_state(&self, _scene: Scene<'_>, pending: bool) -> bool {
        pending
    }

    fn same_state(&self, _scene: Scene<'_>, state: &bool) -> bool {
        *state
    }

    fn find(
        &self,
        scene: Scene<'_>,
        position: u64,
        snapshot: Snapshot<Simulated>,
        used: usize,
        _ratio: f64,
    ) -> Fallible<Simulated, Value> {
        let place = Place { position, pending: *snapshot.state, feed: snapshot.input.len(), skip: used };
        let plain = !place.pending && scene.context.world.chance(128);
        Ok(Value::Place(if plain { Place::at(place.byte(self.width) as u64) } else { place }))
    }

    fn target(
        &self,
        _: Scene<'_>,
        place: &Value,
        whence: i32,
    ) -> Fallible<Simulated, Option<TextTarget<Simulated>>> {
        let plain = TextTarget { offset: None, state: false, feed: 0, end: false, skip: 0 };
        Ok(match (whence, place) {
            (0, Value::Number(position)) => Some(TextTarget { offset: Some(*position as i64), ..plain }),
            (0, Value::Place(Place { position, pending, feed, skip })) => Some(TextTarget {
                offset: Some(*position as i64),
                state: *pending,
                feed: *feed,
                skip: *skip,
                ..plain
            }),
            (1, _) => None,
            _ => Some(plain),
        })
    }

    fn same_value(&self, _scene: Scene<'_>, value: &Value) -> Value {
        match value {
            Value::Number(number) => Value::Number(*number),
            Value::Place(place) => Value::Place(*place),
            _ => Value::Nothing,
        }
    }

    fn move_to(
        &self,
        _: Scene<'_>,
        target: &TextTarget<Simulated>,
        at_start: bool,
    ) -> Fallible<Simulated, (bool, bool)> {
        self.pending().clear();
        Ok((at_start && !target.state, target.state))
    }
}
