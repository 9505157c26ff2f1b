//! The loop: a heap of the moments of all clients, taken in the order of their times.

use super::dice::{Chance, Dice};
use super::object::{Crash, Moment, Object};
use super::scene::Scene;
use super::{OP_NS, Plan, Planted, Refused};
use crate::history::{Builder, Event, History, Kind};
use crate::value::ValueId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How much longer than half an op a crashed op may take, on average, until it takes effect after all.
const LATE: u64 = 16;

/// What will become of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    /// Crashes after it took effect.
    InTime,
    /// Crashes, and takes effect later.
    Late,
    /// Crashes and never takes effect.
    Never,
}

/// Where a client, or a crashed op that is yet to take effect, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    Called,
    Acted,
    /// No client waits for it any more.
    Crashed,
}

#[derive(Debug)]
struct Slot<Op> {
    stage: Stage,
    fate: Fate,
    called: u32,
    client: u32,
    op: Op,
}

struct Simulation<'a, O: Object> {
    plan: &'a Plan,
    object: O,
    scene: Scene,
    dice: Dice,
    info: Chance,
    builder: Builder,
    /// The clients, and after them crashed ops that are yet to take effect.
    slots: Vec<Slot<O::Op>>,
    free: Vec<u32>,
    moments: BinaryHeap<Reverse<(u64, u32)>>,
    processes: Vec<i64>,
    asked: u32,
    /// The first op that may carry the anomaly.
    from: u32,
    /// The time of the last event.
    last_ns: i64,
}

/// Simulates the object as planned.
pub(super) fn run<O: Object>(plan: &Plan, object: O) -> Result<(History, Option<Planted>), Refused> {
    let clients = plan.concurrency;
    let mut simulation = Simulation {
        plan,
        object,
        scene: Scene::new(plan.anomaly),
        dice: Dice::new(plan.seed),
        info: Chance::of(plan.info),
        builder: Builder::new(),
        slots: (0..clients)
            .map(|client| Slot { stage: Stage::Idle, fate: Fate::Answered, called: 0, client, op: O::Op::default() })
            .collect(),
        free: Vec::new(),
        moments: BinaryHeap::with_capacity(clients as usize + 1),
        processes: (0..i64::from(clients)).collect(),
        asked: 0,
        from: (f64::from(plan.ops) * plan.anomaly_at) as u32,
        last_ns: 0,
    };
    let meta = simulation.builder.meta();
    meta.keyed = Some(!plan.model.has_transactions() && plan.keys() > 1);
    meta.header.extend(plan.header());
    simulation.run();
    simulation.finish()
}

impl<O: Object> Simulation<'_, O> {
    fn run(&mut self) {
        for client in 0..self.plan.concurrency {
            let time = self.dice.delay(self.plan.think_ns);
            self.moments.push(Reverse((time, client)));
        }
        // Clients that are answered: the crashed ops left over never take effect.
        let mut busy = 0;
        while self.asked < self.plan.ops || busy > 0 {
            let Some(Reverse((time, slot))) = self.moments.pop() else { break };
            let next = match self.slots[slot as usize].stage {
                Stage::Idle if self.asked == self.plan.ops => None,
                Stage::Idle => {
                    busy += 1;
                    self.ask(slot, time);
                    Some(OP_NS / 2)
                }
                Stage::Called => {
                    if matches!(self.slots[slot as usize].fate, Fate::Answered | Fate::InTime) {
                        self.act(slot);
                    }
                    self.slots[slot as usize].stage = Stage::Acted;
                    Some(OP_NS / 2)
                }
                Stage::Acted => {
                    busy -= 1;
                    self.complete(slot, time);
                    self.slots[slot as usize].stage = Stage::Idle;
                    Some(self.plan.think_ns)
                }
                Stage::Crashed => {
                    self.act(slot);
                    self.free.push(slot);
                    None
                }
            };
            if let Some(mean) = next {
                let delay = self.dice.delay(mean);
                self.moments.push(Reverse((time.saturating_add(delay), slot)));
            }
        }
    }

    fn moment(&self, slot: u32) -> Moment {
        let Slot { fate, called, client, .. } = self.slots[slot as usize];
        Moment { client, called, now: self.builder.len() as u32, answered: fate == Fate::Answered }
    }

    fn ask(&mut self, slot: u32, time: u64) {
        self.asked += 1;
        self.scene.armed = self.asked > self.from;
        self.slots[slot as usize].called = self.builder.len() as u32;
        let moment = self.moment(slot);
        let Slot { op, fate, stage, .. } = &mut self.slots[slot as usize];
        self.object.ask(op, moment, &self.scene, &mut self.dice);
        *stage = Stage::Called;
        *fate = if self.dice.happens(self.info) {
            match (self.object.crash(op, &self.scene), self.dice.below(4)) {
                (Crash::Never, _) => Fate::Answered,
                (Crash::Anyhow | Crash::AtOnce, 0 | 1) => Fate::InTime,
                (Crash::Anyhow, 2) => Fate::Late,
                _ => Fate::Never,
            }
        } else {
            Fate::Answered
        };
        let (f, value) = self.object.called_with(op, self.builder.values());
        self.event(slot, Kind::Invoke, f, value, time);
    }

    fn act(&mut self, slot: u32) {
        let moment = self.moment(slot);
        self.object.act(&mut self.slots[slot as usize].op, moment, &mut self.scene);
    }

    fn complete(&mut self, slot: u32, time: u64) {
        let moment = self.moment(slot);
        let Slot { op, fate, .. } = &mut self.slots[slot as usize];
        let kind = match fate {
            Fate::Answered if self.object.answer(op, moment, &mut self.scene) => Kind::Ok,
            Fate::Answered => Kind::Fail,
            _ => Kind::Info,
        };
        let (f, argument) = self.object.called_with(op, self.builder.values());
        let value = if kind == Kind::Ok { self.object.returned(op, self.builder.values()) } else { argument };
        self.event(slot, kind, f, value, time);
        if kind == Kind::Info {
            self.crash(slot, time);
        }
    }

    /// The client goes on as another process, and its op, if it is yet to take effect, without a client.
    fn crash(&mut self, slot: u32, time: u64) {
        let moment = self.moment(slot);
        self.processes[slot as usize] += i64::from(self.plan.concurrency);
        let Slot { op, fate, called, client, .. } = &mut self.slots[slot as usize];
        self.object.crashed(op, moment);
        if *fate != Fate::Late {
            return;
        }
        let crashed = Slot { stage: Stage::Crashed, fate: *fate, called: *called, client: *client, op: std::mem::take(op) };
        let delay = self.dice.delay(OP_NS / 2 * LATE);
        let late = if let Some(free) = self.free.pop() {
            self.slots[free as usize] = crashed;
            free
        } else {
            self.slots.push(crashed);
            self.slots.len() as u32 - 1
        };
        self.moments.push(Reverse((time.saturating_add(delay), late)));
    }

    /// Appends an event. No two are at the same time, so that their order is in the times as well.
    fn event(&mut self, slot: u32, kind: Kind, f: &'static str, value: ValueId, time: u64) {
        self.last_ns = i64::try_from(time).unwrap_or(i64::MAX).max(self.last_ns.saturating_add(1));
        let process = self.builder.values().int(self.processes[slot as usize]);
        let f = self.builder.name(f);
        self.builder.push(Event { process, kind, f, value, time: self.last_ns, line: 0 });
    }

    fn finish(self) -> Result<(History, Option<Planted>), Refused> {
        let Simulation { plan, scene, builder, from, .. } = self;
        let planted = scene.into_planted();
        if let (Some(anomaly), None) = (plan.anomaly, &planted) {
            return Err(Refused::NoPlace { anomaly, from, ops: plan.ops });
        }
        let history = builder.finish();
        let planted = planted.map(|planted| {
            let op = history.ops().partition_point(|op| op.invoke < planted.event) as u32;
            Planted { op, ..planted }
        });
        Ok((history, planted))
    }
}
