//! The vision features of pictures, computed once: for all variants of a sample, all questions about a picture, and all
//! checkpoints whose vision towers are equal.
//!
//! What the tower makes of a picture depends on nothing but the picture and the tower's weights, so it is kept by a hash of the
//! picture's content: in memory up to [`MEMORY`], then, where several checkpoints share a tower and so will ask again, in files
//! of the run's folder up to [`DISK`], which go when the run ends. Features that were kept are those that were computed, bit
//! by bit.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use lru::LruCache;
use rave_lmm::{Error, ImageEmbeds, Model, Prompt, TowerRun};

use super::seed_group::{ModelVariant, SeedGroup};

/// Most bytes that are kept in memory, by all workers together.
const MEMORY: usize = 1 << 30;
/// Most bytes that are kept in files, by all workers together.
const DISK: u64 = 8 << 30;
/// The folder of those within the run's.
const FOLDER: &str = "vision-cache";

/// A hash of a picture's content.
pub(super) type PictureKey = [u8; 32];

/// What is kept, by the picture and the number of the tower, or of the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    TowerRun(usize, PictureKey),
    ImageEmbeds(usize, PictureKey),
}

#[derive(Clone)]
enum Cached {
    TowerRun(Rc<TowerRun>),
    ImageEmbeds(Rc<ImageEmbeds>),
}

impl Cached {
    fn bytes(&self) -> usize {
        match self {
            Self::TowerRun(tower_run) => tower_run.bytes(),
            Self::ImageEmbeds(features) => features.bytes(),
        }
    }
}

/// The vision side of a model's checkpoints.
pub(super) struct Vision {
    /// Whether anything outlives the samples that are answered together.
    keeps: bool,
    /// Whether checkpoints share towers, so that what the towers made will be asked for again.
    shares_towers: bool,
    memory: LruCache<Key, Cached>,
    bytes: usize,
    limit: usize,
    disk: Disk,
    pub counts: Counts,
}

/// How often the work was spared.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    /// Features that samples asked for.
    pub asked: u64,
    /// Times that a tower ran.
    pub computed: u64,
}

/// Files of what the towers made.
struct Disk {
    folder: PathBuf,
    files: HashMap<Key, (PathBuf, Duration)>,
    bytes: u64,
    limit: u64,
}

impl Vision {
    /// Nothing kept yet; files go into a folder of `run`'s, apart for each worker, which is one `[number, of]` so many. Without
    /// `keeps`, everything is computed for each sample anew.
    pub(super) fn new(
        run: &Path,
        [worker, workers]: [usize; 2],
        keeps: bool,
        groups: &[SeedGroup],
    ) -> Self {
        let all = run.join(FOLDER);
        let folder = all.join(worker.to_string());
        // Of a run that was killed, which may have had more workers; the first begins before the others.
        if worker == 0 {
            let _ = fs::remove_dir_all(&all);
        }
        let members = groups.iter().flat_map(|group| &group.members);
        let checkpoints: HashSet<(usize, usize)> = members
            .map(|member| (member.checkpoint, member.tower))
            .collect();
        Self {
            keeps,
            shares_towers: checkpoints.iter().any(|(checkpoint, tower)| {
                let mut others = checkpoints.iter();
                others.any(|(other, its)| other != checkpoint && its == tower)
            }),
            memory: LruCache::unbounded(),
            bytes: 0,
            limit: MEMORY / workers,
            disk: Disk {
                folder,
                files: HashMap::new(),
                bytes: 0,
                limit: DISK / workers as u64,
            },
            counts: Counts::default(),
        }
    }

    /// The features of a prompt's picture, whose key is `picture`, under a member's checkpoint; computed until a deadline at most.
    pub(super) fn features(
        &mut self,
        member: &ModelVariant,
        picture: Option<PictureKey>,
        prompt: &Prompt,
        deadline: Option<Instant>,
    ) -> Result<Rc<ImageEmbeds>, Error> {
        let ModelVariant { model, tower, .. } = member;
        self.counts.asked += 1;
        let Some(picture) = picture else {
            self.counts.computed += 1;
            return Ok(Rc::new(model.encode_image_until(prompt, deadline)?));
        };
        let key = Key::ImageEmbeds(member.checkpoint, picture);
        if let Some(Cached::ImageEmbeds(features)) = self.memory.get(&key) {
            return Ok(Rc::clone(features));
        }
        let features = Rc::new(if self.shares_towers {
            let tower_run = self.tower_run(model, *tower, picture, prompt, deadline)?;
            model.connect(&tower_run)?
        } else {
            self.counts.computed += 1;
            model.encode_image_until(prompt, deadline)?
        });
        self.insert(key, Cached::ImageEmbeds(Rc::clone(&features)));
        Ok(features)
    }

    /// Forgets what is not to outlive a unit of samples.
    pub(super) fn end_of_unit(&mut self) {
        if !self.keeps {
            self.memory.clear();
            self.bytes = 0;
        }
    }

    fn tower_run(
        &mut self,
        model: &Model,
        tower: usize,
        picture: PictureKey,
        prompt: &Prompt,
        deadline: Option<Instant>,
    ) -> Result<Rc<TowerRun>, Error> {
        let key = Key::TowerRun(tower, picture);
        if let Some(Cached::TowerRun(tower_run)) = self.memory.get(&key) {
            return Ok(Rc::clone(tower_run));
        }
        if let Some((path, elapsed)) = self.disk.files.get(&key) {
            // A file that somebody removed costs the work that it was to spare.
            if let Ok(tower_run) = TowerRun::read(path, prompt, *elapsed, model.device()) {
                let tower_run = Rc::new(tower_run);
                self.insert(key, Cached::TowerRun(Rc::clone(&tower_run)));
                return Ok(tower_run);
            }
        }
        self.counts.computed += 1;
        let tower_run = Rc::new(model.run_tower(prompt, deadline)?);
        self.insert(key, Cached::TowerRun(Rc::clone(&tower_run)));
        Ok(tower_run)
    }

    fn insert(&mut self, key: Key, cached: Cached) {
        self.bytes += cached.bytes();
        if let Some(before) = self.memory.put(key, cached) {
            self.bytes -= before.bytes();
        }
        // The newest stays even where it is larger than all that is allowed: the sample under way needs it.
        while self.bytes > self.limit && self.memory.len() > 1 {
            let Some((key, cached)) = self.memory.pop_lru() else {
                return;
            };
            self.bytes -= cached.bytes();
            if let (Cached::TowerRun(tower_run), true) = (cached, self.keeps) {
                self.disk.insert(key, &tower_run);
            }
        }
    }
}

impl Disk {
    /// Writes what the memory has no room for. A full disk, ours or the machine's, costs work and no sample.
    fn insert(&mut self, key: Key, tower_run: &TowerRun) {
        let bytes = tower_run.bytes() as u64;
        if self.files.contains_key(&key) || self.bytes + bytes > self.limit {
            return;
        }
        let path = self
            .folder
            .join(format!("{}.safetensors", self.files.len()));
        let written = fs::create_dir_all(&self.folder).is_ok() && tower_run.write(&path).is_ok();
        if written {
            self.bytes += bytes;
            self.files.insert(key, (path, tower_run.elapsed()));
        } else {
            let _ = fs::remove_file(&path);
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What cannot be removed now is removed when the run is resumed; the last worker takes the folder of them all.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = self.folder.parent().map(fs::remove_dir);
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use rave_lmm::LoadOptions;

    use super::*;

    /// Two checkpoints with one tower, as a grid has them: the same one twice.
    fn group(fixture: &str) -> SeedGroup {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../lmm/tests/fixtures")
            .join(fixture);
        let members = [0, 1].map(|checkpoint| {
            let model =
                Rc::new(Model::open(fixture, folder.clone(), LoadOptions::default()).unwrap());
            let variant = rave_methods::variant("standard").unwrap();
            ModelVariant {
                variant,
                built: model.build(variant, 0, None).unwrap(),
                model,
                checkpoint,
                tower: 0,
            }
        });
        SeedGroup {
            seed: 0,
            trained_by_seed: true,
            members: members.into(),
        }
    }

    /// Asks for the features of three pictures under both checkpoints, twice; returns how often the tower ran. All that is given
    /// must be what the model computes, bit by bit.
    fn runs(fixture: &str, limit: usize, keeps: bool) -> u64 {
        let folder = tempfile::tempdir().unwrap();
        let groups = [group(fixture)];
        // Of a run that was killed with more workers.
        fs::create_dir_all(folder.path().join(FOLDER).join("1")).unwrap();
        let mut vision = Vision::new(folder.path(), [0, 1], keeps, &groups);
        vision.limit = limit;
        for _ in 0..2 {
            for shade in 0..3_u8 {
                let picture =
                    RgbImage::from_fn(60, 40, |x, y| image::Rgb([x as u8, y as u8, 80 * shade]));
                for member in &groups[0].members {
                    let ModelVariant { model, built, .. } = member;
                    let prompt = model.processor().prepare(&[&picture], "What?").unwrap();
                    let given = vision
                        .features(member, Some([shade; 32]), &prompt, None)
                        .unwrap();
                    let logits = |features: &ImageEmbeds| {
                        model
                            .logits(built.attention.as_ref(), &prompt, features, &[])
                            .unwrap()
                    };
                    assert!(logits(&given).equal(&logits(&model.encode_image(&prompt).unwrap())));
                }
                vision.end_of_unit();
            }
        }
        assert_eq!(vision.counts.asked, 12);
        let runs = vision.counts.computed;
        assert_eq!(folder.path().join(FOLDER).exists(), limit == 0 && keeps);
        drop(vision);
        assert!(!folder.path().join(FOLDER).exists());
        runs
    }

    #[test]
    fn a_picture_is_looked_at_once_in_memory_and_beyond_it() {
        // The second family hands several layers of its tower on.
        for fixture in ["smolvlm_new", "qwen3_vl"] {
            assert_eq!(runs(fixture, MEMORY, true), 3, "{fixture}: in memory");
            assert_eq!(runs(fixture, 0, true), 3, "{fixture}: in files");
            assert_eq!(
                runs(fixture, MEMORY, false),
                6,
                "{fixture}: kept for a sample alone"
            );
        }
    }
}
