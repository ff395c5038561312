//! Values of a type, kept as JSON.

use std::{fmt, future::Future, marker::PhantomData, pin::Pin, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use crate::{Cache, Cached, Invalidated, Key, LoadError, Loaded, Options, Source};

/// A view of a [`Cache`] in which the keys of one namespace are `K` and the
/// values `V`, kept as JSON.
///
/// A value that no longer has the shape of `V`, as after an update of the
/// program, is a miss.
pub struct Typed<K, V> {
    cache: Cache,
    namespace: Arc<str>,
    types: PhantomData<fn(K) -> V>,
}

/// A value of a type, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<V> {
    /// The value; `None` when the source is known to have none.
    pub value: Option<V>,
    /// The tier that answered.
    pub source: Source,
    /// The time since it was loaded.
    pub age: Duration,
    /// Whether it is past its freshness.
    pub stale: bool,
}

/// Why a typed value could not be had.
#[non_exhaustive]
pub enum TypedError<E> {
    /// Loading it failed.
    Load(LoadError<E>),
    /// The key or the value has no form in JSON.
    Form(String),
}

/// What may go wrong inside the loader.
enum Inner<E> {
    Source(Arc<E>),
    Form(String),
}

impl Cache {
    /// The entries of `namespace` as values of a type.
    pub fn typed<K: Serialize, V: Serialize + DeserializeOwned>(
        &self,
        namespace: &str,
    ) -> Typed<K, V> {
        Typed {
            cache: self.clone(),
            namespace: namespace.into(),
            types: PhantomData,
        }
    }
}

impl<K: Serialize, V: Serialize + DeserializeOwned + Send + 'static> Typed<K, V> {
    /// The fresh value of `key`, if a tier has it.
    pub async fn get(&self, key: &K) -> Option<Found<V>> {
        let key = self.key(key).ok()?;
        read(self.cache.get(&key).await?)
    }

    /// The value of `key`, loaded if no tier has it; see
    /// [`Cache::get_or_load`]. A loader that gives `None` says that there is no
    /// such value, which is remembered for a while.
    ///
    /// # Errors
    /// Loading failed, or something has no form in JSON.
    pub async fn get_or_load<E, F, Fut>(
        &self,
        key: &K,
        options: &Options,
        loader: F,
    ) -> Result<Found<V>, TypedError<E>>
    where
        F: FnOnce() -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<Option<V>, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let key = self.key(key).map_err(TypedError::Form)?;
        let first = self
            .cache
            .get_or_load(&key, options, encoding(loader.clone()));
        if let Some(found) = read(first.await.map_err(typed_error)?) {
            return Ok(found);
        }
        // Of another shape: written by another version of the program.
        self.cache.invalidate(std::slice::from_ref(&key)).await;
        let again = self.cache.get_or_load(&key, options, encoding(loader));
        read(again.await.map_err(typed_error)?).ok_or_else(|| {
            TypedError::Form("the value does not come back as it went in".to_owned())
        })
    }

    /// Stores `value`; see [`Cache::put`].
    ///
    /// # Errors
    /// The key or the value has no form in JSON.
    pub async fn put(
        &self,
        key: &K,
        value: &V,
        options: &Options,
    ) -> Result<Invalidated, TypedError<()>> {
        let key = self.key(key).map_err(TypedError::Form)?;
        let bytes =
            serde_json::to_vec(value).map_err(|error| TypedError::Form(error.to_string()))?;
        Ok(self.cache.put(&key, bytes, options).await)
    }

    /// Makes the value of `key` invisible, everywhere.
    ///
    /// # Errors
    /// The key has no form in JSON.
    pub async fn invalidate(&self, key: &K) -> Result<Invalidated, TypedError<()>> {
        let key = self.key(key).map_err(TypedError::Form)?;
        Ok(self.cache.invalidate(&[key]).await)
    }

    fn key(&self, key: &K) -> Result<Key, String> {
        let bytes = serde_json::to_vec(key).map_err(|error| error.to_string())?;
        Ok(Key::new(&self.namespace, [bytes]))
    }
}

type Loading<E> = Pin<Box<dyn Future<Output = Result<Loaded, Inner<E>>> + Send>>;

/// The loader of a type as a loader of bytes.
fn encoding<V, E, F, Fut>(loader: F) -> impl FnOnce() -> Loading<E> + Send + 'static
where
    V: Serialize,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<Option<V>, E>> + Send + 'static,
{
    || {
        Box::pin(async move {
            let loaded = loader()
                .await
                .map_err(|error| Inner::Source(Arc::new(error)))?;
            let Some(value) = loaded else {
                return Ok(Loaded::Absent);
            };
            serde_json::to_vec(&value)
                .map(Loaded::value)
                .map_err(|error| Inner::Form(error.to_string()))
        })
    }
}

fn read<V: DeserializeOwned>(cached: Cached) -> Option<Found<V>> {
    let value = if cached.is_absent() {
        None
    } else {
        Some(serde_json::from_slice(&cached.value).ok()?)
    };
    Some(Found {
        value,
        source: cached.source,
        age: cached.age,
        stale: cached.stale,
    })
}

fn typed_error<E>(error: LoadError<Inner<E>>) -> TypedError<E> {
    match error {
        LoadError::Failed(error) => match &*error {
            Inner::Source(error) => TypedError::Load(LoadError::Failed(Arc::clone(error))),
            Inner::Form(form) => TypedError::Form(form.clone()),
        },
        LoadError::Timeout { after } => TypedError::Load(LoadError::Timeout { after }),
        LoadError::Panicked => TypedError::Load(LoadError::Panicked),
    }
}

impl<E: fmt::Display> fmt::Display for TypedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::Form(form) => write!(f, "no form in JSON: {form}"),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for TypedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => f.debug_tuple("Load").field(error).finish(),
            Self::Form(form) => f.debug_tuple("Form").field(form).finish(),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for TypedError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Load(error) => error.source(),
            Self::Form(_) => None,
        }
    }
}

impl<K, V> Clone for Typed<K, V> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            namespace: Arc::clone(&self.namespace),
            types: PhantomData,
        }
    }
}

impl<K, V> fmt::Debug for Typed<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
