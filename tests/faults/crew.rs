//! Two instances of the program on one database, and whoever kills, stops, pauses and restarts them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::base::Base;
use super::job::Ledger;
use super::process::{Place, Process};
use super::random::Random;

/// What was done to processes.
#[derive(Debug, Default)]
pub struct Blows {
    pub kills: AtomicU64,
    pub pauses: AtomicU64,
    pub stops: AtomicU64,
    /// Longest time, in milliseconds, for which a lease of a killed process still had to run.
    pub longest_lease_ms: AtomicU64,
}

/// Where instances are found: empty while one is down.
pub struct Crew {
    addresses: Mutex<[String; 2]>,
    members: [Mutex<Member>; 2],
    variables: Vec<(String, String)>,
    pub blows: Blows,
}

#[derive(Default)]
struct Member {
    running: Option<Process>,
    /// Each life has a folder, with its log.
    lives: Vec<Place>,
}

/// What happens to an instance, and for how long it lasts.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Kill(Duration),
    Stop(Duration),
    Pause(Duration),
}

impl Crew {
    /// Starts both; they go by these variables and no others.
    pub fn start(variables: Vec<(String, String)>) -> Self {
        let crew = Self {
            addresses: Mutex::default(),
            members: Default::default(),
            variables,
            blows: Blows::default(),
        };
        crew.raise(0);
        crew.raise(1);
        crew
    }

    /// Where that instance answers, or did before it went down.
    pub fn address(&self, instance: usize) -> String {
        self.addresses.lock().expect("no panic")[instance].clone()
    }

    fn member(&self, instance: usize) -> MutexGuard<'_, Member> {
        self.members[instance].lock().expect("no panic")
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    fn raise(&self, instance: usize) {
        let mut member = self.member(instance);
        let place = Place::new();
        let running = place.serve(&self.variables());
        self.addresses.lock().expect("no panic")[instance].clone_from(&running.base);
        member.lives.push(place);
        member.running = Some(running);
    }

    /// Does harm until `ledger` says that all is done; the next blow falls after so many acknowledgements, or a second
    /// without any.
    pub fn torment(&self, ledger: &Ledger, base: &Base, random: &mut Random) {
        while !ledger.is_over() {
            let wanted = ledger.acknowledgements() + 4 + random.below(36);
            let waiting = Instant::now();
            while ledger.acknowledgements() < wanted
                && waiting.elapsed() < Duration::from_secs(1)
                && !ledger.is_over()
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            let instance = usize::from(random.percent(50));
            let lasts = |random: &mut Random, most| Duration::from_millis(random.below(most));
            let blow = match random.below(10) {
                0..=3 => Blow::Kill(Duration::ZERO),
                4..=5 => Blow::Kill(lasts(random, 800)),
                6 => Blow::Stop(lasts(random, 300)),
                // Shorter than a lease, and longer than one.
                _ => Blow::Pause(lasts(random, 3500)),
            };
            self.strike(instance, blow, base);
        }
    }

    fn strike(&self, instance: usize, blow: Blow, base: &Base) {
        match blow {
            Blow::Kill(down) => {
                let victim = self.member(instance).running.take();
                let number = victim.as_ref().map(Process::id);
                // Dropping a process kills it with SIGKILL, and waits until it has ended.
                drop(victim);
                self.blows.kills.fetch_add(1, Ordering::Relaxed);
                if let Some(number) = number {
                    let left = base.longest_lease_of(number);
                    self.blows.longest_lease_ms.fetch_max(left, Ordering::Relaxed);
                }
                std::thread::sleep(down);
                self.raise(instance);
            }
            Blow::Stop(down) => {
                let victim = self.member(instance).running.take().expect("it runs");
                self.blows.stops.fetch_add(1, Ordering::Relaxed);
                victim.stop();
                std::thread::sleep(down);
                self.raise(instance);
            }
            Blow::Pause(lasts) => {
                let member = self.member(instance);
                let victim = member.running.as_ref().expect("it runs");
                victim.signal("STOP");
                self.blows.pauses.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(lasts);
                victim.signal("CONT");
            }
        }
    }

    /// Stops both in good order.
    pub fn stop(&self) {
        for instance in 0..2 {
            if let Some(running) = self.member(instance).running.take() {
                running.stop();
            }
        }
    }

    /// One sweep with nobody else about, which takes whatever lies about for an orphan; what it said.
    pub fn sweep(&self) -> String {
        let mut variables = self.variables();
        variables.push(("MULETEER_UPLOADS__ORPHAN_GRACE_HOURS", "0"));
        let output = Place::new().run_with(&["sweep"], &variables);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The lines of all logs that mention `word`.
    pub fn logged(&self, word: &str) -> Vec<String> {
        let mut found = Vec::new();
        for instance in 0..2 {
            for (life, place) in self.member(instance).lives.iter().enumerate() {
                let log = std::fs::read_to_string(place.path().join("stderr.txt")).unwrap_or_default();
                let lines = log.lines().filter(|line| line.contains(word));
                found.extend(lines.map(|line| format!("{instance}.{life}: {line}")));
            }
        }
        found
    }
}
