//! Calls of language models, as spans tell of them [semantic conventions for generative AI, in development]. All names that are read are
//! here; prompts and answers, which a span may have as well, are not.

use super::attribute::Attribute;
use crate::decode::text::jsonl::{Prices, cost_of};
use crate::event::{Call, FaultKind};

/// What begins the name of an attribute that is read here.
pub(super) const PREFIX: &str = "gen_ai.";

/// Operations that ask a model. Others, such as `invoke_agent`, are spans around such calls and may tell the tokens of all of them again.
const OPERATIONS: [&str; 4] = ["chat", "text_completion", "generate_content", "embeddings"];

/// What a span says of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallAttributes<'a> {
    operation: Option<&'a str>,
    requested: Option<&'a str>,
    answered: Option<&'a str>,
    sent: Option<f64>,
    received: Option<f64>,
}

impl<'a> CallAttributes<'a> {
    /// Takes an attribute whose name, without [`PREFIX`], is this.
    pub(super) fn take(&mut self, name: &str, attribute: &Attribute<'a>) {
        match name {
            "operation.name" => self.operation = attribute.text(),
            "request.model" => self.requested = attribute.text(),
            "response.model" => self.answered = attribute.text(),
            // The second names are those of before 1.27.
            "usage.input_tokens" | "usage.prompt_tokens" => self.sent = attribute.number(),
            "usage.output_tokens" | "usage.completion_tokens" => self.received = attribute.number(),
            _ => {}
        }
    }

    /// The model that was asked, if a model was. The name that the caller uses comes first: prices are listed under it.
    pub(super) fn model(&self) -> Option<&'a str> {
        let asks = self.operation.is_none_or(|operation| OPERATIONS.contains(&operation));
        [self.requested, self.answered].into_iter().flatten().find(|model| asks && !model.is_empty())
    }

    /// The call of a model that took so long, without its trace and its error.
    ///
    /// # Errors
    /// A number of tokens is none.
    pub(super) fn call(&self, model: &'a str, seconds: f64, prices: &Prices) -> Result<Call<'a>, FaultKind> {
        let tokens = |number: Option<f64>| match number {
            Some(number) if !number.is_finite() || number < 0.0 => Err(FaultKind::BadValue),
            number => Ok(number.unwrap_or_default()),
        };
        let (prompt_tokens, completion_tokens) = (tokens(self.sent)?, tokens(self.received)?);
        Ok(Call {
            model,
            prompt_tokens,
            completion_tokens,
            cost: cost_of(prices, model, prompt_tokens, completion_tokens),
            seconds: Some(seconds),
            first_token_seconds: None,
            cache_hit: None,
            error: None,
            ended: None,
            trace: None,
        })
    }
}
