//! Every type of check against a real server of its kind, as Debian packages it.
//!
//! Each is a child of its test, on ports of the loopback, with a configuration and data of its own in a folder that
//! goes with it. Which are asked says `REAL_SERVERS`: names separated by spaces, or `all`; `scripts/test` sets it and
//! installs them. One that is named and not there is a failure; without the variable none is asked.
//!
//! | name | package | checks |
//! |---|---|---|
//! | `nginx` | nginx | http, https, h2 |
//! | `unbound`, `bind` | unbound, bind9 | dns |
//! | `redis` | redis-server | redis |
//! | `postfix` | postfix | smtp |
//! | `dovecot` | dovecot-imapd, dovecot-pop3d | imap, pop3 |
//! | `slapd` | slapd, ldap-utils | ldap |
//! | `mariadb` | mariadb-server | mysql |
//! | `postgresql` | postgresql | pgsql |
//! | `freeradius` | freeradius | radius |
//! | `vsftpd` | vsftpd | ftp |
//! | `kamailio` | kamailio, kamailio-tls-modules | sip |
//! | `leafnode` | leafnode, socat | nntp |
//! | `grpc` | python3-grpcio | grpc |
//!
//! Each ends with the same scene: the server hangs, goes on, and dies.

mod server;
#[path = "../support/mod.rs"]
mod support;

mod directory;
mod files;
mod mail;
mod names;
mod news;
mod radius;
mod rpc;
mod sip;
mod stores;
mod web;
