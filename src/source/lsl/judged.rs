//! What hears a stream: an inlet, and the judge of its samples.

use crate::analysis::quality::Judge;
use crate::decode::lsl::Inlet;
use crate::decode::{Decoder, Sink};
use crate::event::Body;

/// An inlet, and the judge of its samples.
pub(super) struct JudgedInlet {
    pub(super) inlet: Inlet,
    pub(super) judge: Option<Judge>,
    /// Whether samples are reported, rather than only assessed: those of a look are no account of a stream.
    pub(super) emit_samples: bool,
}

impl JudgedInlet {
    fn receive(&mut self, out: &mut Sink<'_>, with: impl FnOnce(&mut Inlet, &mut Sink<'_>)) {
        let Self { inlet, judge, emit_samples } = self;
        with(inlet, &mut |body| {
            if let Some(judge) = judge {
                judge.observe(&body);
            }
            if *emit_samples || !matches!(body, Body::Device(_) | Body::Samples(_)) {
                out(body);
            }
        });
    }
}

impl Decoder for JudgedInlet {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        self.receive(out, |inlet, out| inlet.decode(bytes, out));
        if let Some(judge) = &mut self.judge {
            judge.emit(out);
        }
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        self.receive(out, |inlet, out| inlet.end(out));
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
