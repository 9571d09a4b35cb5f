//! Where the hub is, where its cache is, and who asks: the variables that every tool of the hub reads.

use std::path::PathBuf;

/// Settings of a [`crate::Hub`].
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The hub's address without a slash at the end (`HF_ENDPOINT`).
    pub endpoint: String,
    /// The cache folder (`HF_HUB_CACHE`, or `hub` in `HF_HOME`).
    pub cache: PathBuf,
    /// Who asks (`HF_TOKEN`, or the file that `hf auth login` writes).
    pub token: Option<String>,
    /// Whether no connection may be made (`HF_HUB_OFFLINE`).
    pub offline: bool,
    /// Root certificates in place of those compiled in, PEM (`SSL_CERT_FILE`).
    pub certificates: Option<PathBuf>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            // A token is never shown.
            .field("token", &self.token.is_some())
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// From the environment.
    pub fn from_env() -> Self {
        Self::from(|name| std::env::var(name).ok())
    }

    /// From a source of variables; an empty one is as good as none.
    fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let text = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| variable(name));
            values.find(|value| !value.trim().is_empty())
        };
        let home = text(&["HOME"]).map_or_else(PathBuf::new, PathBuf::from);
        let path = |names: &[&str]| {
            text(names).map(|value| match value.strip_prefix("~/") {
                Some(rest) => home.join(rest),
                None => PathBuf::from(value),
            })
        };
        let caches = path(&["XDG_CACHE_HOME"]).unwrap_or_else(|| home.join(".cache"));
        let hub_home = path(&["HF_HOME"]).unwrap_or_else(|| caches.join("huggingface"));
        let yes = |names: &[&str]| {
            text(names).is_some_and(|value| {
                ["1", "on", "yes", "true"].contains(&value.trim().to_lowercase().as_str())
            })
        };
        let token_file = path(&["HF_TOKEN_PATH"]).unwrap_or_else(|| hub_home.join("token"));
        let token = text(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]).or_else(|| {
            let wanted = !yes(&["HF_HUB_DISABLE_IMPLICIT_TOKEN"]);
            wanted.then(|| std::fs::read_to_string(token_file).ok())?
        });
        let endpoint = text(&["HF_ENDPOINT"]);
        Self {
            endpoint: endpoint
                .as_deref()
                .unwrap_or("https://huggingface.co")
                .trim()
                .trim_end_matches('/')
                .to_owned(),
            cache: path(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
                .unwrap_or_else(|| hub_home.join("hub")),
            token: token
                .map(|token| token.trim().to_owned())
                .filter(|token| !token.is_empty()),
            offline: yes(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]),
            certificates: path(&["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        Settings::from(|name| {
            let mut found = variables.iter().filter(|(key, _)| *key == name);
            found.next().map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_cache_is_where_other_tools_have_it() {
        let cache = |variables: &[(&str, &str)]| settings(variables).cache;
        let home = ("HOME", "/home/me");
        for (variables, expected) in [
            (vec![home], "/home/me/.cache/huggingface/hub"),
            (vec![home, ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (vec![home, ("HF_HOME", "~/hf")], "/home/me/hf/hub"),
            (vec![home, ("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")], "/c"),
            (
                vec![home, ("HF_HUB_CACHE", "")],
                "/home/me/.cache/huggingface/hub",
            ),
        ] {
            assert_eq!(cache(&variables), PathBuf::from(expected), "{variables:?}");
        }
    }

    #[test]
    fn the_token_of_the_variable_goes_before_that_of_the_file_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let home = ("HF_HOME", folder.path().to_str().unwrap());
        assert_eq!(settings(&[home]).token, None);
        std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
        assert_eq!(settings(&[home]).token.as_deref(), Some("hf_file"));
        let both = settings(&[home, ("HF_TOKEN", "hf_variable")]);
        assert_eq!(both.token.as_deref(), Some("hf_variable"));
        assert!(!format!("{both:?}").contains("hf_variable"));
        let refused = settings(&[home, ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]);
        assert_eq!(refused.token, None);
    }

    #[test]
    fn offline_and_endpoint() {
        assert!(!settings(&[]).offline);
        assert!(!settings(&[("HF_HUB_OFFLINE", "0")]).offline);
        assert!(settings(&[("HF_HUB_OFFLINE", "1")]).offline);
        assert!(settings(&[("HF_HUB_OFFLINE", "TRUE")]).offline);
        assert_eq!(
            settings(&[("HF_ENDPOINT", "http://m:1/")]).endpoint,
            "http://m:1"
        );
    }
}
