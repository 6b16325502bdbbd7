//! What runs beside the loop: checks, loads, programs that are told, and looks into a folder.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;

use crate::check::{self, Outcome, program};
use crate::core::{LoadId, LoadQuestion, ProbeId, Question};
use crate::load::{self, Reading};

/// Answers that may wait for the loop.
pub const QUEUE: usize = 1024;
/// Programs that are told something, at a time; the others wait for their turn.
const PROGRAMS: usize = 32;
/// So many at most are told something or wait for it: more than a farm has servers to go down at once, twice over.
const MOST_TOLD: usize = 20_000;
/// How long such a program may take.
const PROGRAM_BOUND: Duration = Duration::from_secs(60);
/// Files in the maintenance folder that are looked at.
const MOST_FILES: usize = 100_000;

/// What a task found.
#[derive(Debug)]
pub enum Answer {
    /// Of a check.
    Outcome(ProbeId, Outcome),
    /// Of a question for a load.
    Reading(LoadId, Result<Reading, String>),
    /// The names in the maintenance folder.
    Files(Result<BTreeSet<String>, String>),
}

/// Starts tasks; their answers go to the loop.
#[derive(Clone, Debug)]
pub struct Tasks {
    answers: Sender<Answer>,
    programs: Arc<Semaphore>,
    told: Arc<Semaphore>,
}

impl Tasks {
    /// With the way back.
    pub fn new(answers: Sender<Answer>) -> Tasks {
        let slots = |number| Arc::new(Semaphore::new(number));
        Tasks { answers, programs: slots(PROGRAMS), told: slots(MOST_TOLD) }
    }

    fn answer(&self, answer: impl Future<Output = Answer> + Send + 'static) {
        let answers = self.answers.clone();
        // A loop that has ended needs no answer.
        tokio::spawn(async move { drop(answers.send(answer.await).await) });
    }

    /// Asks a real server.
    pub fn check(&self, id: ProbeId, question: Arc<Question>) {
        self.answer(async move {
            let Question { spec, target, deadline, .. } = &*question;
            Answer::Outcome(id, check::run(spec, target, *deadline).await)
        });
    }

    /// Asks for a load.
    pub fn load(&self, id: LoadId, question: Arc<LoadQuestion>) {
        self.answer(async move {
            let LoadQuestion { source, target, deadline, .. } = &*question;
            Answer::Reading(id, load::source::read(source, target, *deadline).await)
        });
    }

    /// Looks into a folder.
    pub fn look_into(&self, folder: PathBuf) {
        self.answer(async move {
            let look = tokio::task::spawn_blocking(move || names(&folder));
            Answer::Files(look.await.unwrap_or_else(|error| Err(error.to_string())))
        });
    }

    /// Runs a program that is to be told something, when it is its turn: they begin in the order of what they are told.
    /// Nobody waits for it.
    pub fn tell(&self, program: PathBuf, args: Vec<String>) {
        let Ok(place) = Arc::clone(&self.told).try_acquire_owned() else {
            tracing::error!(
                "{} was not told {args:?}: {MOST_TOLD} programs are to be run first",
                program.display()
            );
            return;
        };
        let programs = Arc::clone(&self.programs);
        tokio::spawn(async move {
            // It is never closed.
            let turn = programs.acquire().await;
            let shown = program.display().to_string();
            let args = args.into_iter().map(OsString::from).collect();
            let call = program::Call { program, args, env: Vec::new() };
            match tokio::time::timeout(PROGRAM_BOUND, program::run(call)).await {
                Ok(Ok(ended)) if ended.status.success() => {}
                Ok(Ok(ended)) => {
                    let said = String::from_utf8_lossy(&ended.stderr).chars().take(300).collect::<String>();
                    tracing::warn!("{shown} ended with {}: {}", ended.how(), said.trim());
                }
                Ok(Err(error)) => tracing::error!("{error}"),
                Err(_) => {
                    tracing::error!("{shown} was ended: it took longer than {} s", PROGRAM_BOUND.as_secs());
                }
            }
            drop((turn, place));
        });
    }
}

fn names(folder: &std::path::Path) -> Result<BTreeSet<String>, String> {
    match std::fs::read_dir(folder) {
        Ok(entries) => Ok(entries
            .take(MOST_FILES)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(format!("cannot look into {}: {error}", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn whoever_is_to_be_told_is_told_however_many_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let (gate, told) = (folder.path().join("gate"), folder.path().join("told"));
        let (answers, _answered) = tokio::sync::mpsc::channel(1);
        let tasks = Tasks::new(answers);
        // All that may run wait at the gate while the others come.
        let script =
            format!("until [ -e {} ]; do sleep 0.02; done; echo $0 >>{}", gate.display(), told.display());
        for number in 0..3 * PROGRAMS {
            tasks.tell("/bin/sh".into(), vec!["-c".to_owned(), script.clone(), number.to_string()]);
        }
        std::fs::write(&gate, "").unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        let lines = || std::fs::read_to_string(&told).unwrap_or_default().lines().count();
        while lines() < 3 * PROGRAMS {
            assert!(Instant::now() < end, "{} were told", lines());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
