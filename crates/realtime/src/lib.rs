//! A transport-free hub: admission, topics, bounded queues, resume.
