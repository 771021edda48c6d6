//! Who answers a question of the past: a server by Prometheus' HTTP API, the agent by the same, or the agent's file. The question has the
//! same text wherever it is answered.
//!
//! Nothing here knows what is asked, or why.

mod past;
mod settings;

use std::future::Future;
use std::pin::Pin;

use crate::promql::When;
pub use crate::provision::query::{Answer, Failure, Server};
pub use past::Past;
pub use settings::{Prometheus, Settings};

/// An answer that comes.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send + 'a>>;

/// Something that answers questions of the past.
pub trait Answers: Send + Sync {
    /// What it is called in a message.
    fn name(&self) -> String;

    /// What an expression is worth.
    ///
    /// # Errors
    /// [`Failure::Absent`] where another one may be asked; otherwise the answer of any would be no better.
    fn query<'a>(&'a self, expr: &'a str, when: When) -> Answering<'a>;
}

impl Answers for Server {
    fn name(&self) -> String {
        self.root().to_owned()
    }

    fn query<'a>(&'a self, expr: &'a str, when: When) -> Answering<'a> {
        Box::pin(self.ask(expr, when))
    }
}

/// Several that answer, each in the absence of those before it, which the answer says.
pub struct Bridged(pub Vec<Box<dyn Answers>>);

impl std::fmt::Debug for Bridged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|one| one.name())).finish()
    }
}

impl Answers for Bridged {
    fn name(&self) -> String {
        self.0.first().map(|first| first.name()).unwrap_or_default()
    }

    fn query<'a>(&'a self, expr: &'a str, when: When) -> Answering<'a> {
        Box::pin(async move {
            let mut absent: Vec<String> = Vec::new();
            for one in &self.0 {
                match one.query(expr, when).await {
                    Ok(mut answer) => {
                        if !absent.is_empty() {
                            let note =
                                format!("answered by {}, because {}", one.name(), absent.join("; and "));
                            answer.notes.insert(0, note);
                        }
                        return Ok(answer);
                    }
                    Err(Failure::Absent(why)) => absent.push(why),
                    Err(other) => return Err(other),
                }
            }
            Err(Failure::Absent(absent.join("\n")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::Value;

    /// One with a fixed answer.
    struct Fixed(&'static str, Result<f64, Failure>);

    impl Answers for Fixed {
        fn name(&self) -> String {
            self.0.to_owned()
        }

        fn query<'a>(&'a self, _: &'a str, _: When) -> Answering<'a> {
            let answer =
                self.1.clone().map(|v| Answer { value: Value::Scalar(v), notes: vec!["its own".to_owned()] });
            Box::pin(std::future::ready(answer))
        }
    }

    async fn asked(all: Vec<Fixed>) -> Result<Answer, Failure> {
        let all = Bridged(all.into_iter().map(|one| Box::new(one) as Box<dyn Answers>).collect());
        all.query("1", When::At(0)).await
    }

    #[tokio::test]
    async fn who_is_absent_is_bridged_and_the_answer_says_so() {
        let absent = |name, why: &str| Fixed(name, Err(Failure::Absent(why.into())));
        let answer = asked(vec![Fixed("a", Ok(1.0)), Fixed("b", Ok(2.0))]).await.unwrap();
        assert_eq!((answer.value, answer.notes), (Value::Scalar(1.0), vec!["its own".to_owned()]));
        let answer = asked(vec![absent("a", "a is down"), absent("b", "b is too"), Fixed("c", Ok(3.0))])
            .await
            .unwrap();
        assert_eq!(answer.value, Value::Scalar(3.0));
        assert_eq!(answer.notes, ["answered by c, because a is down; and b is too", "its own"]);
        // An expression that is wrong is wrong everywhere, and who refuses is not absent.
        for why in [Failure::Question("1:1".into()), Failure::Server("401".into())] {
            assert_eq!(asked(vec![Fixed("a", Err(why.clone())), Fixed("b", Ok(1.0))]).await, Err(why));
        }
        let all = asked(vec![absent("a", "a is down"), absent("b", "b is too")]).await;
        assert_eq!(all, Err(Failure::Absent("a is down\nb is too".into())));
    }
}
