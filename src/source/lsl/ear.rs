//! What hears a stream: an inlet, and the judge of the samples that it brings.

use crate::analysis::quality::Judge;
use crate::decode::lsl::Inlet;
use crate::decode::{Decoder, Sink};
use crate::event::Body;

/// An inlet, and the judge of what it brings.
pub(super) struct Ear {
    pub(super) inlet: Inlet,
    pub(super) judge: Option<Judge>,
    /// Whether samples are reported, rather than only assessed: those of a look are no account of a stream.
    pub(super) aloud: bool,
}

impl Ear {
    fn hear(&mut self, out: &mut Sink<'_>, with: impl FnOnce(&mut Inlet, &mut Sink<'_>)) {
        let Self { inlet, judge, aloud } = self;
        with(inlet, &mut |body| {
            if let Some(judge) = judge {
                judge.see(&body);
            }
            if *aloud || !matches!(body, Body::Device(_) | Body::Samples(_)) {
                out(body);
            }
        });
    }
}

impl Decoder for Ear {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        self.hear(out, |inlet, out| inlet.decode(bytes, out));
        if let Some(judge) = &mut self.judge {
            judge.tell(out);
        }
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        self.hear(out, |inlet, out| inlet.end(out));
        if let Some(judge) = &mut self.judge {
            judge.end(out);
        }
    }

    fn process_deferred(&mut self) -> bool {
        self.judge.as_mut().is_some_and(Judge::process_deferred)
    }

    fn is_broken(&self) -> bool {
        self.inlet.is_broken()
    }
}
