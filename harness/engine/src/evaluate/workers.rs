//! Copies of a small model, each on a thread of its own, so that samples are answered beside each other.
//!
//! An operator of a small model is too little work for several threads: they wait for each other longer than they compute. So each
//! of n threads has the whole model, computes alone, and is handed every n-th unit of samples: which one depends on the unit's number
//! alone. The thread that writes the records is one of them.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Result as ThreadResult, Scope};

use rave_lmm::size::is_small;

use super::Observer;
use super::seed_group::{SeedGroup, load};
use super::selection::Selection;
use super::suite_runner::{Common, Sink};
use super::unit::{Computed, Unit, UnitRunner};
use super::vision::{Counts, Vision};
use crate::Error;

/// Units that wait for a worker at most.
const QUEUE: usize = 4;

/// Bytes of all copies of a model's checkpoints together.
const COPIES: u64 = 1 << 30;

/// Threads that answer with a model, of so many that there are: one that has all of them to itself, or of small models as many as
/// there is work and room for.
pub(super) fn count(
    common: &Common,
    groups: &[SeedGroup],
    selections: &[Selection],
    threads: usize,
) -> usize {
    let members = || groups.iter().flat_map(|group| &group.members);
    let mut models = members().map(|member| &member.model);
    if !models.all(|model| is_small(model.info().parameters, model.device())) {
        return 1;
    }
    // The windows of the group and suite with the most of them: what is answered beside each other.
    let open = groups.iter().flat_map(|group| {
        let suites = common.datasets.iter().zip(selections);
        suites.map(|(dataset, selection)| common.open(group, dataset, selection).len())
    });
    let checkpoints: HashMap<usize, u64> = members()
        .map(|member| (member.checkpoint, member.model.info().parameters))
        .collect();
    let bytes = checkpoints.values().sum::<u64>() * size_of::<f32>() as u64;
    let room = usize::try_from(COPIES / bytes.max(1)).unwrap_or(usize::MAX);
    threads.min(open.max().unwrap_or(0)).min(room).max(1)
}

/// A unit for a group and a data set, each by its number.
pub(super) struct Task {
    pub group: usize,
    pub dataset: usize,
    pub unit: Unit,
}

/// What a worker says.
enum Message {
    Computed(Box<Computed>),
    /// A unit is done.
    Done,
    /// It has ended: after its last unit, or too early.
    Ended(ThreadResult<Result<Counts, Error>>),
}

/// The other threads of a model.
pub(super) struct Workers {
    queues: Vec<SyncSender<Task>>,
    messages: Receiver<Message>,
    /// Units of the suite that were handed out or kept.
    units: usize,
    /// Units that were handed out and are not done.
    pending: usize,
}

/// What a worker begins with.
#[derive(Clone, Copy)]
struct Start<'a> {
    model: &'a str,
    common: &'a Common<'a>,
    run: &'a Path,
    /// Its number, of so many with the thread that starts them.
    worker: [usize; 2],
}

impl Workers {
    /// Starts the threads beside this one, which are to load the model of this name; none for a `count` of 1.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        count: usize,
        model: &'scope str,
        common: &'scope Common<'scope>,
        run: &'scope Path,
    ) -> Self {
        let (sender, messages) = channel();
        let queues = (1..count).map(|number| {
            let (queue, tasks) = sync_channel(QUEUE);
            let sender = sender.clone();
            let start = Start {
                model,
                common,
                run,
                worker: [number, count],
            };
            scope.spawn(move || {
                let ended = catch_unwind(AssertUnwindSafe(|| start.work(&tasks, &sender)));
                // Whoever listens no more has an error of its own to tell.
                let _ = sender.send(Message::Ended(ended));
            });
            queue
        });
        Self {
            queues: queues.collect(),
            messages,
            units: 0,
            pending: 0,
        }
    }

    /// A suite begins: its first unit goes to the first worker again. A picture then goes to the same worker under every seed, which
    /// has the features of its tower.
    pub(super) fn begin(&mut self) {
        self.units = 0;
    }

    /// Hands a task to the worker whose turn it is; gives it back where it is this thread's.
    pub(super) fn hand_out(&mut self, task: Task) -> Result<Option<Task>, Error> {
        let turn = self.units % (self.queues.len() + 1);
        self.units += 1;
        let Some(queue) = self.queues.get(turn) else {
            return Ok(Some(task));
        };
        self.pending += 1;
        // One that has ended says why among the messages.
        if queue.send(task).is_err() {
            self.finish()?;
            return Err(GONE);
        }
        Ok(None)
    }

    /// Records what the workers have computed so far.
    pub(super) fn take(&mut self, sink: &mut Sink) -> Result<(), Error> {
        while let Ok(message) = self.messages.try_recv() {
            self.hear(message, sink)?;
        }
        Ok(())
    }

    /// Waits until nothing is under way, and records it.
    pub(super) fn wait(&mut self, sink: &mut Sink) -> Result<(), Error> {
        while self.pending > 0 {
            let message = self.messages.recv().map_err(|_| GONE)?;
            self.hear(message, sink)?;
        }
        Ok(())
    }

    fn hear(&mut self, message: Message, sink: &mut Sink) -> Result<(), Error> {
        match message {
            Message::Computed(computed) => sink.record(&computed),
            Message::Done => {
                self.pending -= 1;
                Ok(())
            }
            Message::Ended(Ok(Err(error))) => Err(error),
            Message::Ended(Err(panic)) => resume_unwind(panic),
            Message::Ended(Ok(Ok(_))) => Err(GONE),
        }
    }

    /// Ends the threads, once nothing is under way; returns what their vision towers did.
    pub(super) fn finish(&mut self) -> Result<Counts, Error> {
        let workers = self.queues.len();
        self.queues.clear();
        let mut counts = Counts::default();
        for _ in 0..workers {
            loop {
                match self.messages.recv().map_err(|_| GONE)? {
                    Message::Ended(Ok(ended)) => {
                        let own = ended?;
                        counts.asked += own.asked;
                        counts.computed += own.computed;
                        break;
                    }
                    Message::Ended(Err(panic)) => resume_unwind(panic),
                    Message::Computed(_) | Message::Done => {}
                }
            }
        }
        Ok(counts)
    }
}

const GONE: Error = Error::Fault("a thread that answers has ended before its time");

/// Tells nobody.
struct Silent;

impl Observer for Silent {}

impl Start<'_> {
    fn work(self, tasks: &Receiver<Task>, messages: &Sender<Message>) -> Result<Counts, Error> {
        let Self {
            model,
            common,
            run,
            worker,
        } = self;
        tch::set_num_threads(1);
        let groups = load(model, common.request, common.options, &mut Silent)?;
        let mut vision = Vision::new(run, worker, common.request.reuse, &groups);
        for Task {
            group,
            dataset,
            unit,
        } in tasks
        {
            if !common.is_stopping() {
                let mut runner = UnitRunner {
                    group: &groups[group],
                    common,
                    vision: &mut vision,
                };
                let suite = common.datasets[dataset].suite();
                runner.run(suite, &unit, &mut |computed| {
                    let sent = messages.send(Message::Computed(Box::new(computed)));
                    sent.map_err(|_| GONE)
                })?;
            }
            messages.send(Message::Done).map_err(|_| GONE)?;
        }
        Ok(vision.counts)
    }
}
