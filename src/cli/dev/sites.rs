//! Flags of `eventcast dev` that say which hosts and web pages it answers to.

use std::net::IpAddr;
use std::sync::Arc;

use clap::Args;

use crate::dev::sites::{AllowedHost, AllowedOrigin, AllowedSites};

#[derive(Debug, Args)]
#[command(next_help_heading = "Web pages")]
pub(super) struct Sites {
    /// Answer to this host name too, such as the name of a container or host.docker.internal; repeatable. Without it the address of
    /// --host, loopback addresses and localhost are answered to
    #[arg(long, value_name = "NAME", value_parser = AllowedHost::parse)]
    allow_host: Vec<AllowedHost>,
    /// Let web pages of this origin call everything and read the answers (CORS), such as http://localhost:5173; repeatable. Pages of
    /// localhost may call without it, but not read answers; `null` is a page opened as a file
    #[arg(long, value_name = "ORIGIN", value_parser = AllowedOrigin::parse)]
    allow_origin: Vec<AllowedOrigin>,
}

impl Sites {
    /// The rules, for ports that are bound to an address.
    pub(super) fn allowed(&self, bound: IpAddr) -> Arc<AllowedSites> {
        let (hosts, origins) = (self.allow_host.clone(), self.allow_origin.clone());
        Arc::new(AllowedSites::new(bound, hosts, origins))
    }
}
