//! `[[respawn]]`: processes kept alive beside the daemon, as Heartbeat's `respawn` did. One that ends is started again after
//! a pause that grows while it keeps ending early; exit code 100 means that it is not to be started again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::User;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::agents::{Program, ProgramEnd, Runner};
use crate::config::Respawn;

/// The first pause before it is started again; each is twice the one before.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// One that has run for so long has not ended early.
const LONG: Duration = Duration::from_secs(60);
/// The exit code of one that does not want to be started again (Heartbeat's ha.cf, `respawn`).
const ENOUGH: i32 = 100;

/// All of them.
#[derive(Debug)]
pub struct Respawns {
    runner: Arc<Runner>,
    cluster: String,
    node: String,
    all: Vec<One>,
}

#[derive(Debug)]
struct One {
    respawn: Respawn,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Respawns {
    /// None yet; see [`Respawns::set`].
    pub fn new(runner: Arc<Runner>, cluster: String, node: String) -> Respawns {
        Respawns { runner, cluster, node, all: Vec::new() }
    }

    /// Takes the configuration's over: what did not change runs on, what was removed is ended.
    pub fn set(&mut self, respawns: &[Respawn]) {
        let mut old = std::mem::take(&mut self.all);
        for respawn in respawns {
            let kept = old.iter().position(|one| one.respawn == *respawn).map(|at| old.swap_remove(at));
            let one = kept.unwrap_or_else(|| self.begin(respawn.clone()));
            self.all.push(one);
        }
        for One { stop, .. } in old {
            // An error says that it had had enough already.
            let _ = stop.send(());
        }
    }

    fn begin(&self, respawn: Respawn) -> One {
        let (stop, stopped) = oneshot::channel();
        let keeper = Keeper {
            respawn: respawn.clone(),
            runner: Arc::clone(&self.runner),
            env: vec![
                ("HBD_CLUSTER".to_owned(), self.cluster.clone()),
                ("HBD_NODE".to_owned(), self.node.clone()),
                ("HA_CURHOST".to_owned(), self.node.clone()),
            ],
        };
        One { respawn, stop, task: tokio::spawn(keeper.keep(stopped)) }
    }

    /// Ends all of them, and waits for that so long at most.
    pub async fn close(&mut self, bound: Duration) {
        let all: Vec<_> = self.all.drain(..).collect();
        let tasks: Vec<_> = all
            .into_iter()
            .map(|One { stop, task, .. }| {
                let _ = stop.send(());
                task
            })
            .collect();
        let until = Instant::now() + bound;
        for task in tasks {
            if tokio::time::timeout_at(until, task).await.is_err() {
                tracing::warn!("a process of [[respawn]] did not end in time");
            }
        }
    }
}

struct Keeper {
    respawn: Respawn,
    runner: Arc<Runner>,
    env: Vec<(String, String)>,
}

impl Keeper {
    async fn keep(self, mut stopped: oneshot::Receiver<()>) {
        let name = self.respawn.command.join(" ");
        let mut pause = PAUSE;
        loop {
            let began = Instant::now();
            tracing::info!("respawn: {name} is started");
            let end = match self.program().await {
                Ok(program) => {
                    let told = async {
                        let _ = (&mut stopped).await;
                    };
                    self.runner.program(&program, told).await
                }
                Err(why) => ProgramEnd::Failed(why),
            };
            let why = match end {
                ProgramEnd::Told => return tracing::info!("respawn: {name} was ended"),
                ProgramEnd::Exit(ENOUGH, _) => {
                    return tracing::warn!("respawn: {name} ended with code {ENOUGH}: not started again");
                }
                ProgramEnd::Exit(_, why) | ProgramEnd::Failed(why) => why,
            };
            pause = if began.elapsed() >= LONG { PAUSE } else { pause };
            tracing::warn!("respawn: {why}; started again in {} s", pause.as_secs());
            tokio::select! {
                biased;
                _ = &mut stopped => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn program(&self) -> Result<Program, String> {
        let Some((path, args)) = self.respawn.command.split_first() else {
            return Err("there is nothing to run".to_owned());
        };
        let user = match &self.respawn.user {
            Some(name) => Some(ids(name.clone()).await?),
            None => None,
        };
        Ok(Program {
            purpose: "respawn",
            path: PathBuf::from(path),
            args: args.to_vec(),
            env: self.env.clone(),
            input: None,
            user,
            max_lines: Some(usize::MAX),
            timeout: Duration::MAX,
        })
    }
}

/// User and primary group by name; the user database may be far away, so not on this thread.
async fn ids(name: String) -> Result<(u32, u32), String> {
    let asked = name.clone();
    let found = tokio::task::spawn_blocking(move || User::from_name(&asked)).await;
    match found {
        Ok(Ok(Some(user))) => Ok((user.uid.as_raw(), user.gid.as_raw())),
        Ok(Ok(None)) => Err(format!("there is no user {name}")),
        Ok(Err(error)) => Err(format!("user {name} cannot be looked up: {error}")),
        Err(error) => Err(format!("user {name} cannot be looked up: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::RunnerSettings;

    fn shell(script: &str) -> Respawn {
        Respawn { command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(), user: None }
    }

    fn lines(path: &std::path::Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn until(holds: impl Fn() -> bool) {
        let look = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), look).await.expect("in time");
    }

    #[tokio::test]
    async fn one_that_ends_is_started_again_and_one_that_had_enough_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let runner = Arc::new(Runner::new(RunnerSettings::new("a", "test", folder.path().join("scratch"))));
        let (again, once, stays) =
            (folder.path().join("again"), folder.path().join("once"), folder.path().join("stays"));
        let mut respawns = Respawns::new(runner, "test".into(), "a".into());
        let all = [
            shell(&format!("echo \"$HBD_NODE\" >>{}; exit 1", again.display())),
            shell(&format!("echo x >>{}; exit 100", once.display())),
            shell(&format!(
                "trap 'echo ended >>{0}; exit' TERM; echo $$ >>{0}; sleep 600 & wait",
                stays.display()
            )),
        ];
        respawns.set(&all);
        until(|| lines(&again).len() >= 2 && lines(&stays).len() == 1).await;
        assert_eq!(lines(&again)[..2], ["a", "a"]);
        assert_eq!(lines(&once), ["x"]);
        // What is still configured runs on; what is not is ended, in order.
        respawns.set(&all[2..]);
        respawns.close(Duration::from_secs(30)).await;
        assert_eq!(lines(&stays)[1..], ["ended"]);
    }
}
