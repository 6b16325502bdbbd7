//! Taking a new configuration over while all goes on.

use cluster::{Event, Input, Level};
use proto::Keyring;
use tokio::sync::oneshot;

use super::super::disk;
use super::super::reload::{Loaded, objection};
use super::super::settings::settings;
use super::super::when::now;
use super::super::work::{self, WorkConfig};
use super::Engine;
use crate::config::Config;
use crate::control::Answer;

impl Engine {
    /// HUP or an operator: read the configuration again.
    pub fn reload(&mut self, waiting: Option<oneshot::Sender<Answer>>) {
        self.reloads.extend(waiting);
        if self.reloading {
            return;
        }
        self.reloading = true;
        self.parts.notifier.reloading();
        if self.parts.disk.ask(disk::Job::Load(self.request.clone())).is_err() {
            let outcome = Err("the disk thread has too much to do: try again later".to_owned());
            self.loaded(Loaded { outcome });
        }
    }

    pub(super) fn loaded(&mut self, loaded: Loaded) {
        self.reloading = false;
        let outcome = match loaded.outcome {
            Ok((config, _)) if self.leaving => Err(format!("node {} is leaving", config.me)),
            Ok((config, keyring)) => match objection(&self.config, &config) {
                Some(objection) => Err(objection),
                None => Ok(self.take_over(config, keyring)),
            },
            Err(problems) => Err(problems),
        };
        // Of a success the core itself makes an event.
        if let Err(problems) = &outcome {
            let first = problems.lines().next().unwrap_or_default();
            let all = if problems.lines().nth(1).is_some() { "; `hbd --check` shows all of it" } else { "" };
            self.event(Event {
                level: Level::Error,
                kind: "config".into(),
                subject: self.request.config.display().to_string(),
                from: None,
                to: None,
                why: format!("the configuration was not taken over: {first}{all}"),
                took_ms: None,
            });
        }
        for waiting in self.reloads.drain(..) {
            let _ = waiting.send(match &outcome {
                Ok(text) => Answer::Done { text: text.clone(), data: serde_json::Value::Null },
                Err(reason) => Answer::Refused { reason: reason.clone() },
            });
        }
        self.parts.notifier.ready();
    }

    /// Makes `config` the configuration. Links and settings change in one step, so that no datagram
    /// is taken for one of another link.
    fn take_over(&mut self, config: Config, keyring: Keyring) -> String {
        let same = config == self.config;
        for warning in config.warnings.iter().chain(&keyring.warnings()) {
            tracing::warn!("{warning}");
        }
        self.parts.table.load(&config);
        self.parts.core.set_keyring(keyring);
        let changes = self.parts.links.reload(&config.links, config.cluster.keepalive, now());
        let names: Vec<String> = config.links.iter().map(|link| link.name.clone()).collect();
        self.parts.troubles.keep_links(&names);
        self.parts.troubles.forget_devices(&config.fences);
        if self.parts.work.ask(work::Job::Config(Box::new(WorkConfig::of(&config)))).is_err() {
            tracing::error!(
                "who may steer and the failback window stay as they were: the work thread has too much to do"
            );
        }
        if config.watchdog != self.config.watchdog {
            tracing::warn!("[watchdog] changes at the next start of hbd");
        }
        if config.daemon.realtime != self.config.daemon.realtime {
            tracing::warn!("[daemon] realtime changes at the next start of hbd");
        }
        let settings = settings(&config);
        self.config = config;
        self.feed(Input::Reload(Box::new(settings)));
        self.tell_addresses();
        self.link_changes(changes);
        let text = if same {
            "the configuration was read again: nothing changed"
        } else {
            "the new configuration is in force"
        };
        text.to_owned()
    }
}
