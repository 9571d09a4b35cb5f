//! `rave doctor`: what this machine has for the job, and what to fix.

use std::path::Path;

use rave_hub::Settings;
use rave_lmm::{built_in, libtorch};
use serde_json::json;
use tch::{Cuda, Device, Kind, Tensor};

use super::listing::Arguments;
use super::{print, print_json};
use crate::Outcome;

/// `rave doctor`.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let folder = libtorch::folder();
    let (cuda_devices, cuda) = match libtorch::load_cuda() {
        Ok(()) => match Cuda::device_count() {
            0 => (0, "its CUDA library is there, but no device is visible; check the driver with nvidia-smi".to_owned()),
            count => (count, format!("{count} device{}", if count == 1 { "" } else { "s" })),
        },
        Err(_) if !folder.join("libtorch_cuda.so").is_file() => {
            (0, "none: this LibTorch is CPU-only; set LIBTORCH to a CUDA build, run `./just setup` and build again".to_owned())
        }
        Err(message) => (0, format!("its CUDA library does not load: {message}")),
    };
    let dtypes: Vec<_> = [
        ("f32", Kind::Float),
        ("bf16", Kind::BFloat16),
        ("f16", Kind::Half),
    ]
    .into_iter()
    .map(|(name, kind)| (name, gflops(kind)))
    .collect();
    let cache = built_in::cache_folder().map_err(|error| error.with_hint());
    let cache_state = match &cache {
        Ok(path) => writable(path),
        Err(reason) => Err(reason.clone()),
    };
    let hub = Settings::from_env();
    let healthy = folder.is_dir() && dtypes[0].1.is_some() && cache_state.is_ok();
    if arguments.json {
        print_json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "libtorch": { "version": libtorch::VERSION, "folder": folder },
            "threads": tch::get_num_threads(),
            "cuda": { "devices": cuda_devices, "message": cuda },
            "matmul_gflops": dtypes.iter().map(|(name, speed)| (name.to_string(), json!(speed))).collect::<serde_json::Map<_, _>>(),
            "cache": { "folder": cache.ok(), "error": cache_state.err() },
            "hub": { "endpoint": hub.endpoint, "cache": hub.cache, "token": hub.token.is_some(), "offline": hub.offline },
            "healthy": healthy,
        }))?;
    } else {
        let mut text = format!("rave      {}\n", env!("CARGO_PKG_VERSION"));
        text += &format!("libtorch  {} in {}\n", libtorch::VERSION, folder.display());
        text += &format!("threads   {}\n", tch::get_num_threads());
        text += &format!("cuda      {cuda}\n");
        for (name, speed) in &dtypes {
            text += &format!("{name:<10}{}\n", verdict(*speed, dtypes[0].1));
        }
        text += &match (&cache, &cache_state) {
            (Ok(path), Ok(())) => format!("cache     {}\n", path.display()),
            (Ok(path), Err(reason)) => format!(
                "cache     {}: {reason}; set RAVE_CACHE to a folder that can be written\n",
                path.display()
            ),
            (Err(reason), _) => format!("cache     {reason}\n"),
        };
        text += &format!(
            "hub       {}, {}, cache {}\n",
            if hub.offline {
                "offline (HF_HUB_OFFLINE)"
            } else {
                &hub.endpoint
            },
            if hub.token.is_some() {
                "with a token"
            } else {
                "no token"
            },
            hub.cache.display()
        );
        text += "fonts     compiled in\n";
        text += if healthy {
            "\nready\n"
        } else {
            "\nnot ready: see above\n"
        };
        print(&text)?;
    }
    Ok(if healthy {
        Outcome::Clean
    } else {
        Outcome::Failures
    })
}

/// What the speed of an element type means for a user, next to that of f32.
fn verdict(speed: Option<f64>, full: Option<f64>) -> String {
    let Some(speed) = speed else {
        return "not supported on this processor".to_owned();
    };
    let text = format!("{speed:.0} GFLOP/s in a matrix product");
    match full {
        Some(full) if full > 3.0 * speed => format!(
            "{text}, {:.0} times slower than f32: this processor has no instructions for it; use --dtype f32",
            full / speed
        ),
        _ => text,
    }
}

/// Speed of a square matrix product on the CPU, in GFLOP/s; `None` where the element type is not supported.
fn gflops(kind: Kind) -> Option<f64> {
    const SIDE: i64 = 384;
    let side = Tensor::f_ones([SIDE, SIDE], (kind, Device::Cpu)).ok()?;
    let _ = side.f_matmul(&side).ok()?;
    let start = std::time::Instant::now();
    let _ = side.f_matmul(&side).ok()?;
    Some(2.0 * (SIDE as f64).powi(3) / start.elapsed().as_secs_f64() / 1e9)
}

/// Whether files can be made in a folder, which is made if need be.
fn writable(folder: &Path) -> Result<(), String> {
    let probe = folder.join(format!("probe.{}", std::process::id()));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, []))
        .map_err(|error| error.to_string())?;
    std::fs::remove_file(&probe).map_err(|error| error.to_string())
}
