//! A vhost-user block device that injects faults.
